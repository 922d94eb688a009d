package foster

import (
	"fmt"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

// request is what a method of Tree asks for.
type request struct {
	kind   requestKind
	signal syscall.Signal
	scope  wire.Scope
	time   time.Duration
	stream uint8
	pid    int
	plan   *wire.Plan // of a stop; nil: that of the Cmd
	answer chan answer
}

type answer struct {
	msg wire.Message
	err error
}

type requestKind uint8

const (
	askSignal requestKind = iota + 1
	askStop
	askRelease
	askReleaseProcess
	askExtend
	askStatus
	askDrop
)

// patience is how long a shim may take to answer. It never has to wait for its tree.
const patience = 10 * time.Second

// request sends a request to the owner's goroutine and waits for the answer, but not for
// ever: the shim may be hung.
func (t *Tree) request(r request) (wire.Message, error) {
	if t.done == nil {
		return nil, ErrNotStarted
	}
	r.answer = make(chan answer, 1)
	clock, watch := time.NewTimer(patience), watchShim(t.shimPID)
	defer clock.Stop()
	defer watch.end()
	for requests := t.requests; ; {
		select {
		case requests <- r:
			requests = nil
		case a := <-r.answer:
			return a.msg, a.err
		case <-t.done:
			select { // what it was asked for may have ended it: the answer came before
			case a := <-r.answer:
				return a.msg, a.err
			default:
				return nil, ErrEnded
			}
		case <-watch.looks():
			if h, paused := watch.look(); paused {
				return nil, pausedError(h)
			}
		case <-clock.C:
			return nil, ErrNoAnswer
		}
	}
}

func (t *Tree) ask(r request) error {
	_, err := t.request(r)
	return err
}

func (o *owner) serve(r request) {
	if o.over {
		r.answer <- answer{err: ErrEnded}
		return
	}
	if o.emptying != nil && r.kind != askStop {
		r.answer <- answer{err: ErrShimLost}
		return
	}
	switch r.kind {
	case askStop:
		o.stop(CauseStopped, r.plan)
		r.answer <- answer{}
		return
	case askDrop:
		o.send(&wire.Drop{Stream: r.stream})
		r.answer <- answer{}
		return
	}
	o.lastID++
	id := o.lastID
	o.pending[id] = r
	switch r.kind {
	case askSignal:
		o.noteStopSignal(r.signal)
		o.send(&wire.Signal{ID: id, Signal: r.signal, Scope: r.scope})
	case askRelease:
		o.send(&wire.Release{ID: id})
	case askReleaseProcess:
		o.send(&wire.Release{ID: id, PID: r.pid})
	case askExtend:
		o.send(&wire.Extend{ID: id, For: r.time})
	case askStatus:
		o.send(&wire.Inspect{ID: id})
	}
}

// replied gives a request its answer.
func (o *owner) replied(id uint64, m wire.Message, errno syscall.Errno, text string) {
	r, ok := o.pending[id]
	if !ok {
		return
	}
	delete(o.pending, id)
	a := answer{msg: m}
	switch {
	case errno == 0:
	case errno == syscall.ESRCH:
		a.err = ErrEnded
	case r.kind == askRelease && (errno == syscall.ENOTSUP || errno == syscall.EBUSY):
		a.err = ErrNotReleasable
	case r.kind == askReleaseProcess && (errno == syscall.ENOTSUP || errno == syscall.EBUSY):
		a.err = &fromLibrary{fmt.Errorf("%w: %s", ErrNotReleasable, text)}
	case text != "":
		a.err = &fromLibrary{fmt.Errorf("tree %s: %w", o.tree.id, &remoteError{text, errno})}
	default:
		a.err = &fromLibrary{fmt.Errorf("tree %s: %w", o.tree.id, errno)}
	}
	r.answer <- a
}
