package api

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/sys"
)

// ErrRunning says that the project has a living supervisor.
var ErrRunning = errors.New("foster up is running already")

// Listener is the control socket of a project, and the lock that says whose it is.
type Listener struct {
	project string
	lock    *os.File
	socket  net.Listener
	path    string

	mu     sync.Mutex
	closed bool
	door   *door       // nil: only the user and root are let in
	attend func(*door) // serves one; nil: not yet
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
	l := &Listener{project: project}
	if l.lock, err = lock(path + ".lock"); err != nil {
		return nil, fmt.Errorf("project %s: %w", project, err)
	}
	if l.socket, err = listenAt(path); err == nil {
		l.path = path
		err = l.Admit(group)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for commands: %w", err), l.Close())
	}
	return l, nil
}

// RemoveLeft removes the sockets of a project whose supervisor was killed. Where one lives,
// nothing is removed.
func RemoveLeft(project string) error {
	path, err := client.SocketPath(project)
	if err != nil {
		return err
	}
	held, err := lock(path + ".lock")
	if errors.Is(err, ErrRunning) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l := &Listener{project: project, lock: held}
	l.socket, err = listenAt(path) // which fails where somebody listens
	if err != nil {
		held.Close()
		if errors.Is(err, ErrRunning) {
			return nil
		}
		return err
	}
	l.path = path
	if shared, err := SharedPath(project); err == nil && os.Geteuid() == 0 {
		_ = os.Remove(shared) // most have none
	}
	return l.Close()
}

// Path is where the user of this process, and root, connect.
func (l *Listener) Path() string { return l.path }

// Close removes the sockets, and gives the project's lock back.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var failed []error
	if l.door != nil {
		failed = append(failed, ignoreMissing(os.Remove(l.door.path)))
		l.door.shut()
	}
	if l.socket != nil {
		_ = l.socket.Close() // it may have been, by who served it
		failed = append(failed, ignoreMissing(os.Remove(l.path)))
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
			// For people, and for clients of a supervisor that accepts nobody.
			if err := f.Truncate(0); err == nil {
				_, _ = fmt.Fprintln(f, os.Getpid()) // on a full disk, it isn't told
			}
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

// listenAt listens at a path. What is there is left by a supervisor that was killed, unless
// somebody answers: then a living one has lost its lock, whose file was removed by hand.
func listenAt(path string) (net.Listener, error) {
	switch c, err := sys.Connect(path); {
	case err == nil:
		c.Close()
		return nil, fmt.Errorf("%w: somebody listens at %s", ErrRunning, path)
	case errors.Is(err, os.ErrDeadlineExceeded): // and answers nobody
		return nil, fmt.Errorf("%w: somebody listens at %s", ErrRunning, path)
	}
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return nil, err
	}
	f, err := sys.Listen(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := net.FileListener(f)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return s, nil
}
