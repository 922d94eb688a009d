package sys

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostInTerminal is more than a terminal holds, which doesn't tell how much it does.
const mostInTerminal = 1 << 20

// Drain reads what a non-blocking descriptor holds now, and neither waits for more nor
// follows who goes on writing: it ends at the end of the file (io.EOF is not returned),
// where a read would block, or behind what a pipe held when it was called. What it read
// is handed to write.
func Drain(f *os.File, write func([]byte) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	left, err := holds(raw)
	if err != nil {
		return err
	}
	buf := make([]byte, min(left, 32<<10))
	for left > 0 {
		var n int
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			part := buf[:min(left, len(buf))]
			rerr = retry(func() (err error) { n, err = unix.Read(int(fd), part); return err })
			return true // never wait: what isn't there now isn't ours to wait for
		})
		if err != nil {
			return err
		}
		if n <= 0 {
			if rerr == unix.EAGAIN {
				return nil
			}
			return rerr
		}
		if err := write(buf[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// holds gives how much a pipe holds, and of anything else what is more than enough.
func holds(raw syscall.RawConn) (n int, err error) {
	n = mostInTerminal
	cerr := raw.Control(func(fd uintptr) {
		var st unix.Stat_t
		if err = retry(func() error { return unix.Fstat(int(fd), &st) }); err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			n, err = unix.IoctlGetInt(int(fd), fionread)
		}
	})
	return n, errors.Join(cerr, os.NewSyscallError("ioctl", err))
}
