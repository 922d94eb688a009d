package shim

import (
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// server is the executor of the machine. One goroutine, on the main thread, owns
// all of it; two others only wait, and tell it: for messages, and for children.
type server struct {
	conn    *wire.Conn
	machine Machine
	held    *holding // the tree, while there is one
	done    bool

	messages chan received
	clock    *time.Timer // of the machine: when a step is over, when to give up

	look    chan int      // asks the watcher to wait for a child: its pid, or 0 for any
	seen    chan sys.Wait // the watcher's answer: some child has something to tell
	looking bool

	emptied chan struct{} // the tree may be empty now
	sweep   *time.Timer   // when to look for what SIGKILL has missed
	pause   time.Duration // until the next sweep
	killing time.Time     // since when
	calm    func()        // ends the hurry of killing
	sweeps  int           // since the killing began

	out []wire.Message // to be sent at the end of this turn
}

type received struct {
	msg wire.Message
	err error
	ok  chan struct{} // closed when the message was handled
}

// holding is what is known of the tree that is held.
type holding struct {
	tree       contain.Tree
	anchored   bool // the leader stays a zombie until the tree is empty: a group
	awaiting   bool // a goroutine waits until the mechanism says that it's empty
	leader     int
	leaderDone bool // it has ended, and that was told
	reaped     int
	adopted    int
	killed     map[identity]bool // whom SIGKILL was sent to
	endedByUs  int
	orphans    []wire.Orphan
	usage      wire.Usage
	signaled   map[identity]bool // whom the step under way has reached
}

// identity tells a process from a later one with the same number.
type identity struct {
	pid   int
	start uint64
}

func identify(s procfs.Stat) identity { return identity{s.PID, s.Start} }

func newServer(conn *wire.Conn) *server {
	s := &server{
		conn:     conn,
		machine:  Machine{State: Idle},
		messages: make(chan received),
		clock:    newStoppedTimer(),
		look:     make(chan int, 1),
		seen:     make(chan sys.Wait, 1),
		emptied:  make(chan struct{}, 1),
		sweep:    newStoppedTimer(),
		calm:     func() {},
	}
	go s.receive()
	go s.watch()
	return s
}

func newStoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// receive passes on what the owner's side says, one message after the other:
// descriptors that wait to be claimed belong to the message under way.
func (s *server) receive() {
	for {
		msg, err := s.conn.Receive()
		r := received{msg, err, make(chan struct{})}
		s.messages <- r
		if err != nil {
			return
		}
		<-r.ok
	}
}

// watch waits for children, without reaping: that is the loop's. Why it no longer
// waits, be it that there is no child, the loop finds out.
func (s *server) watch() {
	for pid := range s.look {
		var w sys.Wait
		if pid == 0 {
			_ = sys.PeekAny()
		} else {
			w, _ = sys.PeekPid(pid)
		}
		s.seen <- w
	}
}

func (s *server) run() {
	for !s.done {
		select {
		case r := <-s.messages:
			s.handle(r.msg, r.err)
			close(r.ok)
		case w := <-s.seen:
			s.looking = false
			s.collect(w)
		case <-s.emptied:
			s.awaited()
		case <-s.clock.C:
			s.timeOver()
		case <-s.sweep.C:
			s.kill()
		}
		s.flush()
	}
	s.conn.Close()
}

// flush sends what this turn has to tell. Nobody may be there to read it.
func (s *server) flush() {
	if len(s.out) > 0 && !s.machine.OwnerGone {
		_ = s.conn.Send(nil, s.out...) // a dead owner's side is told by receive
	}
	s.out = nil
}

func (s *server) tell(m wire.Message) { s.out = append(s.out, m) }

func (s *server) handle(msg wire.Message, err error) {
	if err != nil {
		// The end of the stream, or something that isn't this protocol: either way
		// there is no owner's side to work for.
		s.step(OwnerGone, wire.Plan{})
		return
	}
	switch m := msg.(type) {
	case *wire.Files: // its descriptors wait for the Start
	case *wire.Start:
		s.start(m)
	case *wire.Signal:
		count, err := s.signal(m.Signal, m.Scope)
		s.tell(&wire.Replied{ID: m.ID, Errno: errno(err), Count: count})
	case *wire.Stop:
		s.step(Stop, m.Plan)
	case *wire.Release:
		s.release(m.ID)
	default:
		s.step(OwnerGone, wire.Plan{})
	}
}

// step makes a transition and does what it asks for.
func (s *server) step(e Event, plan wire.Plan) {
	m, actions, err := s.machine.next(e, plan)
	if err != nil {
		return // custody goes on, whatever was said at the wrong time
	}
	s.machine = m
	for _, a := range actions {
		s.do(a)
	}
}

func (s *server) do(a Action) {
	switch a.Act {
	case SendStep:
		s.held.signaled = map[identity]bool{}
		s.sendStep(a.Step)
		s.clock.Reset(a.Step.Wait)
	case SendToRest:
		s.sendStep(a.Step)
	case KillAll:
		s.clock.Stop()
		if a.Wait > 0 {
			s.clock.Reset(a.Wait)
		}
		s.pause, s.killing, s.sweeps = firstPause, time.Now(), 0
		s.calm = sys.Hurry() // a storm takes all the time that there is
		s.kill()
	case TellEnded:
		s.tellEnded(&wire.Ended{})
	case TellReleased:
		s.tellEnded(&wire.Ended{Released: true})
	case TellSurvivors:
		s.tellSurvivors()
	case Exit:
		s.done = true
	}
}

func (s *server) timeOver() {
	switch s.machine.State {
	case Stopping:
		s.step(StepOver, wire.Plan{})
	case Killing:
		s.step(GiveUp, wire.Plan{})
	}
}

// release answers a request to let the tree go.
func (s *server) release(id uint64) {
	reply := &wire.Replied{ID: id}
	s.tell(reply)
	switch {
	case s.held == nil:
		reply.Errno = syscall.ESRCH
	case s.machine.State != Running:
		reply.Errno = syscall.EBUSY
	case s.held.anchored && !s.held.leaderDone:
		reply.Errno = syscall.ENOTSUP // the kernel ends the leader of a group with its shim
	default:
		if err := s.held.tree.Release(); err != nil {
			reply.Errno = errno(err)
			return
		}
		s.step(Released, wire.Plan{})
	}
}
