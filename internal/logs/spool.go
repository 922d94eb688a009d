package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// spool is the file that the data of one stream passes through. Its name ends in the
// number of bytes that the stream had before the file's first, since it began: so the
// file can be replaced by a shorter one, and what the state says stays true.
//
// A line without its end waits here, not in memory.
type spool struct {
	log     *Log
	stream  Stream
	busy    sync.Mutex // held by the capture that fills it
	heard   func(line []byte)
	file    *os.File
	base    int64 // what the stream had before this file
	size    int64 // of the file
	used    int64 // of the stream, what the log has of it
	scanned int64 // of the stream, up to where no newline is after used
	mid     bool  // what was used last is a part of a line

	torn    bool          // something was dropped since the log could be written last
	dropped atomic.Uint64 // whole lines of it
	skip    bool          // the beginning of a line was dropped: its rest is, too
}

// spoolBound is the size at which a spool is replaced by a new one.
const spoolBound = 1 << 20

func (s *spool) end() int64 { return s.base + s.size }

func (s *spool) path(base int64) string {
	return filepath.Join(s.log.dir, fmt.Sprintf("%s.spool.%016x", s.stream, base))
}

// open opens the spool; a new one where there is none.
func (s *spool) open() (err error) {
	if s.file != nil {
		return nil
	}
	if s.size == 0 {
		s.base = s.used
	}
	file, err := create(s.path(s.base), 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, errIrregular) || errors.Is(err, syscall.EISDIR) {
		file, err = createNew(s.path(s.base))
	}
	if err != nil {
		return err
	}
	if size, _, err := sys.Links(file); err != nil || size != s.size { // somebody else has cut it, or what was written isn't known
		err = errors.Join(err, cut(file, s.size))
		if err == nil && size < s.size {
			s.log.tellLoss(fmt.Sprintf("%d bytes that weren't lines yet were lost: %s was removed or cut by somebody else", s.end()-s.used, filepath.Base(s.path(s.base))))
			s.used, s.mid = s.end(), false
			s.scanned, s.base, s.size = s.used, s.used, 0
			err = file.Truncate(0)
		}
		if err != nil {
			file.Close()
			return err
		}
	}
	s.file = file
	return nil
}

// close closes the spool, and removes it where nothing is in it.
func (s *spool) close() {
	if s.file == nil {
		return
	}
	s.file.Close()
	s.file = nil
	if s.used == s.end() && os.Remove(s.path(s.base)) == nil {
		s.base, s.size = s.used, 0
	}
}

// renew replaces a spool that has become long by one that has only what isn't used.
// There is a moment in which both are there; the newer one is whole then.
func (s *spool) renew(b *buffers) error {
	if s.size < spoolBound || s.end()-s.used > batch {
		return nil
	}
	rest := b.in[:s.end()-s.used]
	if _, err := s.file.ReadAt(rest, s.used-s.base); err != nil {
		return err
	}
	file, err := s.write(rest)
	if err != nil {
		return err
	}
	old := s.path(s.base)
	s.file.Close()
	s.file, s.base, s.size = file, s.used, int64(len(rest))
	return os.Remove(old)
}

// write makes a spool that begins with what isn't used.
func (s *spool) write(rest []byte) (*os.File, error) {
	next := s.path(s.used)
	file, err := createNew(next + tmpSuffix)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		_, err = file.WriteAt(rest, 0)
	}
	if err == nil {
		err = os.Rename(next+tmpSuffix, next)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// pending reads what isn't used: as much as can be written now. It is nil where that is
// the beginning of a line whose end isn't there; with all, it is given as well.
func (s *spool) pending(buf []byte, all bool) ([]byte, error) {
	if fresh := s.end() - s.scanned; s.scanned > s.used && s.end()-s.used < batch && !all {
		part, err := s.read(buf[:fresh], s.scanned)
		if err != nil || bytes.IndexByte(part, '\n') < 0 {
			s.scanned = s.end()
			return nil, err
		}
	}
	return s.read(buf[:min(int64(len(buf)), s.end()-s.used)], s.used)
}

func (s *spool) read(buf []byte, from int64) ([]byte, error) {
	n, err := s.file.ReadAt(buf, from-s.base)
	if err == io.EOF && n < len(buf) {
		err = fmt.Errorf("%s: %d bytes are missing", s.path(s.base), len(buf)-n)
	}
	if err == io.EOF {
		err = nil
	}
	return buf[:n], err
}
