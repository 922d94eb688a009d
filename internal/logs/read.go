package logs

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io"
	"iter"
	"time"
	"unicode/utf8"

	"github.com/foster-init/foster/client"
)

func setText(line *client.Line, text []byte) {
	if utf8.Valid(text) {
		line.Text = string(text)
	} else {
		line.Raw = bytes.Clone(text)
	}
}

// Query is what Store.Read reads.
type Query struct {
	client.LogQuery
	// Logs are those that are read; what the query says of targets is for who gives
	// them. With Follow it is asked for again when there is another log.
	Logs func() ([]*Log, error)
	// Quiet is closed when nothing more will come: with Follow, the end, once all was
	// given. nil: never.
	Quiet <-chan struct{}
}

// reading is a query under way.
type reading struct {
	Query
	store   *Store
	asked   time.Time
	cursors []*cursor
	news    chan struct{} // of the logs; nil: it isn't followed
}

// Read gives the lines that a query asks for, of all its logs in the order of their times;
// those of one log are in the order in which they were read from its pipes. With Follow
// it goes on until ctx is done. What was written since Read was called is new to it, also
// where Newest asks for none of the old.
func (s *Store) Read(ctx context.Context, q Query) iter.Seq2[client.Line, error] {
	asked := time.Now().Truncate(time.Microsecond) // as lines have it
	return func(yield func(client.Line, error) bool) {
		r := &reading{Query: q, store: s, asked: asked}
		defer r.close()
		if err := r.run(ctx, func(l client.Line) bool { return yield(l, nil) }); err != nil && err != errEnough && ctx.Err() == nil {
			yield(client.Line{}, err)
		}
	}
}

var errEnough = errors.New("who asked has enough")

func (r *reading) run(ctx context.Context, yield func(client.Line) bool) error {
	if r.Follow {
		r.news = make(chan struct{}, 1)
		r.store.watch(r.news)
		defer r.store.unwatch(r.news)
	}
	since := r.Since
	if r.Newest < 0 {
		since = later(since, r.asked)
	}
	if err := r.addLogs(since); err != nil {
		return err
	}
	if err := r.backlog(ctx, yield); err != nil {
		return err
	}
	if !r.Follow {
		_, err := r.giveBegun(0, yield)
		return err
	}
	return r.follow(ctx, yield)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r *reading) close() {
	for _, c := range r.cursors {
		c.close()
		if r.news != nil {
			c.log.unwatch(r.news)
		}
	}
}

// addLogs puts a cursor before the oldest line since a time of each log that has none.
func (r *reading) addLogs(since time.Time) error {
	logs, err := r.Logs()
	if err != nil {
		return err
	}
	has := map[*Log]bool{}
	for _, c := range r.cursors {
		has[c.log] = true
	}
	for _, l := range logs {
		if has[l] {
			continue
		}
		has[l] = true
		c := &cursor{log: l, since: since}
		r.cursors = append(r.cursors, c)
		if r.news != nil {
			l.watch(r.news)
		}
		if c.bound, err = l.position(); err != nil {
			return err
		}
		if err := c.begin(); err != nil {
			return err
		}
	}
	return nil
}

// backlog gives what is there.
func (r *reading) backlog(ctx context.Context, yield func(client.Line) bool) error {
	if n := r.Newest; n > 0 {
		lines, err := r.newest(ctx, n)
		if err == errTooMuch {
			return r.mergeNewest(ctx, n, yield)
		}
		if err != nil {
			return err
		}
		r.toTheEnd()
		for _, l := range lines {
			if !yield(l) {
				return errEnough
			}
		}
		return nil
	}
	return r.merge(ctx, yield)
}

// toTheEnd puts the cursors behind all that is there.
func (r *reading) toTheEnd() {
	for _, c := range r.cursors {
		c.close()
		c.at, c.join = c.bound, nil
	}
}

// merge gives the lines up to the bounds, of all logs in the order of time.
func (r *reading) merge(ctx context.Context, yield func(client.Line) bool) error {
	var o order
	for _, c := range r.cursors {
		if err := r.advance(c); err != nil {
			return err
		}
		if c.head != nil {
			o = append(o, c)
		}
	}
	heap.Init(&o)
	for len(o) > 0 {
		first := o[0]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !yield(*first.head) {
			return errEnough
		}
		if err := r.advance(first); err != nil {
			return err
		}
		if first.head == nil {
			heap.Pop(&o)
		} else {
			heap.Fix(&o, 0)
		}
	}
	return nil
}

// advance reads the next line of a log that is asked for.
func (r *reading) advance(c *cursor) error {
	for {
		line, err := c.next(c.bound)
		if err == io.EOF {
			c.head = nil
			return nil
		}
		if err != nil {
			return err
		}
		c.key = later(c.key, line.Time)
		if r.wants(c, &line) {
			c.head = &line
			return nil
		}
	}
}

func (r *reading) wants(c *cursor, l *client.Line) bool {
	return (r.Stream == "" || l.Stream == r.Stream) &&
		!l.Time.Before(c.since) && (r.Until.IsZero() || !l.Time.After(r.Until))
}

// order is a heap of the logs that have a line, the oldest first.
type order []*cursor

func (o order) Len() int           { return len(o) }
func (o order) Less(a, b int) bool { return o[a].key.Before(o[b].key) }
func (o order) Swap(a, b int)      { o[a], o[b] = o[b], o[a] }
func (o *order) Push(c any)        { *o = append(*o, c.(*cursor)) }
func (o *order) Pop() any {
	last := len(*o) - 1
	c := (*o)[last]
	*o = (*o)[:last]
	return c
}
