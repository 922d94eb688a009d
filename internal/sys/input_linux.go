package sys

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenInput makes an input that is empty and stays open: a pipe of which the reader is a
// writer, too. It never ends as long as somebody reads it, whoever else dies.
func OpenInput() (*os.File, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", ends[0]), unix.O_RDWR|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a pipe of /proc/self/fd for reading and writing: %w", err)
	}
	return os.NewFile(uintptr(fd), "input"), nil
}
