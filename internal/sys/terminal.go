package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// OpenTerminal opens the controlling terminal of this process's session (tty(4));
// an error says that there is none.
func OpenTerminal() (*os.File, error) {
	return os.OpenFile("/dev/tty", unix.O_RDWR|unix.O_NOCTTY, 0)
}

// IsTerminal says whether a file is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	return err == nil
}

// ForegroundGroup is the process group that a terminal's signals are for and that
// may read it (tcgetpgrp(3)).
func ForegroundGroup(tty *os.File) (int, error) {
	return unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
}

// InForeground says whether this process's group, own, is that one.
func InForeground(tty *os.File, own int) bool {
	group, err := ForegroundGroup(tty)
	return err == nil && group == own && (own != 0 || mayRead())
}

// SetForegroundGroup makes a group of this session that one. A caller in the
// background doesn't let SIGTTOU stop it.
func SetForegroundGroup(tty *os.File, pgid int) error {
	return os.NewSyscallError("tcsetpgrp", unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSPGRP, pgid))
}

// TakeTerminal is SetForegroundGroup for a caller that may be in the background, and isn't
// stopped for it.
func TakeTerminal(tty *os.File, pgid int) error {
	defer withoutTTOU()()
	return SetForegroundGroup(tty, pgid)
}

// DetachTerminal gives up the controlling terminal, which must be this one. Where
// this process leads its session, all of the session loses it, and its foreground
// group gets SIGHUP and SIGCONT (tty_ioctl(4)).
func DetachTerminal(tty *os.File) error {
	return os.NewSyscallError("ioctl", unix.IoctlSetInt(int(tty.Fd()), unix.TIOCNOTTY, 0))
}

// TerminalMode is how a terminal was set.
type TerminalMode struct{ termios *unix.Termios }

// Mode reads how a terminal is set (tcgetattr(3)).
func Mode(tty *os.File) (TerminalMode, error) {
	t, err := unix.IoctlGetTermios(int(tty.Fd()), getTermios)
	return TerminalMode{t}, err
}

// SetMode sets a terminal as it was, once what was written to it is out.
func SetMode(tty *os.File, m TerminalMode) error {
	return unix.IoctlSetTermios(int(tty.Fd()), setTermiosDrain, m.termios)
}

// SetRaw has a terminal pass on each key as it is typed, and show what is written to it
// as it is (cfmakeraw(3)).
func SetRaw(tty *os.File) error {
	t, err := unix.IoctlGetTermios(int(tty.Fd()), getTermios)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(int(tty.Fd()), setTermiosDrain, t)
}

// Getpgrp is the process group of this process.
func Getpgrp() int { return unix.Getpgrp() }

// LeadsSession says whether this process leads its session, so that no shell is
// there to continue it when it's stopped.
func LeadsSession() bool {
	sid, err := unix.Getsid(0)
	return err == nil && sid == os.Getpid()
}
