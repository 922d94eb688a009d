package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// viewer is one who is attached to a terminal.
type viewer struct {
	terminal *terminal
	closed   chan struct{}

	mu    sync.Mutex
	news  *sync.Cond
	kept  []byte // what it hasn't read yet
	over  bool
	cause error // of the end; nil: the run has ended
}

// mostBehind is how much one who is attached may leave unread. Who is slower is sent
// away: a terminal of which a part is missing shows nonsense.
const mostBehind = 1 << 20

var errTooSlow = errors.New("too much was written that wasn't read here: attach again")

// attach adds one; nil where the run has ended.
func (t *terminal) attach() *viewer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil
	}
	v := &viewer{terminal: t, closed: make(chan struct{})}
	v.news = sync.NewCond(&v.mu)
	t.viewers[v] = true
	return v
}

func (v *viewer) take(p []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.kept)+len(p) > mostBehind {
		v.stop(errTooSlow)
	}
	if !v.over {
		v.kept = append(v.kept, p...)
		v.news.Broadcast()
	}
}

func (v *viewer) end(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stop(cause)
}

func (v *viewer) stop(cause error) {
	if !v.over {
		v.over, v.cause = true, cause
		close(v.closed)
		v.news.Broadcast()
	}
}

// Read waits for what the application writes. At the end of its run it is io.EOF.
func (v *viewer) Read(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(v.kept) == 0 && !v.over {
		v.news.Wait()
	}
	if len(v.kept) == 0 && v.cause != nil {
		return 0, v.cause
	}
	if len(v.kept) == 0 {
		return 0, io.EOF
	}
	n := copy(p, v.kept)
	if v.kept = v.kept[n:]; len(v.kept) == 0 {
		v.kept = nil
	}
	return n, nil
}

// Write types. It waits while the application doesn't read.
func (v *viewer) Write(p []byte) (int, error) {
	select {
	case <-v.closed:
		return 0, os.ErrClosed // before anything else
	default:
	}
	select {
	case v.terminal.typed <- slices.Clone(p):
		return len(p), nil
	case <-v.terminal.done:
		return 0, io.ErrClosedPipe
	case <-v.closed:
		return 0, os.ErrClosed
	}
}

// Resize tells the size of the window. Of several who are attached, the last one's is it.
func (v *viewer) Resize(columns, rows uint16) error { return v.terminal.resize(columns, rows) }

// Close detaches. The application doesn't notice.
func (v *viewer) Close() error {
	v.terminal.mu.Lock()
	delete(v.terminal.viewers, v)
	v.terminal.mu.Unlock()
	v.end(os.ErrClosed)
	return nil
}

// lineEnds makes of what was written to a terminal what the application has written: a
// terminal turns each end of a line into a carriage return and a line feed.
type lineEnds struct{ held bool } // a carriage return that may be followed by one

func (l *lineEnds) plain(p []byte) []byte {
	if l.held {
		p = append([]byte{'\r'}, p...)
	}
	if l.held = bytes.HasSuffix(p, []byte{'\r'}); l.held {
		p = p[:len(p)-1]
	}
	return bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n"))
}
