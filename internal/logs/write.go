package logs

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// turn moves what a pipe holds, at most a batch of it, to the spool, and writes the whole
// lines of it to the log. It returns how much it has moved.
func (l *Log) turn(s *spool, from *sys.PipeReader) (n int, err error) {
	b := l.store.takeBuffers()
	defer l.store.giveBuffers(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(s, b); err != nil {
		return 0, err
	}
	if n, err = from.Move(s.file, s.size, batch); n == 0 {
		return 0, err
	}
	s.size += int64(n)
	l.bytes.Add(uint64(n))
	if s.skip {
		if err := l.skipLine(s, b); err != nil {
			return n, err
		}
	}
	if err := l.write(s, b, false); err != nil {
		return n, err
	}
	if s.used < s.end() {
		l.watchers.tell() // a line has begun
	}
	return n, s.renew(b)
}

// ready opens what a turn needs, and writes first what couldn't be written before.
func (l *Log) ready(s *spool, b *buffers) error {
	if err := l.open(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	if s.torn {
		return l.resume(s, b)
	}
	if s.end()-s.used >= batch {
		return l.write(s, b, false)
	}
	return nil
}

// resume writes what the spool has when there is room again, and how many lines were
// dropped since. A line whose rest is among them isn't written, and one that was begun is
// ended.
func (l *Log) resume(s *spool, b *buffers) error {
	if err := l.write(s, b, false); err != nil {
		return err
	}
	if s.mid {
		if err := l.writePart(s, b, nil, false); err != nil {
			return err
		}
	}
	dropped := s.dropped.Load()
	if s.skip {
		dropped++
	}
	text := fmt.Sprintf("%d lines of %s were dropped here: %s", dropped, s.stream, l.trouble)
	b.out = l.appendRecord(b.out[:0], time.Now(), Foster, false, false, []byte(text))
	if err := l.put(b.out, s, s.end(), false); err != nil {
		return err
	}
	l.dropped.Add(dropped)
	s.dropped.Store(0)
	s.torn = false
	l.tellLoss(fmt.Sprintf("%d lines of %s were lost: %s", dropped, s.stream, l.trouble))
	return nil
}

// skipLine uses up the rest of a line whose beginning was dropped.
func (l *Log) skipLine(s *spool, b *buffers) error {
	chunk, err := s.pending(b.in, true)
	if err != nil {
		return err
	}
	n := bytes.IndexByte(chunk, '\n') + 1
	s.skip = n == 0
	if s.skip {
		n = len(chunk)
	}
	return l.commit(l.end, s, s.used+int64(n), s.mid)
}

// write writes what the spool has of whole lines; with all, also a line without its end.
func (l *Log) write(s *spool, b *buffers, all bool) error {
	for s.used < s.end() {
		chunk, err := s.pending(b.in, all)
		if err != nil || chunk == nil {
			return err
		}
		whole := bytes.LastIndexByte(chunk, '\n') + 1
		switch {
		case whole > 0:
			err = l.writeLines(s, b, chunk[:whole])
		case all:
			err = l.writePart(s, b, chunk, false)
		case len(chunk) >= batch:
			err = l.writePart(s, b, chunk, true)
		default:
			s.scanned = s.end()
			return nil
		}
		if err != nil {
			return err
		}
	}
	if all && s.mid {
		return l.writePart(s, b, nil, false)
	}
	return nil
}

// writeLines writes whole lines, and begins another file wherever one is full.
func (l *Log) writeLines(s *spool, b *buffers, chunk []byte) error {
	now := time.Now()
	for len(chunk) > 0 {
		if err := l.rotateIfDue(now); err != nil {
			return err
		}
		out, used, lines := l.appendLines(b.out[:0], chunk, now, s.stream, s.mid, l.room(), l.end.off == 0)
		b.out = out
		if used == 0 {
			if err := l.rotate(); err != nil {
				return err
			}
			continue
		}
		if err := l.put(out, s, s.used+int64(used), false); err != nil {
			return err
		}
		l.lines.Add(uint64(lines))
		s.hear(chunk[:used])
		chunk = chunk[used:]
	}
	return nil
}

// writePart writes a line that has no end yet; part says that it will go on.
func (l *Log) writePart(s *spool, b *buffers, chunk []byte, part bool) error {
	now := time.Now()
	if err := l.rotateIfDue(now); err != nil {
		return err
	}
	b.out = l.appendRecord(b.out[:0], now, s.stream, part, s.mid, chunk)
	if int64(len(b.out)) > l.room() && l.end.off > 0 {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if err := l.put(b.out, s, s.used+int64(len(chunk)), part); err != nil {
		return err
	}
	if !part {
		l.lines.Add(1)
	}
	s.hear(chunk)
	return nil
}

// room is what the open file still takes.
func (l *Log) room() int64 {
	if l.policy.MaxSize <= 0 {
		return math.MaxInt64
	}
	return max(0, l.policy.MaxSize-l.end.off)
}

// put writes records to the end of the log, and commits.
func (l *Log) put(out []byte, s *spool, used int64, mid bool) error {
	if l.end.off == 0 {
		l.born = time.Now()
	}
	_, err := l.file.Write(out) // to its end, wherever that is by now
	if forbidden(err) {         // it was made read-only
		if err = l.beginAnew("can't be written any more (" + errnoText(err) + ")"); err == nil {
			_, err = l.file.Write(out)
		}
	}
	if err == nil {
		err = l.commit(position{l.end.seq, l.end.off + int64(len(out))}, s, used, mid)
	}
	if err != nil {
		_ = cut(l.file, l.end.off) // it is written again; who opens the log next cuts it, too
	}
	return err
}

// hear tells who listens of lines.
func (s *spool) hear(chunk []byte) {
	if s.heard == nil {
		return
	}
	for line := range bytes.Lines(chunk) {
		s.heard(bytes.TrimSuffix(line, []byte("\n")))
	}
}
