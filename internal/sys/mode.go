package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// SetSocketMode sets the mode that the file of a unix socket will have when it is bound,
// less the umask. Where the system has no such thing, nothing changes.
func SetSocketMode(fd, mode int) { _ = unix.Fchmod(fd, uint32(mode)) }

// ChmodSocket sets the mode of the file of a unix socket. It follows no symbolic link, and
// leaves what isn't a socket alone: whoever may write the folder can replace the file.
func ChmodSocket(path string, mode int) error {
	err := chmodSocket(path, uint32(mode))
	if err != nil {
		return &os.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

// SetBlocking has reads, and what else waits, wait in the kernel.
func SetBlocking(fd int) error { return unix.SetNonblock(fd, false) }
