//go:build darwin || freebsd

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// AwaitExitOr waits until a process has ended, a child or not, or until the other
// side of a pipe is closed; gone is asked once the kernel watches the process, since
// it doesn't tell of an end before that. It reaps nothing.
func AwaitExitOr(pid int, stop *os.File, gone func() bool) (ended bool, err error) {
	kq, err := unix.Kqueue()
	if err != nil {
		return false, os.NewSyscallError("kqueue", err)
	}
	defer unix.Close(kq)
	unix.CloseOnExec(kq)
	change := make([]unix.Kevent_t, 2)
	unix.SetKevent(&change[0], Descriptor(stop), unix.EVFILT_READ, unix.EV_ADD)
	unix.SetKevent(&change[1], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change[1].Fflags = unix.NOTE_EXIT
	if _, err := unix.Kevent(kq, change, nil, nil); err != nil {
		if err == unix.ESRCH {
			return true, nil
		}
		return false, os.NewSyscallError("kevent", err)
	}
	if gone() {
		return true, nil
	}
	event := make([]unix.Kevent_t, 1)
	err = retry(func() error { _, err := unix.Kevent(kq, nil, event, nil); return err })
	return event[0].Filter == unix.EVFILT_PROC, os.NewSyscallError("kevent", err)
}

// Exists says whether there is a process of that number, also where it may not be
// signalled.
func Exists(pid int) bool { return pid > 0 && unix.Kill(pid, 0) != unix.ESRCH }
