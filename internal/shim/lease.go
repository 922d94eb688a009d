package shim

import (
	"errors"
	"fmt"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

// lease is how long a tree may run, on a clock that began at some time before. It is
// a value; what changes it returns another.
type lease struct {
	end    time.Duration // 0: there is no lease
	limit  time.Duration // the last end that can be asked for; 0: any
	warn   time.Duration // how long before the end that is told; 0: not
	warned bool
}

// leaseEvent is what is due on a lease.
type leaseEvent uint8

const (
	nothingDue leaseEvent = iota
	endingDue             // the time to warn has come
	overDue               // its end has come
)

var (
	errNoLease  = errors.New("it has no lease: it may run for ever")
	errNegative = errors.New("a lease is extended by a time that is more than 0")
)

func newLease(l wire.Lease, now time.Duration) lease {
	if l.Time <= 0 {
		return lease{}
	}
	made := lease{end: now + min(l.Time, forever), warn: l.Warn}
	if l.Max > 0 {
		made.limit = now + min(l.Max, forever)
		made.end = min(made.end, made.limit)
	}
	return made
}

func (l lease) exists() bool { return l.end > 0 }

// left is how long it still runs.
func (l lease) left(now time.Duration) time.Duration { return max(l.end-now, 0) }

// next is when to look at it again.
func (l lease) next() time.Duration {
	if l.warn > 0 && !l.warned {
		return l.end - l.warn
	}
	return l.end
}

// due says what has come.
func (l lease) due(now time.Duration) (lease, leaseEvent) {
	switch {
	case !l.exists():
		return l, nothingDue
	case l.warn > 0 && !l.warned && now >= l.end-l.warn:
		l.warned = true // also where its end has come meanwhile: that is due next
		return l, endingDue
	case now >= l.end:
		return l, overDue
	}
	return l, nothingDue
}

// extend has the lease end no sooner than a time from now. More than its bound allows
// is refused, and changes nothing.
func (l lease) extend(now, more time.Duration) (lease, error) {
	switch {
	case !l.exists():
		return l, errNoLease
	case more <= 0:
		return l, errNegative
	case more > forever || l.limit > 0 && now+more > l.limit:
		most := forever
		if l.limit > 0 {
			most = max(l.limit-now, 0)
		}
		return l, fmt.Errorf("%v is too long: at most %v from now can be had", more, most.Round(time.Millisecond))
	}
	return l.until(now + more), nil
}

// forever bounds what a lease can be extended by at once, so that no sum overflows.
const forever = 100 * 365 * 24 * time.Hour

// stretch is extend for the application itself, which has no answer to read: it gets
// as much as its bound allows.
func (l lease) stretch(now, more time.Duration) lease {
	if !l.exists() || more <= 0 {
		return l
	}
	end := now + min(more, forever)
	if l.limit > 0 {
		end = min(end, l.limit)
	}
	return l.until(end)
}

func (l lease) until(end time.Duration) lease {
	if end > l.end {
		l.end, l.warned = end, false
	}
	return l
}
