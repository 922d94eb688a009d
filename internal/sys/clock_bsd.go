//go:build darwin || freebsd

package sys

import (
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var began = time.Now()

func Now(bool) time.Duration { return time.Since(began) }

// Alarm is a timer of the runtime here: whether suspended time counts is the
// system's to say.
type Alarm struct {
	t      *time.Timer
	closed chan struct{}
}

func NewAlarm(bool) (*Alarm, error) {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Alarm{t, make(chan struct{})}, nil
}

func (a *Alarm) Set(d time.Duration) error { a.t.Reset(max(d, 1)); return nil }

func (a *Alarm) Wait() error {
	select {
	case <-a.t.C:
		return nil
	case <-a.closed:
		return io.EOF
	}
}

func (a *Alarm) Close() { close(a.closed) }

func ListenNotify(string) (*os.File, error) { return nil, unsupported("abstract socket") }

func ReceiveNotify(*os.File, []byte) (n, pid, uid int, err error) {
	return 0, 0, 0, unsupported("abstract socket")
}

func streamSocket() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	return fd, err
}

func accept(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, _, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(n)
		err = unix.SetNonblock(n, true)
	}
	return n, err
}

func GrowPipe(*os.File, int) {}
