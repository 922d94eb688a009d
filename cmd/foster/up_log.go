package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// The daemon's own log: what foster up would show of itself on a terminal. It is the
// standard error of the daemon, in which Go's runtime writes, too.
const (
	logName    = "up.log"
	longestLog = 1 << 20
)

func (u *upper) logPath() string { return filepath.Join(u.folder, logName) }

// openLog opens the log of a daemon.
func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// ownLog is the log of this process. When it has become long, what it has is set aside;
// one that was is kept. So the disk holds no more than twice its length of it.
type ownLog struct {
	file *os.File
	path string
}

func (l *ownLog) Write(p []byte) (int, error) {
	if info, err := l.file.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > longestLog {
		l.setAside() // where that can't be, the old is lost rather than the new
		if err := l.file.Truncate(0); err != nil {
			return 0, err
		}
	}
	return l.file.Write(p)
}

// setAside copies the log: who writes to it has it open, and goes on.
func (l *ownLog) setAside() {
	from, err := os.Open(l.path)
	if err != nil {
		return
	}
	defer from.Close()
	aside := l.path + ".1"
	to, err := os.OpenFile(aside, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	_, err = io.Copy(to, from)
	if errors.Join(err, to.Close()) != nil {
		_ = os.Remove(aside) // half a log would tell half the truth
	}
}
