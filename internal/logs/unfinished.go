package logs

import (
	"time"

	"github.com/foster-init/foster/client"
)

// A line that has begun and not ended is in no file of the log yet: it is in the spool. A
// prompt is such a line, and whoever waits for an answer wants to see it.

const (
	// quietTime is how long nothing more has come when what was begun of a line is given.
	quietTime = 200 * time.Millisecond
	// longestBegun is what may be a prompt.
	longestBegun = 4 << 10
)

// begun is what a reader knows of a line that has begun.
type begun struct {
	end   int64 // of the stream
	since time.Time
	given bool
}

// begunEnd is where a stream ends in which a line has begun; 0: none has, or it is no
// prompt, or lines before it weren't read yet.
func (l *Log) begunEnd(stream Stream, read position) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.spools[stream]
	if !l.recovered || s.mid || s.used == s.end() || s.end()-s.used > longestBegun || read.before(l.end) {
		return 0
	}
	return s.end()
}

// begunText reads what has begun, if it still ends there.
func (l *Log) begunText(stream Stream, end int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.spools[stream]
	if s.end() != end || s.used == end || end-s.used > longestBegun {
		return nil
	}
	buf := make([]byte, end-s.used)
	if s.file != nil {
		buf, _ = s.read(buf, s.used) // what can't be read isn't shown before its end
		return buf
	}
	f, err := openToRead(s.path(s.base))
	if err != nil {
		return nil
	}
	defer f.Close()
	n, _ := f.ReadAt(buf, s.used-s.base)
	return buf[:n]
}

// giveBegun gives the lines that have begun and were quiet for a time, and says when to
// look again; 0: when there is news.
func (r *reading) giveBegun(quiet time.Duration, yield func(client.Line) bool) (again time.Duration, err error) {
	if !r.Unfinished {
		return 0, nil
	}
	for _, c := range r.cursors {
		for stream := range c.begun {
			b := &c.begun[stream]
			if r.Stream != "" && r.Stream != Stream(stream).String() {
				continue
			}
			end := c.log.begunEnd(Stream(stream), c.bound)
			if end != b.end {
				*b = begun{end: end, since: time.Now()}
			}
			wait := quiet - time.Since(b.since)
			switch {
			case end == 0 || b.given:
			case wait > 0:
				again = max(1, min(wait, orLonger(again)))
			default:
				b.given = true
				line := client.Line{Time: time.Now(), App: c.log.app, Replica: c.log.replica, Stream: Stream(stream).String(), Unfinished: true}
				if text := c.log.begunText(Stream(stream), end); len(text) > 0 {
					setText(&line, text)
					if !yield(line) {
						return 0, errEnough
					}
				}
			}
		}
	}
	return again, nil
}

// orLonger is a time to wait, or a long one where there is none.
func orLonger(d time.Duration) time.Duration {
	if d == 0 {
		return quietTime
	}
	return d
}
