package shim

import (
	"encoding/binary"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// populated is a tree of which somebody always lives: nothing is signalled.
type populated struct{ contain.Tree }

func (populated) Members() ([]procfs.Stat, error) { return nil, nil }
func (populated) Signal(syscall.Signal, func(procfs.Stat) bool) (contain.Sent, error) {
	return contain.Sent{}, nil
}
func (populated) Kill() (contain.Sent, error)               { return contain.Sent{}, nil }
func (populated) Empty() (bool, error)                      { return false, nil }
func (populated) AwaitEmpty() error                         { return nil }
func (populated) Release() error                            { return contain.ErrNotReleasable }
func (populated) ReleaseProcess(int) ([]procfs.Stat, error) { return nil, contain.ErrNotReleasable }
func (populated) Released() []procfs.Stat                   { return nil }
func (populated) OnlyReleased() (bool, error)               { return false, nil }
func (populated) Close() error                              { return nil }

// requestID is the number of a request, to which an answer belongs; 0: none does.
func requestID(m wire.Message) uint64 {
	switch m := m.(type) {
	case *wire.Signal:
		return m.ID
	case *wire.Stop:
		return m.ID
	case *wire.Extend:
		return m.ID
	case *wire.Inspect:
		return m.ID
	case *wire.Claim:
		return m.ID
	case *wire.Output:
		return m.ID
	case *wire.Watch:
		return m.ID
	case *wire.Release:
		return m.ID
	}
	return 0
}

// asked says whether a message is a request that a guest may make.
func asked(m wire.Message) bool {
	switch m.(type) {
	case *wire.Signal, *wire.Stop, *wire.Extend, *wire.Inspect, *wire.Claim, *wire.Output, *wire.Watch, *wire.Release:
		return true
	}
	return false
}

// Whatever a guest asks, in whatever state, it is answered with its number or sent away. What
// only the owner's side may ask sends it away and changes nothing.
func FuzzGuest(f *testing.F) {
	frames := func(messages ...wire.Message) []byte {
		b, err := wire.Frames(messages...)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	for state := Idle; state <= Told; state++ {
		f.Add(uint8(state-Idle), frames(&wire.Inspect{ID: 1}, &wire.Watch{ID: 2}, &wire.Output{ID: 3}, &wire.Extend{ID: 4, For: time.Hour}))
		f.Add(uint8(state-Idle), frames(&wire.Signal{ID: 1, Signal: 15, Scope: wire.ScopeTree}, &wire.Signal{ID: 2, Signal: -1}, &wire.Signal{ID: 3, Signal: 9, Scope: wire.ScopeLeader}))
		f.Add(uint8(state-Idle), frames(&wire.Stop{ID: 1, Default: true}, &wire.Stop{ID: 2, Plan: wire.Plan{Steps: []wire.Step{{Signal: 15, Wait: -1}}}}, &wire.Claim{ID: 3}))
		f.Add(uint8(state-Idle), frames(&wire.Release{ID: 1}, &wire.Release{ID: 2, Guest: true}, &wire.Release{ID: 3, Guest: true, PID: -5}))
		f.Add(uint8(state-Idle), frames(&wire.Claim{ID: 1, Named: true}))
		f.Add(uint8(state-Idle), frames(&wire.Start{Path: "/bin/true"}))
		f.Add(uint8(state-Idle), frames(&wire.Drop{Stream: 1}, &wire.Confirm{}, &wire.Open{}))
		f.Add(uint8(state-Idle), frames(&wire.Files{}))
	}
	f.Fuzz(func(t *testing.T, state uint8, b []byte) {
		runtime.LockOSThread() // as the server is: see sys.Hurry
		defer runtime.UnlockOSThread()
		s := &server{loop: newLoop(), clients: map[*client]bool{}}
		defer close(s.loop.over)
		s.machine.State = Idle + State(state)%Told
		if s.machine.State == Done {
			return // it takes no message
		}
		for _, c := range []struct {
			clock *clock
			due   func()
		}{{&s.clock, s.timeOver}, {&s.sweep, s.kill}, {&s.grace, s.graceIsOver}, {&s.roll, s.callRoll}, {&s.recheck, s.awaited}} {
			*c.clock = s.newClock(c.due)
			defer c.clock.Stop()
		}
		if s.machine.State != Idle {
			s.terms = &terms{start: &wire.Start{}}
		}
		if s.machine.State != Idle && s.machine.State != Kept && s.machine.State != Told {
			s.held = &holding{
				tree: populated{}, leaderDone: true, killed: map[procfs.Identity]bool{},
				signaled: map[procfs.Identity]bool{}, expected: map[int]procfs.Stat{},
			}
		}
		c, far := guestOf(t, s)
		far.Expect(10 * time.Second)
		for len(b) >= 4 && !c.gone && !s.done {
			n := min(int(binary.LittleEndian.Uint32(b)), len(b)-4, guestFrame)
			m, err := wire.Decode(b[4 : 4+n])
			b = b[4+n:]
			if err != nil {
				return
			}
			before := s.machine.State
			s.turn(func() { s.handle(received{from: c, msg: m}) })
			if !asked(m) && s.machine.State != before {
				t.Fatalf("%+v has changed state %d to %d", m, before, s.machine.State)
			}
			if !s.answers(t, far, requestID(m)) {
				return
			}
		}
	})
}

// answers reads what a client was sent until the answer to a request comes, or the client is
// sent away.
func (s *server) answers(t *testing.T, far *wire.Conn, id uint64) (stays bool) {
	t.Helper()
	if id == 0 {
		return !far.HungUp()
	}
	for {
		m, err := far.Receive()
		if err != nil {
			if os.IsTimeout(err) {
				t.Fatalf("request %d isn't answered in state %d", id, s.machine.State)
			}
			return false
		}
		switch m := m.(type) {
		case *wire.Replied:
			if m.ID == id {
				return true
			}
		case *wire.Status:
			if m.Reply == id {
				return true
			}
		}
	}
}
