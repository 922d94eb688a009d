package sys

import "golang.org/x/sys/unix"

// SetSocketMode sets the mode that the file of a unix socket will have when it is bound,
// less the umask. Where the system has no such thing, nothing changes.
func SetSocketMode(fd, mode int) { _ = unix.Fchmod(fd, uint32(mode)) }

// SetBlocking has reads, and what else waits, wait in the kernel.
func SetBlocking(fd int) error { return unix.SetNonblock(fd, false) }
