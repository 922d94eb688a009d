package shim

import "time"

// loop is what one goroutine, on the main thread, has to do: for the one tree of this
// process, or for many in turn. All others only wait, and post what they waited for.
type loop struct {
	work chan func()
	over chan struct{} // closed when nothing is done any more
}

func newLoop() *loop { return &loop{work: make(chan func()), over: make(chan struct{})} }

// post has the loop do something. It is false when the loop is over.
func (l *loop) post(f func()) bool {
	select {
	case l.work <- f:
		return true
	case <-l.over:
		return false
	}
}

// clock has the loop do something when a time is over. It costs nothing while it isn't
// set.
type clock struct {
	loop  *loop
	due   func()
	timer *time.Timer
	turn  uint64 // of Reset and Stop: what was due before isn't any more
}

// Reset sets the clock to a time from now, in the place of what it was set to.
func (c *clock) Reset(d time.Duration) {
	c.Stop()
	turn := c.turn
	c.timer = time.AfterFunc(d, func() {
		c.loop.post(func() {
			if turn == c.turn {
				c.due()
			}
		})
	})
}

func (c *clock) Stop() {
	c.turn++
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}
