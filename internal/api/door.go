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

// door is the socket of a group, whose members may control the project.
type door struct {
	name   string // of the group
	group  int
	socket net.Listener
	path   string
	end    func() // cuts off who has come by it; nil: it isn't served
}

// Group is who is let in beside the user and root; "": nobody.
func (l *Listener) Group() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.door == nil {
		return ""
	}
	return l.door.name
}

// Admit lets a group in, in place of the one that is; "": none. Who has come as a member of
// that one may get the answer to what was asked already, and is cut off. Where the new
// group can't be let in, all stays as it is.
func (l *Listener) Admit(group string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.door
	if l.closed || old == nil && group == "" || old != nil && old.name == group {
		return nil
	}
	next, err := l.share(group)
	if err != nil {
		return err
	}
	if l.door = next; old != nil {
		old.shut()
	}
	if next != nil && l.attend != nil {
		l.attend(next)
	}
	return nil
}

// share makes the socket of a group, in the place of the one that is; nil: it is removed.
func (l *Listener) share(group string) (*door, error) {
	if group == "" {
		return nil, ignoreMissing(os.Remove(l.door.path))
	}
	gid, err := units.Group(group)
	if err != nil {
		return nil, err
	}
	path, err := SharedPath(l.project)
	if err != nil {
		return nil, err
	}
	if err := sharedFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	at := path
	if l.door != nil {
		at += ".new"
	}
	d := &door{name: group, group: int(gid), path: path}
	if d.socket, err = listenAt(at); err != nil {
		return nil, err
	}
	if err = d.letIn(at); err == nil {
		err = os.Rename(at, path)
	}
	if err != nil {
		return nil, errors.Join(err, d.socket.Close(), os.Remove(at))
	}
	return d, nil
}

// letIn has the members of the group connect to a socket. Its folder can be entered by all:
// the socket's own mode keeps others out, and what a peer is in fact is asked of the kernel
// again.
func (d *door) letIn(path string) error {
	if err := os.Chown(path, -1, d.group); err != nil {
		return fmt.Errorf("let group %s in: %w: only root and its members can do that", d.name, err)
	}
	return os.Chmod(path, 0o660)
}

// shut ends it, whose path is gone or another's.
func (d *door) shut() {
	if d.end != nil {
		d.end()
	}
	_ = d.socket.Close() // it may have been, by who served it
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
