package sys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Owner is the user that a file belongs to, and -1 where that isn't known.
func Owner(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// Group is the group that a file belongs to, and -1 where that isn't known.
func Group(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Gid)
	}
	return -1
}

// Inode is the number of a file on its file system.
func Inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// WriteControl writes to a file by which the kernel is told something, as of a cgroup. It
// must be there.
func WriteControl(path, text string) error {
	if err := fault("write " + filepath.Base(path)); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: errors.Unwrap(err)}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// IsOpen says whether a file has a descriptor that is open.
func IsOpen(f *os.File) bool {
	fd := f.Fd()
	if fd == ^uintptr(0) {
		return false
	}
	_, err := unix.FcntlInt(fd, unix.F_GETFD, 0)
	return err == nil
}
