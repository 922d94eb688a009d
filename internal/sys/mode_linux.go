package sys

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// chmodSocket takes a handle, by which the file stays the same: fchmodat(2) follows links
// before Linux 6.6.
func chmodSocket(path string, mode uint32) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return unix.ENOTSOCK
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}
