package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/sys"
)

// Which foster up has a project: the one that has the lock in the folder of its state. A
// foster down that ends what was left of a project has it meanwhile, too. The project
// has to be had also where nothing can be written there, on a disk that is read-only
// since it has failed, say: what runs is to be taken over all the same.

// stateFolder is where a project's state is.
func stateFolder(name string) (string, error) {
	state, _, err := journal.Folders()
	return filepath.Join(state, "projects", name), err
}

// projectFolder makes the folder of a project's state, where that is possible.
func projectFolder(name string) (string, error) {
	folder, err := stateFolder(name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil && !unwritable(err) {
		return "", err
	}
	return folder, nil
}

// unwritable says whether an error means that nothing can be made in a folder.
func unwritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC)
}

// claimPatience is how long a supervisor may take between its lock and its socket, or
// between the end of its socket and that of its lock.
const claimPatience = 20 * time.Second

// claim takes the project's lock, which one supervisor at a time has; or else connects
// to the one that has it.
func (u *upper) claim() (*os.File, *client.Client, error) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		lock, err := u.tryLock()
		if err != nil || lock != nil && u.lockless == nil {
			return lock, nil, err
		}
		c, err := client.Dial(u.project.Name)
		switch {
		case err == nil:
			lock.Close() // it locks nothing
			return nil, c, nil
		case !errors.Is(err, client.ErrNotRunning):
			return nil, nil, err
		case lock != nil:
			return lock, nil, nil
		case time.Since(begin) > claimPatience:
			return nil, nil, hinted{fmt.Errorf("another foster up of %s is starting or ending, or a foster down is ending what one has left", u.project.Name),
				"fuser " + u.lockPath() + " names it"}
		}
	}
}

func (u *upper) lockPath() string { return filepath.Join(u.folder, "lock") }

// tryLock gives the lock, or nil where another has it. Where there is none and none can
// be made, it gives a file that locks nothing, and keeps why in lockless: then only the
// lock beside the control socket holds off another foster up, less kindly.
func (u *upper) tryLock() (*os.File, error) {
	u.lockless = nil
	lock, err := os.OpenFile(u.lockPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) { // neither is the folder
		if err = os.MkdirAll(u.folder, 0o700); err == nil {
			return u.tryLock()
		}
	}
	if err != nil && unwritable(err) {
		again, rerr := os.Open(u.lockPath())
		if rerr != nil {
			u.lockless = err
			return sys.OpenNull(os.O_RDONLY)
		}
		lock, err = again, nil
	}
	if err != nil {
		return nil, err
	}
	got, err := sys.TryLock(lock, false)
	if err != nil || !got {
		lock.Close()
		return nil, err
	}
	return lock, nil
}
