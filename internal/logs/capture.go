package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// Capture writes what comes out of one pipe to a log.
type Capture struct {
	log       *Log
	spool     *spool
	pipe      *os.File
	from      *sys.PipeReader
	heard     func(line []byte)
	fresh     bool
	open      bool
	atEnd     bool
	failing   bool
	retry     time.Time // when the next attempt is due, where it fails
	worked    time.Time
	moved     int // in the last wake
	finishing atomic.Bool
	finish    chan struct{}
	done      chan struct{}
}

const (
	linger     = time.Second // after which the files of a quiet log are closed
	retryEvery = time.Second
	// Small writes that come fast are gathered: who has been woken shortly before, for
	// little, waits a moment.
	shortly = 5 * time.Millisecond
	little  = 64 << 10
	gather  = 2 * time.Millisecond
	// restBound bounds what is read once the tree has ended: more than a pipe holds can
	// only come from somebody outside.
	restBound = 2 << 20
)

// Capture begins to write what comes out of a pipe, which it closes. fresh says that it
// is of a new run: what an earlier one has left of a line is one then. heard, where it
// isn't nil, is called with each line, which is only valid meanwhile. A capture of the
// same stream waits until the one before has come to its end.
func (l *Log) Capture(stream Stream, pipe *os.File, fresh bool, heard func(line []byte)) (*Capture, error) {
	from, err := sys.NewPipeReader(pipe)
	if err != nil {
		pipe.Close()
		return nil, err
	}
	c := &Capture{
		log: l, spool: &l.spools[stream], pipe: pipe, from: from, fresh: fresh, heard: heard,
		finish: make(chan struct{}), done: make(chan struct{}),
	}
	go c.run()
	return c, nil
}

// EndLines writes what an earlier run has left of a line. It is called before another starts:
// who is killed before it captures that one's output leaves it to a supervisor that can't tell.
func (l *Log) EndLines() {
	for n := range l.spools {
		if s := &l.spools[n]; s.busy.TryLock() { // else a capture does so at its end
			l.flush(s)
			s.busy.Unlock()
		}
	}
}

// Finish says that the tree has ended: what the pipe holds now is the rest.
func (c *Capture) Finish() {
	if c.finishing.Swap(true) {
		return
	}
	close(c.finish)
	_ = c.pipe.SetReadDeadline(time.Unix(1, 0)) // closed: it is at its end
}

// Done is closed when all is written.
func (c *Capture) Done() <-chan struct{} { return c.done }

func (c *Capture) run() {
	defer close(c.done)
	c.spool.busy.Lock()
	defer c.spool.busy.Unlock()
	defer c.pipe.Close()
	if c.fresh {
		c.log.flush(c.spool) // of an earlier run: nobody listens
	}
	c.spool.heard = c.heard
	for !c.atEnd && c.await() {
		c.work()
	}
	c.rest()
	c.spool.heard = nil
}

// await waits until there is something to do. It is false when the tree has ended.
func (c *Capture) await() bool {
	for {
		if c.finishing.Load() {
			return false
		}
		err := c.from.Await()
		switch {
		case err == nil:
			return true
		case !errors.Is(err, os.ErrDeadlineExceeded) || c.finishing.Load():
			return false
		}
		_ = c.pipe.SetReadDeadline(time.Time{}) // it can be set: it was
		if c.finishing.Load() {
			return false
		}
		if c.failing {
			return true
		}
		c.close()
	}
}

func (c *Capture) close() {
	if c.open {
		c.log.leave(c.spool)
		c.open = false
	}
}

// work writes until the pipe is empty.
func (c *Capture) work() {
	if c.moved < little && time.Since(c.worked) < shortly {
		time.Sleep(gather)
	}
	c.moved = 0
	for !c.finishing.Load() {
		n, err := c.turn()
		c.moved += n
		if errors.Is(err, syscall.EAGAIN) || c.atEnd {
			break
		}
		if err != nil {
			c.failed(err)
			break
		}
	}
	c.worked = time.Now()
	wait := linger
	if c.failing {
		wait = time.Until(c.retry)
	}
	_ = c.pipe.SetReadDeadline(c.worked.Add(wait)) // it was made for that
}

// turn is a turn of the log, or, until the next attempt where it fails, none.
func (c *Capture) turn() (n int, err error) {
	if c.failing && time.Now().Before(c.retry) {
		return c.discard()
	}
	if !c.open {
		if c.from.AtEnd() { // who has said nothing needs no files
			c.atEnd = true
			return 0, nil
		}
		c.log.enter()
		c.open = true
	}
	n, err = c.log.turn(c.spool, c.from)
	if err == nil || errors.Is(err, syscall.EAGAIN) {
		c.atEnd = err == nil && n == 0
		if c.failing {
			c.failing = false
			c.log.tell(nil)
		}
	}
	return n, err
}

// failed takes the news that the log can't be written: the application waits, or goes on
// and its lines are dropped.
func (c *Capture) failed(err error) {
	c.log.tell(err)
	c.failing, c.retry = true, time.Now().Add(retryEvery)
	if c.log.blocks() && isFull(err) {
		clock := time.NewTimer(retryEvery)
		defer clock.Stop()
		select {
		case <-clock.C:
		case <-c.finish:
		}
		c.retry = time.Time{}
		return
	}
}

func (l *Log) blocks() bool {
	p := l.wanted.Load()
	return p != nil && p.Block
}

// isFull says whether an error passes when somebody makes room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// discard drops what the pipe holds, and counts the lines.
func (c *Capture) discard() (n int, err error) {
	b := c.log.store.takeBuffers()
	defer c.log.store.giveBuffers(b)
	if n, err = c.from.Discard(b.in); n == 0 {
		c.atEnd = err == nil
		return 0, err
	}
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	s := c.spool
	s.torn, s.skip = true, b.in[n-1] != '\n'
	s.dropped.Add(uint64(bytes.Count(b.in[:n], []byte("\n"))))
	c.log.bytes.Add(uint64(n))
	return n, nil
}

// rest writes what the pipe holds when the tree has ended.
func (c *Capture) rest() {
	c.retry = time.Time{}
	for moved := 0; moved < restBound && !c.atEnd; {
		n, err := c.turn()
		moved += n
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			c.failed(err)
			c.retry = time.Now().Add(time.Hour) // who would wait for room has ended: it is dropped
		}
	}
	if c.failing {
		c.log.tellLoss(fmt.Sprintf("%d lines of %s were lost at the end of the run: %s", c.spool.dropped.Load(), c.spool.stream, c.log.told()))
	} else {
		c.log.flush(c.spool)
	}
	c.close()
}

// flush writes what is in a spool to the end, also a line that has none.
func (l *Log) flush(s *spool) {
	l.enter()
	defer l.leave(s)
	if err := l.flushSpool(s); err != nil {
		l.tell(err)
	}
}

func (l *Log) flushSpool(s *spool) error {
	b := l.store.takeBuffers()
	defer l.store.giveBuffers(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.recovered {
		if _, err := os.Stat(l.dir); err != nil {
			return nil // there is none
		}
	} else if s.used == s.end() && !s.mid {
		return nil
	}
	if err := l.ready(s, b); err != nil {
		return err
	}
	return l.write(s, b, true)
}
