package sys

import (
	"os"
	"syscall"
)

// Owner is the user that a file belongs to, and -1 where that isn't known.
func Owner(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
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
