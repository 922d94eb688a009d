package logs

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
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

// position is how far a log can be read.
func (l *Log) position() (position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recovered {
		return l.end, nil
	}
	return readEnd(l.dir)
}

// watch has a follower told of news of a log; it is undone by unwatch.
func (l *Log) watch(news chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers = append(l.followers, news)
}

func (l *Log) unwatch(news chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers = slices.DeleteFunc(l.followers, func(c chan struct{}) bool { return c == news })
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

// reading is a query under way.
type reading struct {
	query   client.LogQuery
	cursors []*cursor
	heads   []*client.Line // of each cursor; nil: none before its bound
	bounds  []position
	keys    []time.Time // by which they are merged: the time, but never back
	quiet   <-chan struct{}
	news    chan struct{} // of the logs; nil: it isn't followed
}

// Read gives the lines that a query asks for, of these logs, in the order of their times;
// those of one log are in the order in which they were read from its pipes. What the
// query says of targets is the caller's. With Follow it goes on until ctx is done, or quiet is
// closed, which says that nothing more will come, and all is given.
func Read(ctx context.Context, logs []*Log, query client.LogQuery, quiet <-chan struct{}) iter.Seq2[client.Line, error] {
	return func(yield func(client.Line, error) bool) {
		r := &reading{query: query, quiet: quiet}
		if query.Follow {
			r.news = make(chan struct{}, 1)
			defer func() {
				for _, l := range logs {
					l.unwatch(r.news)
				}
			}()
		}
		defer r.close()
		if err := r.begin(logs); err != nil {
			yield(client.Line{}, err)
			return
		}
		if err := r.run(ctx, func(l client.Line) bool { return yield(l, nil) }); err != nil && ctx.Err() == nil {
			yield(client.Line{}, err)
		}
	}
}

var errEnough = errors.New("who asked has enough")

func (r *reading) run(ctx context.Context, yield func(client.Line) bool) error {
	err := r.backlog(ctx, yield)
	if err == nil && r.query.Follow {
		err = r.follow(ctx, yield)
	}
	if err == errEnough {
		return nil
	}
	return err
}

func (r *reading) close() {
	for _, c := range r.cursors {
		c.close()
	}
}

// begin puts a cursor before the oldest line that may be asked for of each log.
func (r *reading) begin(logs []*Log) error {
	for _, l := range logs {
		if r.news != nil {
			l.watch(r.news)
		}
		end, err := l.position()
		if err != nil {
			return err
		}
		found, err := list(l.dir)
		if err != nil {
			return err
		}
		c := &cursor{log: l, at: end}
		for _, f := range slices.Backward(found.files) {
			if f.seq > end.seq {
				continue
			}
			if f.seq < end.seq && !r.query.Since.IsZero() && newest(l.dir, f).Before(r.query.Since) {
				break
			}
			c.at = position{seq: f.seq}
		}
		r.cursors = append(r.cursors, c)
		r.bounds = append(r.bounds, end)
	}
	r.heads = make([]*client.Line, len(logs))
	r.keys = make([]time.Time, len(logs))
	return nil
}

// newest is about the time of a file's last line.
func newest(dir string, f numbered) time.Time {
	path := logPath(dir, f.seq)
	if !f.plain {
		path += gzSuffix
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Now() // it is looked into
	}
	return info.ModTime().Add(time.Second)
}

// backlog gives what is there.
func (r *reading) backlog(ctx context.Context, yield func(client.Line) bool) error {
	switch n := r.query.Newest; {
	case n < 0:
		r.toTheEnd()
		return nil
	case n > 0:
		lines, err := r.newest(ctx, n)
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
	for n, c := range r.cursors {
		c.close()
		c.at, c.join = r.bounds[n], nil
	}
}

// merge gives the lines up to the bounds, of all logs in the order of time.
func (r *reading) merge(ctx context.Context, yield func(client.Line) bool) error {
	o := &order{reading: r}
	for n := range r.cursors {
		if err := r.advance(n); err != nil {
			return err
		}
		if r.heads[n] != nil {
			o.of = append(o.of, n)
		}
	}
	heap.Init(o)
	for len(o.of) > 0 {
		first := o.of[0]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !yield(*r.heads[first]) {
			return errEnough
		}
		if err := r.advance(first); err != nil {
			return err
		}
		if r.heads[first] == nil {
			heap.Pop(o)
		} else {
			heap.Fix(o, 0)
		}
	}
	return nil
}

// advance reads the next line of a log that is asked for.
func (r *reading) advance(n int) error {
	c := r.cursors[n]
	for {
		line, err := c.next(r.bounds[n])
		if err == io.EOF {
			r.heads[n] = nil
			return nil
		}
		if err != nil {
			return err
		}
		if line.Time.After(r.keys[n]) {
			r.keys[n] = line.Time
		}
		if r.wants(&line) {
			r.heads[n] = &line
			return nil
		}
	}
}

func (r *reading) wants(l *client.Line) bool {
	q := &r.query
	return (q.Stream == "" || l.Stream == q.Stream) &&
		(q.Since.IsZero() || !l.Time.Before(q.Since)) && (q.Until.IsZero() || !l.Time.After(q.Until))
}

// follow gives what comes.
func (r *reading) follow(ctx context.Context, yield func(client.Line) bool) error {
	if !r.query.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.query.Until)
		defer cancel()
	}
	for last := false; ; {
		more := false
		for n, c := range r.cursors {
			end, err := c.log.position()
			if err != nil {
				return err
			}
			more = more || r.bounds[n].before(end)
			r.bounds[n] = end
		}
		if more {
			if err := r.merge(ctx, yield); err != nil {
				return err
			}
			continue
		}
		if last {
			return nil
		}
		select {
		case <-r.news:
		case <-r.quiet:
			last = true
		case <-ctx.Done():
			return nil
		}
	}
}

// order is a heap of the logs that have a line, the oldest first.
type order struct {
	*reading
	of []int
}

func (o *order) Len() int { return len(o.of) }
func (o *order) Less(a, b int) bool {
	x, y := o.of[a], o.of[b]
	if c := o.keys[x].Compare(o.keys[y]); c != 0 {
		return c < 0
	}
	return x < y
}
func (o *order) Swap(a, b int) { o.of[a], o.of[b] = o.of[b], o.of[a] }
func (o *order) Push(n any)    { o.of = append(o.of, n.(int)) }
func (o *order) Pop() any {
	n := o.of[len(o.of)-1]
	o.of = o.of[:len(o.of)-1]
	return n
}
