//go:build freebsd

package sys

import "syscall"

func newRlimit(soft, hard uint64) syscall.Rlimit {
	return syscall.Rlimit{Cur: int64(soft), Max: int64(hard)}
}
