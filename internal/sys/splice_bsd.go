//go:build darwin || freebsd

package sys

func move(pipe, to int, off int64, most int) (int, error) {
	return moveByReading(pipe, to, off, most)
}
