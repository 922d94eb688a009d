package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// TryLock takes a lock on an open file, shared or alone, and says whether it got it
// (flock(2)). The lock belongs to the open file, not to the process: it's given back
// when the last descriptor of it is closed, in whichever process that is.
func TryLock(f *os.File, shared bool) (bool, error) {
	how := unix.LOCK_EX | unix.LOCK_NB
	if shared {
		how = unix.LOCK_SH | unix.LOCK_NB
	}
	err := retry(func() error { return unix.Flock(int(f.Fd()), how) })
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, os.NewSyscallError("flock", err)
}

// Unlock gives a lock back for all that hold it by this open file.
func Unlock(f *os.File) error {
	return os.NewSyscallError("flock", unix.Flock(int(f.Fd()), unix.LOCK_UN))
}
