package sys

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	getTermios      = unix.TCGETS
	setTermiosDrain = unix.TCSETSW
)

// mayRead says whether this process is in the foreground of its controlling terminal, where the
// number of its group doesn't tell: all groups from outside of a PID namespace have the number 0
// there. The kernel tells who reads nothing: EIO says that one in the background can't read, and
// isn't to be stopped for it.
func mayRead() bool {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	defer without(unix.SIGTTIN)()
	_, err = unix.Read(fd, nil)
	return !errors.Is(err, unix.EIO)
}

// withoutTTOU blocks SIGTTOU in the calling thread until the function that it gives is called.
func withoutTTOU() (restore func()) { return without(unix.SIGTTOU) }

func without(sig unix.Signal) (restore func()) {
	runtime.LockOSThread()
	var set, was unix.Sigset_t
	const bits = 8 * int(unsafe.Sizeof(set.Val[0]))
	set.Val[(int(sig)-1)/bits] |= 1 << ((int(sig) - 1) % bits)
	err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &was)
	return func() {
		if err == nil {
			_ = unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil) // it was set a moment ago
		}
		runtime.UnlockOSThread()
	}
}
