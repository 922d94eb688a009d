package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// lengthOf is how long the log is; 0 where there is none.
func lengthOf(log *os.File) int64 {
	info, err := log.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// mostSaid is how many of its last lines are told of a daemon that has ended.
const mostSaid = 3

// saidSince gives the last lines that a daemon has written to its log since that was as long.
// A crash is told by the line that begins it.
func saidSince(path string, length int64) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	size := lengthOf(file)
	if length > size { // it was set aside
		length = 0
	}
	const most = 64 << 10
	text, _ := io.ReadAll(io.NewSectionReader(file, max(length, size-most), most))
	var said []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return []string{line}
		}
		if _, after, ok := strings.Cut(line, " foster: "); ok { // after the time
			line = after
		}
		if line != "" {
			said = append(said, line)
		}
	}
	return said[max(0, len(said)-mostSaid):]
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
