// Package aging says what is too old to be kept, by a clock that may be wrong.
//
// The clock of a host can be set, by its user or over the network, and a host whose
// battery is empty starts with any time. Measured by such a clock alone, all that is kept
// may be too old from one moment to the next. What is lost then doesn't come back when
// the clock is right again. So time that nobody has seen pass counts only later: after a
// jump, what is there is kept for as long as if it had come at that moment. A life knows nothing of a jump that
// the one before has seen: who begins anew at the wrong time loses what is too old by it.
package aging

import (
	"sync"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// Clock measures ages. Its methods may be called from any goroutine.
type Clock struct {
	read func() (wall time.Time, up time.Duration)

	mu     sync.Mutex
	wall   time.Time     // at the last look
	up     time.Duration // at the last look, since the host was started
	ahead  time.Duration // by which the clock has jumped
	jumped time.Duration // when it did so last, as up
}

// slack is how far the clock may be set without that being a jump.
const slack = time.Minute

// New makes a clock. last is when this was last known to be alive, in a life before; zero
// is not known. read gives the time and how long the host has been up; nil: as they are.
func New(last time.Time, read func() (wall time.Time, up time.Duration)) *Clock {
	if read == nil {
		read = func() (time.Time, time.Duration) { return time.Now(), sys.Now(true) }
	}
	c := &Clock{read: read}
	c.wall, c.up = c.now()
	if gap := c.wall.Sub(last); !last.IsZero() && gap > 0 {
		c.ahead, c.jumped = gap, c.up
	}
	return c
}

// now is without what package time has of a monotonic clock, by which it would compare.
func (c *Clock) now() (time.Time, time.Duration) {
	wall, up := c.read()
	return wall.Round(0), up
}

// Since gives the time before which all is older than an age.
func (c *Clock) Since(age time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, up := c.now()
	switch jump := wall.Sub(c.wall) - (up - c.up); {
	case jump > slack:
		c.ahead, c.jumped = c.ahead+jump, up
	case jump < -slack: // set right again, or wrong
		c.ahead = max(0, c.ahead+jump)
	}
	c.wall, c.up = wall, up
	if up-c.jumped < age { // it can't have become so old since
		wall = wall.Add(-c.ahead)
	}
	return wall.Add(-age)
}
