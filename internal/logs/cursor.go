package logs

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/foster-init/foster/client"
)

// joinBound is how much of a line is put together from its parts. A longer one is given
// in pieces.
const joinBound = 16 << 20

// cursor reads a log from a place on, file after file, whether they are compressed or
// not. What it has open stays readable when it is removed.
type cursor struct {
	log    *Log
	since  time.Time // older lines aren't given
	at     position
	bound  position     // up to which it reads
	head   *client.Line // the next that is asked for; nil: there is none before bound
	key    time.Time    // by which it is merged: the time, but never back
	file   *os.File
	packed bool // it is compressed
	from   *upTo
	buf    *bufio.Reader
	long   []byte
	join   map[string][]byte // parts of lines, by stream
	last   time.Time
	begun  [2]begun // by stream
	torn   bool     // the last line's beginning was before where the cursor began
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
	}
	c.file, c.from, c.buf = nil, nil, nil
}

// next gives the next line before a position. io.EOF says that there is none yet.
func (c *cursor) next(bound position) (client.Line, error) {
	for {
		raw, err := c.line(bound)
		if err != nil {
			return client.Line{}, err
		}
		if line, whole := c.joined(raw); whole {
			return line, nil
		}
	}
}

// line gives the next line of the files, without its newline.
func (c *cursor) line(bound position) ([]byte, error) {
	for {
		if c.file == nil {
			if !c.at.before(bound) {
				return nil, io.EOF
			}
			if err := c.open(); err != nil {
				return nil, err
			}
			continue
		}
		ended, err := c.read(bound)
		switch {
		case err != nil && c.packed && c.at.seq < bound.seq && isDamage(err):
			return c.passDamaged(), nil
		case err != nil:
			return nil, err
		case !ended:
			c.at.off += int64(len(c.long))
			return bytes.TrimSuffix(c.long, []byte("\n")), nil
		case c.at.seq >= bound.seq:
			return nil, io.EOF
		}
		c.close()
		c.at = position{seq: c.at.seq + 1}
	}
}

// isDamage says whether an error is about what a compressed file has, and not about reading it.
func isDamage(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt || err == gzip.ErrHeader || err == gzip.ErrChecksum || err == io.ErrUnexpectedEOF
}

// passDamaged goes on with the file after a damaged one, so that the lines of that are read. It
// gives a line that tells of it.
func (c *cursor) passDamaged() []byte {
	if info, err := c.file.Stat(); err == nil && c.last.IsZero() {
		c.last = info.ModTime()
	}
	line := plainHead(nil, c.last, Foster, false, false)
	line = fmt.Appendf(line, "%s%s is damaged: the rest of it can't be read", filepath.Base(logPath("", c.at.seq)), gzSuffix)
	c.close()
	c.at = position{seq: c.at.seq + 1}
	return line
}

// read reads a line into c.long; ended says that the open file has none before bound.
func (c *cursor) read(bound position) (ended bool, err error) {
	c.long = c.long[:0]
	if c.at.seq == bound.seq && c.at.off >= bound.off {
		return true, nil
	}
	c.from.to = math.MaxInt64
	if c.at.seq == bound.seq {
		c.from.to = bound.off
	}
	for {
		part, err := c.buf.ReadSlice('\n')
		c.long = append(c.long, part...)
		switch {
		case err == nil:
			return false, nil
		case err == io.EOF:
			return len(c.long) == 0, nil // without a newline: somebody else has written it
		case !errors.Is(err, bufio.ErrBufferFull):
			return false, err
		}
	}
}

// open opens the file at the cursor's place, or, where that was removed, the next.
func (c *cursor) open() error {
	for range 3 { // it may be compressed between a look and the next
		path := logPath(c.log.dir, c.at.seq)
		f, err := openToRead(path)
		packed := errors.Is(err, fs.ErrNotExist)
		if packed {
			f, err = openToRead(path + gzSuffix)
		}
		if err == nil {
			c.file, c.packed = f, packed
			return c.seek()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	found, err := list(c.log.dir)
	if err != nil {
		return err
	}
	for _, f := range found.files {
		if f.seq > c.at.seq {
			c.at = position{seq: f.seq}
			return nil
		}
	}
	return io.EOF // all is gone
}

func (c *cursor) seek() error {
	c.from = &upTo{from: c.file, at: c.at.off}
	if c.packed {
		c.from.from = &unpacked{file: c.file, skip: c.at.off}
	} else if _, err := c.file.Seek(c.at.off, io.SeekStart); err != nil {
		return err
	}
	c.buf = bufio.NewReaderSize(c.from, 16<<10)
	return nil
}

// upTo reads a file up to a place, which may be moved: what is behind it is being written,
// and may be written anew.
type upTo struct {
	from   io.Reader
	at, to int64
}

func (u *upTo) Read(p []byte) (int, error) {
	if u.at >= u.to {
		return 0, io.EOF
	}
	n, err := u.from.Read(p[:min(int64(len(p)), u.to-u.at)])
	u.at += int64(n)
	return n, err
}

// unpacked reads a compressed file from a place on.
type unpacked struct {
	file *os.File
	skip int64
	zip  *gzip.Reader
}

func (u *unpacked) Read(p []byte) (n int, err error) {
	if u.zip == nil {
		if u.zip, err = gzip.NewReader(u.file); err != nil {
			u.zip = nil
			return 0, truncated(err)
		}
	}
	skipped, err := io.CopyN(io.Discard, u.zip, u.skip)
	if u.skip -= skipped; err != nil {
		return 0, err
	}
	return u.zip.Read(p)
}

// truncated is the error of a file that ends before its first byte.
func truncated(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// joined makes a line of its parts; it isn't whole while there are more to come.
func (c *cursor) joined(raw []byte) (client.Line, bool) {
	r, ok := parseRecord(raw)
	if !ok { // nobody knows whose it is
		r = record{time: c.last, stream: Stdout.String(), text: raw}
	}
	c.last = r.time
	before := c.join[r.stream]
	c.torn = r.more && before == nil
	if r.part && len(before)+len(r.text) <= joinBound {
		if c.join == nil {
			c.join = map[string][]byte{}
		}
		c.join[r.stream] = append(before, r.text...)
		return client.Line{}, false
	}
	text := r.text
	if before != nil {
		text = append(before, r.text...)
		delete(c.join, r.stream)
	}
	return c.log.line(r, text), true
}

func (l *Log) line(r record, text []byte) client.Line {
	line := client.Line{Time: r.time, App: l.app, Replica: l.replica, Stream: r.stream}
	setText(&line, text)
	return line
}
