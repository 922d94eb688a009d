//go:build linux || darwin

package sys

import "syscall"

func newRlimit(soft, hard uint64) syscall.Rlimit {
	return syscall.Rlimit{Cur: soft, Max: hard}
}
