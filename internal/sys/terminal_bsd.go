//go:build darwin || freebsd

package sys

import "golang.org/x/sys/unix"

const (
	getTermios      = unix.TIOCGETA
	setTermiosDrain = unix.TIOCSETAW
)
