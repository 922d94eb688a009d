//go:build darwin || freebsd

package sys

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

const (
	getTermios      = unix.TIOCGETA
	setTermiosDrain = unix.TIOCSETAW
)

// mayRead is never asked: each process group has a number.
func mayRead() bool { return true }

// withoutTTOU ignores SIGTTOU until the function that it gives is called.
func withoutTTOU() (restore func()) {
	if signal.Ignored(unix.SIGTTOU) {
		return func() {}
	}
	signal.Ignore(unix.SIGTTOU)
	return func() { signal.Reset(unix.SIGTTOU) }
}
