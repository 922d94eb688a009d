package foster

import (
	"context"
	"iter"
	"sync"
	"syscall"
	"time"
)

// EventKind says what an Event tells.
type EventKind string

const (
	EventStarted         EventKind = "started"
	EventLeaderPaused    EventKind = "leader-paused"    // stopped by Signal, as by Ctrl-Z
	EventLeaderContinued EventKind = "leader-continued" //
	EventLeaderEnded     EventKind = "leader-ended"     // Status is the leader's
	EventLeaderLost      EventKind = "leader-lost"      // others live on: Processes names some
	EventStopping        EventKind = "stopping"         // a stop has begun, due to Cause
	EventSignaled        EventKind = "signaled"         // Signal reached Count processes
	EventKilled          EventKind = "killed"           // SIGKILL was sent to Count: Processes names some
	EventShimLost        EventKind = "shim-lost"        //
	EventShimPaused      EventKind = "shim-paused"      // a stop waits for the shim, PID, which is stopped; Text says how, and how it is resumed
	EventTreeEmpty       EventKind = "tree-empty"       // no process is left
	EventOutputEnded     EventKind = "output-ended"     // all that was written to it has been copied
	EventLeaseEnding     EventKind = "lease-ending"     // Left until its end: the time to extend it
	EventLeaseExtended   EventKind = "lease-extended"   // Left is what there is now
	EventLeaseOver       EventKind = "lease-over"       // a stop follows
	EventWatchdog        EventKind = "watchdog"         // the program didn't call in time: a stop follows
	EventNotified        EventKind = "notified"         // what the program tells of itself: Ready, Text, PID
	EventLimitUnmet      EventKind = "limit-unmet"      // Text says which limit the tree runs without, and why
	EventOutOfMemory     EventKind = "out-of-memory"    // the kernel has killed Count of the tree at its limit of memory
	EventReleased        EventKind = "released"         // Count of the tree were let go, and nobody watches them: Processes names some
	EventOwnerGone       EventKind = "owner-gone"       // PID was it; the tree waits for Left
	EventClaimed         EventKind = "claimed"          // PID is the owner now
	EventMissed          EventKind = "missed"           // Count events were dropped before a slow reader took them
	EventEnded           EventKind = "ended"            // the last one: Exit tells how
)

// Event is something that happened to a tree. Which fields are set depends on
// its Kind.
type Event struct {
	Time      time.Time
	Kind      EventKind
	Signal    syscall.Signal
	Scope     Scope
	Count     int
	Cause     Cause
	Status    Status
	Processes []Process // at most 64
	Left      time.Duration
	Ready     bool
	Text      string // as the program gave it; may hold any byte
	PID       int
	Exit      *Exit
}

// keptEvents bounds what is kept for readers. A tree has few events; only one that
// is paused and continued without end has more.
const keptEvents = 256

// eventLog keeps events for any number of readers, of which none can hold up the
// writer. The last event of a tree is always kept.
type eventLog struct {
	mu     sync.Mutex
	events []Event
	first  int           // the number of events[0]
	news   chan struct{} // closed when there is more
	closed bool
}

func newEventLog() *eventLog { return &eventLog{news: make(chan struct{})} }

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if len(l.events) == keptEvents {
		l.events = append(l.events[:0], l.events[1:]...)
		l.first++
	}
	l.events = append(l.events, e)
	close(l.news)
	l.news = make(chan struct{})
}

// end marks that no event follows.
func (l *eventLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	close(l.news)
	l.news = nil
}

// from copies the events from number n on, and says how many before them were
// dropped, how to wait for more, and whether there will be.
func (l *eventLog) from(n int) (events []Event, missed int, news <-chan struct{}, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < l.first {
		missed, n = l.first-n, l.first
	}
	return append(events, l.events[n-l.first:]...), missed, l.news, l.closed
}

func (l *eventLog) read(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		next := 0
		for {
			events, missed, news, closed := l.from(next)
			if missed > 0 && !yield(Event{Time: time.Now(), Kind: EventMissed, Count: missed}) {
				return
			}
			next += missed
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
			next += len(events)
			if closed {
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}
