package activate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// open makes a socket that listens.
func open(want Spec) (*socket, error) {
	a, err := parse(want.Address)
	if err != nil {
		return nil, err
	}
	l, err := listen(a, want.Mode)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s := &socket{spec: want}
	if a.network == "unix" {
		if s.inode, err = setMode(a.where, want.Mode); err != nil {
			_ = os.Remove(a.where) // it was made here
			return nil, err
		}
	}
	if s.file, err = hand(l, s.name()); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// listener is what both kinds of package net have in common.
type listener interface {
	File() (*os.File, error)
	Close() error
}

func listen(a address, mode int) (listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		if a.network != "unix" || mode == 0 {
			return nil
		}
		// Before it has a name: so it's never more open than it's to be.
		return raw.Control(func(fd uintptr) { sys.SetSocketMode(int(fd), mode) })
	}}
	config.SetMultipathTCP(false) // what the application gets is what it would have made
	switch a.network {
	case "udp":
		c, err := config.ListenPacket(context.Background(), "udp", a.where)
		if err != nil {
			return nil, err
		}
		return c.(*net.UDPConn), nil
	case "unix":
		l, err := listenUnix(config, a.where)
		if err != nil {
			return nil, err
		}
		l.SetUnlinkOnClose(false) // there is another hold on it
		return l, nil
	}
	l, err := config.Listen(context.Background(), "tcp", a.where)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// listenUnix takes the place of a socket that nobody listens on any more.
func listenUnix(config net.ListenConfig, path string) (*net.UnixListener, error) {
	l, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		l, err = config.Listen(context.Background(), "unix", path)
	}
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// RemoveStale removes the file of a unix socket on which nobody listens any more: whoever
// has opened it was killed. What isn't such a file stays.
func RemoveStale(addr string) {
	if a, err := parse(addr); err == nil && a.network == "unix" {
		_ = removeStale(a.where) // it is in use, or isn't a socket
	}
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is there, and isn't a socket: remove it, or choose another path", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s is in use: another process listens on it", path)
	}
	return os.Remove(path)
}

// setMode gives the file of a socket exactly the mode that was asked for, and says which
// file it is.
func setMode(path string, mode int) (inode uint64, err error) {
	if mode != 0 {
		if err := sys.ChmodSocket(path, mode); err != nil {
			return 0, err
		}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	return sys.Inode(info), nil
}

// hand makes of a listener a file as applications expect it: one that blocks, under a
// name that is understood when it comes back.
func hand(l listener, name string) (*os.File, error) {
	own, err := l.File()
	if err != nil {
		return nil, err
	}
	defer own.Close()
	fd, err := sys.Dup(sys.Descriptor(own))
	if err != nil {
		return nil, err
	}
	if err := sys.SetBlocking(fd); err != nil {
		sys.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
