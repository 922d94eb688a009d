package supervise

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/foster-init/foster/client"
)

// keptEvents is how many events are kept for those who ask later; the history has those
// before.
const keptEvents = 4096

// eventLog keeps the newest events, for any number of readers. Who reads slowly holds up
// nobody: it misses those that are no longer kept, which the numbers tell.
type eventLog struct {
	mu     sync.Mutex
	kept   []client.Event // the oldest first
	last   uint64
	more   chan struct{} // closed with the next event, or the end
	closed bool
}

func newEventLog() *eventLog { return &eventLog{more: make(chan struct{})} }

func (l *eventLog) add(e client.Event) client.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.Seq, e.Time = l.last, time.Now()
	if len(l.kept) >= keptEvents {
		l.kept = append(l.kept[:0:0], l.kept[keptEvents/4:]...)
	}
	l.kept = append(l.kept, e)
	close(l.more)
	l.more = make(chan struct{})
	return e
}

func (l *eventLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.more)
	}
}

// after gives what is kept after a number, and how to wait for more: nil at the end.
func (l *eventLog) after(seq uint64) ([]client.Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []client.Event
	if n := len(l.kept); n > 0 && l.kept[n-1].Seq > seq {
		first := 0
		if oldest := l.kept[0].Seq; seq >= oldest {
			first = int(seq - oldest + 1)
		}
		found = append(found, l.kept[first:]...)
	}
	if l.closed {
		return found, nil
	}
	return found, l.more
}

func (l *eventLog) seq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// read gives the events after a number, and with follow those to come.
func (l *eventLog) read(ctx context.Context, seq uint64, follow bool) iter.Seq[client.Event] {
	return func(yield func(client.Event) bool) {
		for {
			events, more := l.after(seq)
			for _, e := range events {
				if ctx.Err() != nil || !yield(e) {
					return
				}
				seq = e.Seq
			}
			if !follow || more == nil {
				return
			}
			select {
			case <-more:
			case <-ctx.Done():
				return
			}
		}
	}
}
