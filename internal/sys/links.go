package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Links gives the size of an open file, and how many names it has; 0: it was removed.
func Links(f *os.File) (size int64, names int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var st unix.Stat_t
	cerr := raw.Control(func(fd uintptr) {
		err = retry(func() error { return unix.Fstat(int(fd), &st) })
	})
	if cerr != nil {
		return 0, 0, cerr
	}
	return st.Size, int(st.Nlink), os.NewSyscallError("fstat", err)
}
