package logs

import (
	"context"
	"slices"
	"time"

	"github.com/foster-init/foster/client"
)

// watchers are told of news: each has a channel with room for one.
type watchers []chan struct{}

func (w watchers) tell() {
	for _, news := range w {
		select {
		case news <- struct{}{}:
		default: // it is told already
		}
	}
}

func (w *watchers) add(news chan struct{}) { *w = append(*w, news) }

func (w *watchers) remove(news chan struct{}) {
	*w = slices.DeleteFunc(*w, func(c chan struct{}) bool { return c == news })
}

// watch has a follower told of new lines; it is undone by unwatch.
func (l *Log) watch(news chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers.add(news)
}

func (l *Log) unwatch(news chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers.remove(news)
}

// watch has a follower told of new logs; it is undone by unwatch.
func (s *Store) watch(news chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers.add(news)
}

func (s *Store) unwatch(news chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers.remove(news)
}

// count is another number when there is another log.
func (s *Store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made
}

// position is how far a log can be read.
func (l *Log) position() (position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recovered {
		return l.end, nil
	}
	return readEnd(l.dir)
}

// readEnd is where a log ends that nobody writes to.
func readEnd(dir string) (position, error) {
	st, known, err := readState(dir)
	if err != nil || known {
		return st.end, err
	}
	found, err := list(dir)
	if err != nil {
		return position{}, err
	}
	return lastWhole(dir, found.files)
}

// follow gives what comes.
func (r *reading) follow(ctx context.Context, yield func(client.Line) bool) error {
	if !r.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.Until)
		defer cancel()
	}
	since := later(r.Since, r.asked)
	known := 0 // logs
	for last := false; ; {
		if n := r.store.count(); n != known {
			known = n
			had := len(r.cursors)
			_ = r.addLogs(since) // who could say which has ended: so it stays as it is
			for _, c := range r.cursors[had:] {
				c.bound = position{} // nothing of it was given yet
			}
		}
		more, err := r.look()
		if err != nil {
			return err
		}
		switch {
		case more:
			if err := r.merge(ctx, yield); err != nil {
				return err
			}
			continue
		case last:
			return nil
		}
		again, err := r.giveBegun(quietTime, yield)
		if err != nil {
			return err
		}
		var clock <-chan time.Time
		if again > 0 {
			clock = time.After(again)
		}
		select {
		case <-r.news:
		case <-clock:
		case <-r.Quiet:
			last = true
		case <-ctx.Done():
			return nil
		}
	}
}

// look moves the bounds to what there is now, and says whether it is more.
func (r *reading) look() (more bool, err error) {
	for _, c := range r.cursors {
		end, err := c.log.position()
		if err != nil {
			return false, err
		}
		more = more || c.bound.before(end)
		c.bound = end
	}
	return more, nil
}

// begin finds where a cursor begins: before the first line since its time.
func (c *cursor) begin() error {
	found, err := list(c.log.dir)
	if err != nil {
		return err
	}
	c.at = c.bound
	oldest := c.bound
	for _, f := range found.files {
		if f.seq <= c.bound.seq {
			oldest = position{seq: f.seq}
			break
		}
	}
	if c.since.IsZero() || oldest == c.bound {
		c.at = oldest
		return nil
	}
	for look := int64(firstLook); ; look *= 4 {
		from, first, err := lookBack(c.log.dir, oldest, c.bound, look)
		if err != nil {
			return err
		}
		if c.at = from; first {
			return nil
		}
		probe := &cursor{log: c.log, at: from}
		raw, err := probe.line(c.bound)
		probe.close()
		if err != nil {
			continue // nothing is there: it lies further back
		}
		if r, ok := parseRecord(raw); ok && !r.more && r.time.Before(c.since.Add(-time.Millisecond)) {
			return nil
		}
	}
}
