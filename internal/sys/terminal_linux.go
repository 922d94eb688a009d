package sys

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	getTermios      = unix.TCGETS
	setTermiosDrain = unix.TCSETSW
)

// withoutTTOU blocks SIGTTOU in the calling thread until the function that it gives is called.
func withoutTTOU() (restore func()) {
	runtime.LockOSThread()
	var set, was unix.Sigset_t
	const bits = 8 * int(unsafe.Sizeof(set.Val[0]))
	set.Val[(int(unix.SIGTTOU)-1)/bits] |= 1 << ((int(unix.SIGTTOU) - 1) % bits)
	err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, &was)
	return func() {
		if err == nil {
			_ = unix.PthreadSigmask(unix.SIG_SETMASK, &was, nil) // it was set a moment ago
		}
		runtime.UnlockOSThread()
	}
}
