package api

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// ErrRunning says that the project has a living supervisor.
var ErrRunning = errors.New("foster up is running already")

// Listener is the control socket of a project, and the lock that says whose it is.
type Listener struct {
	lock    *os.File
	sockets []net.Listener
	paths   []string // of the sockets
	group   int      // who may connect beside the user and root; -1: nobody
}

// Listen makes the control socket of a project. It is in a folder that only its user can
// enter. Where a group is let in, there is a second one for it: at [SharedPath]. The
// error wraps ErrRunning where another supervisor listens; nothing has changed then.
func Listen(project, group string) (*Listener, error) {
	path, err := client.SocketPath(project)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	l := &Listener{group: -1}
	if l.lock, err = lock(path + ".lock"); err != nil {
		return nil, fmt.Errorf("project %s: %w", project, err)
	}
	if err := errors.Join(l.add(path), l.share(project, group)); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for commands: %w", err), l.Close())
	}
	return l, nil
}

// Path is where the user of this process, and root, connect.
func (l *Listener) Path() string { return l.paths[0] }

// Close removes the sockets, and gives the project's lock back.
func (l *Listener) Close() error {
	var failed []error
	for i, s := range l.sockets {
		_ = s.Close() // it may have been, by who served it
		failed = append(failed, ignoreMissing(os.Remove(l.paths[i])))
	}
	return errors.Join(append(failed, ignoreMissing(os.Remove(l.lock.Name())), l.lock.Close())...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// lock takes the lock of a project. It belongs to this process until it ends, however it
// ends. Who ends in order removes the file with the lock held; so one that was got is
// only good as long as it has its name.
func lock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		got, err := sys.TryLock(f, false)
		if err == nil && !got {
			err = ErrRunning
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		if named(f, path) {
			return f, nil
		}
		f.Close()
	}
}

// named says whether a file is still the one of its name.
func named(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// add listens at a path. What is there is left by a supervisor that was killed, unless
// somebody answers: then a living one has lost its lock, whose file was removed by hand.
func (l *Listener) add(path string) error {
	if c, err := sys.Connect(path); err == nil {
		c.Close()
		return fmt.Errorf("%w: somebody answers at %s", ErrRunning, path)
	}
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return err
	}
	f, err := sys.Listen(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := net.FileListener(f)
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	l.sockets, l.paths = append(l.sockets, s), append(l.paths, path)
	return nil
}

// share makes the socket of a group. Its folder can be entered by all: the socket's own
// mode keeps others out, and what a peer is in fact is asked of the kernel again.
func (l *Listener) share(project, group string) error {
	if group == "" {
		return nil
	}
	gid, err := units.Group(group)
	if err != nil {
		return err
	}
	path, err := SharedPath(project)
	if err != nil {
		return err
	}
	if err := sharedFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := l.add(path); err != nil {
		return err
	}
	l.group = int(gid)
	if err := os.Chown(path, -1, int(gid)); err != nil {
		return fmt.Errorf("let group %s in: %w: only root and its members can do that", group, err)
	}
	return os.Chmod(path, 0o660)
}

// SharedPath is where the members of a project's group connect. Root's is found by
// client.Dial; that of another user by its path only, since anybody may make a folder of
// that name before.
func SharedPath(project string) (string, error) {
	path, err := client.SocketPath(project)
	if err != nil {
		return "", err
	}
	folder := fmt.Sprintf("/tmp/foster-%d-shared", os.Geteuid()) // nobody else can enter $XDG_RUNTIME_DIR
	if os.Geteuid() == 0 {
		folder = filepath.Dir(filepath.Dir(path)) + "-shared"
	}
	return filepath.Join(folder, filepath.Base(path)), nil
}

// sharedFolder makes a folder in which others can reach what they know by name.
func sharedFolder(path string) error {
	if err := os.Mkdir(path, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir(), sys.Owner(info) != os.Geteuid():
		return fmt.Errorf("%s is no folder of yours: have it removed", path)
	case info.Mode().Perm() != 0o711:
		return os.Chmod(path, 0o711)
	}
	return nil
}
