package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// PipeReader is the reading end of a pipe whose data is moved elsewhere, and not read.
type PipeReader struct {
	raw syscall.RawConn
}

// NewPipeReader takes a pipe that doesn't block; it stays the caller's to close.
func NewPipeReader(f *os.File) (*PipeReader, error) {
	raw, err := f.SyscallConn()
	return &PipeReader{raw}, err
}

// Await waits until the pipe has data, or is at its end. It takes no buffer meanwhile.
// The file's read deadline bounds it.
func (p *PipeReader) Await() error {
	return p.raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		var n int
		err := retry(func() (err error) { n, err = unix.Poll(fds, 0); return err })
		return err != nil || n > 0
	})
}

// AtEnd says that the pipe holds nothing, and nobody can write to it any more.
func (p *PipeReader) AtEnd() (end bool) {
	_ = p.raw.Control(func(fd uintptr) { // it is closed: then the next step finds out
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		err := retry(func() (err error) { _, err = unix.Poll(fds, 0); return err })
		end = err == nil && fds[0].Revents&(unix.POLLIN|unix.POLLHUP) == unix.POLLHUP
	})
	return end
}

// Move moves up to most bytes of what the pipe holds to a file, at an offset. It is 0 at
// the end of the pipe; EAGAIN says that it holds nothing now.
//
// On Linux it is one step (splice(2)): a process that is killed in it has left each byte
// either in the pipe or in the file. Elsewhere, and on a file system without that, a kill
// can lose what is on its way.
func (p *PipeReader) Move(to *os.File, off int64, most int) (n int, err error) {
	if err := fault("splice"); err != nil {
		return 0, err
	}
	cerr := p.raw.Control(func(fd uintptr) { n, err = move(int(fd), int(to.Fd()), off, most) })
	if cerr != nil {
		return 0, cerr
	}
	return n, os.NewSyscallError("splice", err)
}

// Discard reads up to len(buf) bytes away.
func (p *PipeReader) Discard(buf []byte) (n int, err error) {
	cerr := p.raw.Control(func(fd uintptr) {
		err = retry(func() (err error) { n, err = unix.Read(int(fd), buf); return err })
	})
	if cerr != nil {
		return 0, cerr
	}
	return max(n, 0), os.NewSyscallError("read", err)
}

// moveByReading is move where nothing better can be had.
func moveByReading(pipe, to int, off int64, most int) (n int, err error) {
	buf := make([]byte, min(most, 64<<10))
	err = retry(func() (err error) { n, err = unix.Read(pipe, buf); return err })
	if err != nil {
		return 0, err
	}
	for done := 0; done < n; {
		m, err := unix.Pwrite(to, buf[done:n], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += m
	}
	return n, nil
}
