//go:build darwin || freebsd

package sys

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OpenInput makes an input that is empty and stays open: a pipe of which the reader is a
// writer, too. It never ends as long as somebody reads it, whoever else dies.
func OpenInput() (*os.File, error) {
	dir, err := os.MkdirTemp("", "foster-input-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "input")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	var fd int
	err = retry(func() (err error) { fd, err = unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0); return err })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), "input"), nil
}
