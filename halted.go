package foster

import (
	"fmt"
	"time"

	"github.com/foster-init/foster/internal/procfs"
)

// A shim that is stopped, by SIGSTOP or a debugger, answers nobody and stops nothing until it
// is resumed. Whoever waits for it is told so.

const (
	lookEvery = 500 * time.Millisecond // at a shim that is waited for
	// pausedPatience is how long a shim that is stopped may stay so before it is told of:
	// somebody may be about to resume it.
	pausedPatience = 2 * time.Second
)

// shimWatch looks at a shim again and again while it is waited for.
type shimWatch struct {
	pid     int
	clock   *time.Ticker
	running time.Time // when it was last seen not to be stopped
	told    bool
}

func watchShim(pid int) *shimWatch {
	return &shimWatch{pid: pid, clock: time.NewTicker(lookEvery), running: time.Now()}
}

// looks tells when to look; nil: it isn't waited for.
func (w *shimWatch) looks() <-chan time.Time {
	if w == nil {
		return nil
	}
	return w.clock.C
}

// look says that the shim has been stopped for as long as it may, once each time.
func (w *shimWatch) look() (h procfs.Halt, tell bool) {
	if h = procfs.HaltOf(w.pid); !h.Stopped() {
		w.running, w.told = time.Now(), false
		return h, false
	}
	tell = !w.told && time.Since(w.running) > pausedPatience
	w.told = w.told || tell
	return h, tell
}

func (w *shimWatch) end() {
	if w != nil {
		w.clock.Stop()
	}
}

// pausedError is an ErrNoAnswer of a shim that is stopped.
func pausedError(h procfs.Halt) error {
	return &fromLibrary{fmt.Errorf("%w: it (pid %d) is %v; %s", ErrNoAnswer, h.PID, h, h.Remedy())}
}

// shimLooked tells of a shim that is stopped, while a stop waits for it.
func (o *owner) shimLooked() {
	if h, tell := o.watch.look(); tell && !o.over && o.emptying == nil {
		o.event(Event{Kind: EventShimPaused, PID: h.PID, Text: fmt.Sprintf("its shim (pid %d) is %v; %s", h.PID, h, h.Remedy())})
	}
}
