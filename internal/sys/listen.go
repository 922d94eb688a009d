package sys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// longestSocket is how long the path of a unix socket may be; that of macOS and
// FreeBSD, 104 with the final NUL, is the lower.
const longestSocket = 103

// reach gives a path for a socket that is short enough, where need be by a handle
// of its folder.
func reach(path string) (short string, done func(), err error) {
	if len(path) <= longestSocket {
		return path, func() {}, nil
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("open", err)
	}
	return fmt.Sprintf("%s/%d/%s", fdFolder, dir, filepath.Base(path)), func() { unix.Close(dir) }, nil
}

// unixSocket makes a unix stream socket, and connects or binds it.
func unixSocket(path string, use func(fd int, sa unix.Sockaddr) error) (*os.File, error) {
	short, done, err := reach(path)
	if err != nil {
		return nil, err
	}
	defer done()
	fd, err := streamSocket()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := errors.Join(use(fd, &unix.SockaddrUnix{Name: short}), unix.SetNonblock(fd, true)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Listen makes a socket in a folder that only its user can enter.
func Listen(path string) (*os.File, error) {
	if err := fault("listen"); err != nil {
		return nil, err
	}
	return unixSocket(path, func(fd int, sa unix.Sockaddr) error {
		if err := unix.Bind(fd, sa); err != nil {
			return os.NewSyscallError("bind", err)
		}
		return os.NewSyscallError("listen", unix.Listen(fd, 128))
	})
}

// connectBound is how long a connection may wait for room among those that nobody has
// accepted yet.
const connectBound = 2 * time.Second

// Connect connects to a socket that [Listen] made. The error is an [os.ErrDeadlineExceeded]
// where the process that listens accepts nobody, and too many wait already.
func Connect(path string) (*os.File, error) {
	return unixSocket(path, func(fd int, sa unix.Sockaddr) error {
		bound := unix.NsecToTimeval(connectBound.Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &bound); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		err := retry(func() error { return unix.Connect(fd, sa) })
		if err == unix.EAGAIN {
			return fmt.Errorf("connect: %w", os.ErrDeadlineExceeded)
		}
		if err != nil {
			return os.NewSyscallError("connect", err)
		}
		return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{}))
	})
}

// Accept waits for somebody to connect. The error is an [os.ErrClosed] where it can't be
// waited for any more; another, such as that of a limit on open files, may pass.
func Accept(listener *os.File) (*os.File, error) {
	if err := fault("accept"); err != nil {
		return nil, err
	}
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var aerr error
	err = raw.Read(func(l uintptr) bool {
		aerr = retry(func() (err error) { fd, err = accept(int(l)); return err })
		return aerr != unix.EAGAIN
	})
	if err != nil {
		return nil, errors.Join(os.ErrClosed, err)
	}
	if aerr != nil {
		return nil, os.NewSyscallError("accept", aerr)
	}
	return os.NewFile(uintptr(fd), "guest"), nil
}

// OpenPassed makes a file of a descriptor that was passed to this process.
func OpenPassed(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// AwaitReadable waits until a read wouldn't wait, and reads nothing. Closing the
// file ends the wait with an error.
func AwaitReadable(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return err == nil && n > 0
	})
}

// Descriptor is the number of an open file, to be passed on. Unlike [os.File.Fd], it
// leaves the file in non-blocking mode. The file stays open for as long as the number
// is used.
func Descriptor(f *os.File) int {
	n := -1
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) }) // closed: -1
	}
	return n
}

// HungUp says whether the other side of a connected socket has closed it.
func HungUp(sock *os.File) (gone bool) {
	if raw, err := sock.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			p := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP needs no asking
			n, err := unix.Poll(p, 0)
			gone = err == nil && n > 0 && p[0].Revents&unix.POLLHUP != 0
		})
	}
	return gone
}
