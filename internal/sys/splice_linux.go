package sys

import "golang.org/x/sys/unix"

// move is splice(2) from a pipe to a file, without waiting.
func move(pipe, to int, off int64, most int) (n int, err error) {
	var moved int64
	err = retry(func() (err error) {
		moved, err = unix.Splice(pipe, nil, to, &off, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return err
	})
	if err == unix.EINVAL { // the file system can't, or it is no pipe
		return moveByReading(pipe, to, off, most)
	}
	return int(max(moved, 0)), err
}
