package shim

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// server is the executor of the machine. One goroutine, that of the loop, owns all of it;
// the others only wait, and tell it: for messages, for children, for clocks.
type server struct {
	loop    *loop
	many    *many // the process holds other trees as well; nil: this one alone
	machine Machine
	held    *holding // the tree, while there is one
	terms   *terms   // what was agreed on for it; also while its end is kept
	done    bool
	turns   int // under way: more than one where a turn brings about another of the same tree

	side    *client // the owner's side; nil where it's gone
	clients map[*client]bool
	clock   clock // of the machine: when a step is over, when to give up
	grace   clock

	look    chan int // asks the watcher to wait for a child: its pid, or 0 for any
	looking bool

	stepOver time.Time // when the step of a stop under way is

	sweep   clock         // when to look for what SIGKILL has missed
	pause   time.Duration // until the next sweep
	killing time.Time     // since when
	sweeps  int           // since the killing began
	recheck clock         // when to look again whether the tree is empty
	roll    clock         // when to look who is there, for the journal

	out      []wire.Message // the news of this turn
	outlived bool           // the tree has ended, and children that were released before may live

	reaped func(orphan int) // told of each orphan; nil: nobody
}

type received struct {
	from *client
	msg  wire.Message
	err  error
}

// holding is what is known of the tree that is held.
type holding struct {
	tree       contain.Tree
	anchored   bool // the leader stays a zombie until the tree is empty: a group
	awaiting   bool // a goroutine waits until the mechanism says that it's empty
	leader     int
	leaderEnd  *wire.LeaderEnded // it was reaped, and that wasn't told yet
	leaderDone bool              // it has ended, and that was told
	reaped     int
	adopted    int
	killed     map[procfs.Identity]bool // whom SIGKILL was sent to
	endedByUs  int
	letGo      bool // some of it were released
	orphans    []wire.Orphan
	usage      wire.Usage
	signaled   map[procfs.Identity]bool // whom the step under way has reached
	expected   map[int]procfs.Stat      // who was signalled and wasn't reaped yet: see dying

	keptExpected int // of expected, when those that are gone were forgotten last
}

// newServer serves an owner's side, which is the process with that pid.
func newServer(l *loop, conn *wire.Conn, pid int) *server {
	s := &server{
		loop:    l,
		machine: Machine{State: Idle},
		clients: map[*client]bool{},
	}
	s.clock = s.newClock(s.timeOver)
	s.sweep = s.newClock(s.kill)
	s.grace = s.newClock(s.graceIsOver)
	s.roll = s.newClock(s.callRoll)
	s.recheck = s.newClock(s.awaited)
	s.side = s.welcome(conn, pid)
	s.side.watching = true
	s.clients[s.side] = true
	return s
}

func (s *server) newClock(due func()) clock {
	return clock{loop: s.loop, due: func() { s.turn(due) }}
}

// post has the loop do something for this tree, unless it is over.
func (s *server) post(f func()) bool { return s.loop.post(func() { s.turn(f) }) }

// turn does something, and tells what there is to tell of it. A turn within another of
// the same tree, as the reaping for many makes it, leaves that to the other, which isn't
// over yet: it may still have an answer for a client that would be sent away here.
func (s *server) turn(f func()) {
	if s.done {
		return
	}
	s.turns++
	f()
	s.turns--
	if s.turns > 0 {
		return
	}
	s.flush()
	if s.done && s.many != nil {
		s.many.leave(s)
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
		s.post(func() {
			s.looking = false
			s.collect(w)
		})
	}
}

// run is the loop of a process that holds one tree.
func (s *server) run() {
	for !s.done {
		(<-s.loop.work)()
	}
	close(s.loop.over)
	s.farewell()
	s.forget()
}

// flush sends what this turn has to tell, and keeps it for who comes later.
func (s *server) flush() {
	if len(s.out) == 0 {
		return
	}
	if s.terms != nil {
		s.terms.remember(s.out)
	}
	s.spread(s.out)
	s.out = nil
	if s.machine.State == Idle && s.held == nil {
		s.forget() // the next tree has terms of its own
	}
}

// forget ends what was agreed on for a tree that is over.
func (s *server) forget() {
	t := s.terms
	if t == nil {
		return
	}
	s.terms = nil
	s.grace.Stop()
	s.roll.Stop()
	s.recheck.Stop()
	if s.side == nil || t.claimed || t.deserted {
		t.saveOutput()
		t.unregister()
	}
	t.close()
	for c := range s.clients {
		if c != s.side && !c.gone {
			s.dismiss(c)
		}
	}
}

func (s *server) tell(m wire.Message) {
	s.out = append(s.out, m)
	s.stir()
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
		s.held.signaled = map[procfs.Identity]bool{}
		s.stepOver = time.Now().Add(a.Step.Wait)
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
		s.kill()
	case TellEnded:
		s.tellEnded(&wire.Ended{})
	case TellReleased:
		s.tellEnded(&wire.Ended{Released: true})
	case TellSurvivors:
		s.tellSurvivors()
	case StartGrace:
		s.grace.Reset(a.Wait)
		s.terms.graceUntil = time.Now().Add(a.Wait)
	case StopGrace:
		s.grace.Stop()
		s.terms.graceUntil = time.Time{}
	case Exit:
		s.done = true
		s.closeHeld()
	}
}

// hurry takes the processors that it needs, of which a storm takes what it can get, until calm
// is called. What is one of many is a cgroup, which the kernel kills as a whole.
func (s *server) hurry() (calm func()) {
	if s.many != nil {
		return func() {}
	}
	return sys.Hurry()
}

// closeHeld gives back the mechanism of a tree whose survivors have ended at last: its end
// was told before.
func (s *server) closeHeld() {
	if s.held == nil {
		return
	}
	_ = s.held.tree.Close()
	if s.many != nil {
		s.many.letGo(s.terms)
	}
	s.held = nil
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
func (s *server) release(c *client, id uint64) {
	if s.held == nil {
		if c != s.side { // to that, the news of the end is the answer
			s.refuse(c, id, syscall.ESRCH, noTree)
		}
		return
	}
	switch {
	case s.machine.State == Waiting:
		s.refuse(c, id, syscall.EBUSY, "it has no owner: who claims it can release it")
	case s.machine.State != Running:
		s.refuse(c, id, syscall.EBUSY, "it is being stopped")
	case s.held.anchored && !s.held.leaderDone:
		s.refuse(c, id, syscall.ENOTSUP, "its containment is a process group, and the kernel ends its leader with its shim")
	default:
		if err := s.held.tree.Release(); err != nil {
			s.refuse(c, id, errno(err), err.Error())
			return
		}
		s.give(c, nil, &wire.Replied{ID: id})
		s.step(Released, wire.Plan{})
	}
}

// releaseProcess answers a request to let go of one process of the tree, and of those below it.
func (s *server) releaseProcess(c *client, m *wire.Release) {
	h := s.held
	switch {
	case h == nil:
		s.refuse(c, m.ID, syscall.ESRCH, noTree)
		return
	case s.machine.State != Running && s.machine.State != Waiting:
		s.refuse(c, m.ID, syscall.EBUSY, "it is being stopped")
		return
	case m.PID == h.leader && !h.leaderDone:
		s.refuse(c, m.ID, syscall.EINVAL, fmt.Sprintf("process %d is its leader, which is released with the whole tree alone", m.PID))
		return
	}
	list, err := h.tree.ReleaseProcess(m.PID)
	if err != nil {
		n := syscall.EINVAL
		if errors.Is(err, errors.ErrUnsupported) {
			n = syscall.ENOTSUP
		}
		s.refuse(c, m.ID, n, err.Error())
		return
	}
	h.letGo = true
	for _, p := range list {
		delete(h.expected, p.PID)
	}
	s.give(c, nil, &wire.Replied{ID: m.ID, Count: len(list), Processes: members(list, 0)})
	s.tell(&wire.LetGo{At: time.Now(), Count: len(list), Processes: members(list, 0)})
	if s.terms.record != nil && !h.anchored && s.many == nil {
		s.callRoll() // who recovers the tree must not find them
	}
	switch {
	case h.anchored:
	case s.many != nil:
		s.settle()
	default:
		s.reap() // they may have been all that was left
	}
}

// leftAreReleased says that nobody is left but those that were let go: no child of this process
// has ended while that was looked at.
func (s *server) leftAreReleased() bool {
	h := s.held
	if h == nil || !h.letGo || !h.leaderDone || h.anchored || sys.NextZombie() != 0 {
		return false
	}
	only, err := h.tree.OnlyReleased()
	return err == nil && only && sys.NextZombie() == 0
}
