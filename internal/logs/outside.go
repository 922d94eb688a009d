package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// Others may do something to the files of a log while they are written to: logrotate(8)
// moves or cuts them, somebody removes them, or the whole folder. So each batch looks
// whether its files are as long as they were, and still have a name, and now and then,
// whether they have the names that they should. If not, another file is begun, and what was
// lost is told. As records are appended, and nothing is written behind the end of a file, no
// file ever has a hole.

// namesEvery is how often the names of files are looked at while they are written to.
const namesEvery = time.Second

// look finds out whether something was done to the files that are open, and repairs it.
func (l *Log) look() error {
	why, err := l.changed()
	if err != nil || why == "" {
		return err
	}
	return l.beginAnew(why)
}

// changed says what was done to the files that are open; "": nothing.
func (l *Log) changed() (why string, err error) {
	size, names, err := sys.Links(l.file)
	switch {
	case err != nil:
		return "", err
	case names == 0:
		return "was removed", nil
	case size < l.end.off:
		return "was cut", nil
	case size > l.end.off: // of an attempt that has failed, or by somebody else
		if err := cut(l.file, l.end.off); err != nil {
			return "can't be cut", nil
		}
	}
	for n := range l.spools {
		if s := &l.spools[n]; s.file != nil {
			size, names, err := sys.Links(s.file)
			if err != nil || names == 0 || size < s.size {
				return spoolChanged, err
			}
			if size > s.size { // of a step that has failed, or by somebody else
				if err := cut(s.file, s.size); err != nil {
					return "", err
				}
			}
		}
	}
	if now := time.Now(); now.Sub(l.looked) >= namesEvery {
		l.looked = now
		switch {
		case !has(logPath(l.dir, l.end.seq), l.file):
			return "was moved or replaced", nil
		case !has(filepath.Join(l.dir, stateFile), l.state):
			return spoolChanged, nil
		}
		for n := range l.spools {
			if s := &l.spools[n]; s.file != nil && !has(s.path(s.base), s.file) {
				return spoolChanged, nil
			}
		}
	}
	l.safe = l.end.off
	return "", nil
}

// spoolChanged is when something was done to another file of the folder than the log.
const spoolChanged = "is whole, but what is kept beside it was changed"

// has says whether a path is that of an open file, and not of a symbolic link to it.
func has(path string, f *os.File) bool {
	there, err := os.Lstat(path)
	mine, ferr := f.Stat()
	return err == nil && ferr == nil && os.SameFile(there, mine)
}

// cut makes a file shorter. One that is shorter already isn't made longer, which would
// leave a hole.
func cut(f *os.File, to int64) error {
	size, _, err := sys.Links(f)
	if err != nil || size <= to {
		return err
	}
	return f.Truncate(to)
}

// beginAnew writes to files that are as they should be, whatever was done to those before:
// the log goes on in another file. Of one that was removed, it has what was written since
// the last look.
func (l *Log) beginAnew(why string) error {
	l.looked = time.Time{} // where this fails, it is looked at again at once
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	lost := 0
	for n := range l.spools {
		unread, err := l.spools[n].restore()
		if err != nil {
			return err
		}
		lost += unread
	}
	if path := filepath.Join(l.dir, stateFile); l.state == nil || !has(path, l.state) {
		state, err := openState(l.dir)
		if err != nil {
			return err
		}
		if l.state != nil {
			l.state.Close()
		}
		l.state = state
	}
	var rescued []byte
	if from := l.file; from != nil && why == "was removed" && l.safe < l.end.off {
		rescued = make([]byte, min(l.end.off-l.safe, 8*batch))
		n, err := from.ReadAt(rescued, l.end.off-int64(len(rescued)))
		if rescued = rescued[:n]; err != nil && err != io.EOF {
			rescued = nil
		}
	}
	old, size := l.end, l.end.off-int64(len(rescued))
	if err := l.rotate(); err != nil {
		return err
	}
	if len(rescued) > 0 {
		if err := l.put(rescued, nil, 0, false); err != nil {
			return err
		}
	}
	l.safe = l.end.off
	l.tellChange(why, old.seq, size, lost)
	return nil
}

// tellChange tells what was lost by what was done to a file.
func (l *Log) tellChange(why string, seq uint64, size int64, unread int) {
	name := filepath.Base(logPath("", seq))
	text := fmt.Sprintf("%s %s", name, why)
	switch {
	case why == "was removed" && size > 0, why == "was cut":
		text = fmt.Sprintf("lines were lost: %s %s by somebody else, while it was in use", name, why)
	case why == "was moved or replaced":
		text = fmt.Sprintf("lines were lost to this log: %s %s by somebody else, while it was in use", name, why)
	}
	if unread > 0 {
		text += fmt.Sprintf("; %d bytes that weren't lines yet were lost", unread)
	}
	l.tellLoss(fmt.Sprintf("%s; it goes on in %s", text, filepath.Base(logPath("", l.end.seq))))
}

// tellLoss tells what the log hasn't, and should have.
func (l *Log) tellLoss(text string) {
	if l.store.lost != nil {
		l.store.lost(l.app, l.replica, text)
	}
}

// restore has a spool that is open in its place again, with what isn't used of it. It gives
// how many bytes of that are lost.
func (s *spool) restore() (lost int, err error) {
	if s.file == nil {
		return 0, nil
	}
	size, _, err := sys.Links(s.file)
	if err != nil {
		return 0, err
	}
	unused := int(s.end() - s.used)
	if size >= s.size && has(s.path(s.base), s.file) {
		return 0, nil
	}
	var rest []byte
	if size >= s.size {
		rest = make([]byte, unused) // a batch, and a line without its end
		if _, err := s.file.ReadAt(rest, s.used-s.base); err != nil {
			return 0, err
		}
	}
	// What is lost of the stream keeps its number: so no base is used twice.
	s.used = s.end() - int64(len(rest))
	s.scanned = s.used
	if len(rest) == 0 && unused > 0 {
		s.mid = false
	}
	file, err := s.write(rest)
	if err != nil {
		return 0, err
	}
	s.file.Close()
	s.file, s.base, s.size = file, s.used, int64(len(rest))
	return unused - len(rest), nil
}

// openFile opens the file that is written to, or begins another where something was done to
// it while nobody wrote.
func (l *Log) openFile() error {
	path := logPath(l.dir, l.end.seq)
	why := ""
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if l.end.off > 0 {
			why = "was removed"
		}
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		why = "was moved or replaced"
	case info.Size() < l.end.off:
		why = "was cut"
	}
	if why == "" {
		file, err := create(path, os.O_APPEND)
		if err == nil {
			l.file, l.safe, l.looked = file, l.end.off, time.Now()
			return l.settleEnd()
		}
		if !forbidden(err) {
			return err
		}
		why = "can't be written (" + errnoText(err) + ")"
	}
	return l.beginAnew(why)
}

// lookWhileQuiet is look for a log that nobody writes to now.
func (l *Log) lookWhileQuiet() {
	if !l.mu.TryLock() {
		return // somebody writes, and looks
	}
	defer l.mu.Unlock()
	if !l.recovered || l.end.off == 0 || l.file != nil {
		return
	}
	info, err := os.Lstat(logPath(l.dir, l.end.seq))
	if err == nil && info.Mode().IsRegular() && info.Size() >= l.end.off {
		return
	}
	_ = l.open() // what fails here is told with the next line
	l.close()
}

// Look finds out whether something was done to the files of logs that nobody writes to now.
// To those that are written to, it is seen by who writes.
func (s *Store) Look() {
	for _, l := range s.all() {
		l.lookWhileQuiet()
	}
}

// forbidden says whether an error is about one file, so that another may do.
func forbidden(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// errnoText is the system's word in an error, without the paths.
func errnoText(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	return err.Error()
}

// openToRead opens a file of a log to be read. What isn't a regular file, and so is
// somebody else's, isn't there.
func openToRead(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	return f, nil
}

// create opens a file of a log, and makes it where there is none. Nothing but a regular
// file is opened, and no symbolic link is followed.
func create(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, &fs.PathError{Op: "open", Path: path, Err: errIrregular})
	}
	return f, nil
}

var errIrregular = errors.New("it is no regular file")

// createNew is create for a file that is to be new. What has its name and isn't a file of
// its own is removed, be it a symbolic link or an empty folder.
func createNew(path string) (*os.File, error) {
	f, err := create(path, os.O_TRUNC)
	if err == nil || forbidden(err) || !occupied(path) {
		return f, err
	}
	if rerr := os.Remove(path); rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	return create(path, os.O_TRUNC)
}

// occupied says whether a name is that of something else than a regular file.
func occupied(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && !info.Mode().IsRegular()
}

// openState opens the file of a log's state.
func openState(dir string) (*os.File, error) {
	path := filepath.Join(dir, stateFile)
	if occupied(path) {
		return createNew(path)
	}
	return create(path, 0)
}
