package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// WindowSize is how many rows and columns a terminal has; 0: it doesn't say.
func WindowSize(tty *os.File) (rows, columns int, err error) {
	w, err := unix.IoctlGetWinsize(int(tty.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, err
	}
	return int(w.Row), int(w.Col), nil
}
