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
//
// An event is shown when the history has it. So nobody knows of one that the next life of
// the supervisor doesn't.
type eventLog struct {
	write func(client.Event)                                   // to the history, which then calls show
	past  func(after uint64, most int) ([]client.Event, error) // from the history

	mu     sync.Mutex
	kept   []client.Event // that are shown; the oldest first
	made   uint64         // the number of the last
	shown  uint64
	more   chan struct{} // closed with the next event that is shown, or the end
	closed bool
}

func newEventLog() *eventLog { return &eventLog{more: make(chan struct{})} }

// goOn has the numbers go on from those of an earlier life.
func (l *eventLog) goOn(last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made, l.shown = last, last
}

func (l *eventLog) add(e client.Event) {
	l.mu.Lock()
	l.made++
	e.Seq, e.Time = l.made, time.Now()
	l.mu.Unlock()
	l.write(e)
}

func (l *eventLog) show(events []client.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if over := len(l.kept) + len(events) - keptEvents; over > 0 {
		drop := min(len(l.kept), max(over, keptEvents/4))
		l.kept = append(l.kept[:0:0], l.kept[drop:]...)
	}
	l.kept = append(l.kept, events...)
	l.shown = events[len(events)-1].Seq
	close(l.more)
	l.more = make(chan struct{})
}

func (l *eventLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.more)
	}
}

// after gives what is kept after a number, whether there were others before that, and how
// to wait for more: nil at the end.
func (l *eventLog) after(seq uint64) (found []client.Event, earlier bool, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.shown + 1
	if len(l.kept) > 0 {
		oldest = l.kept[0].Seq
	}
	if seq < l.shown {
		first := 0
		if seq >= oldest {
			first = int(seq - oldest + 1)
		}
		found = append(found, l.kept[first:]...)
	}
	if !l.closed {
		more = l.more
	}
	return found, seq+1 < oldest, more
}

func (l *eventLog) seq() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made
}

// chunk is how many events are read from the history at a time.
const chunk = 512

// read gives the events after a number, and with follow those to come; else those that
// were made before it was asked.
func (l *eventLog) read(ctx context.Context, seq uint64, follow bool) iter.Seq[client.Event] {
	return func(yield func(client.Event) bool) {
		until := l.seq()
		for {
			events, earlier, more := l.after(seq)
			if earlier && l.past != nil {
				// What can't be read is missed, as what was forgotten is.
				if old, _ := l.past(seq, chunk); len(old) > 0 {
					events, more = old, closedChannel
				}
			}
			for _, e := range events {
				if ctx.Err() != nil || !yield(e) {
					return
				}
				seq = e.Seq
			}
			if more == nil || !follow && seq >= until {
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

// closedChannel is one that nobody has to wait for.
var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
