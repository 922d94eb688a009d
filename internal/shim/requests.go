package shim

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// What clients ask for, and what they get.

var errNonsense = errors.New("not a request")

// handle acts on a message. Who doesn't speak the protocol is sent away: what isn't an
// owner's side any more has no tree.
func (s *server) handle(r received) {
	if r.err != nil {
		s.leaves(r.from)
		return
	}
	if r.from.gone {
		return // it was of the tree before
	}
	if err := s.serve(r.from, r.msg); err != nil {
		r.from.conn.Abort() // receive tells the rest
	}
}

func (s *server) serve(c *client, msg wire.Message) error {
	if _, start := msg.(*wire.Start); c == s.side && s.terms == nil && !start {
		return nil // that the tree has ended is the answer; the next word is for another
	}
	switch m := msg.(type) {
	case *wire.Files: // its descriptors wait for the Start
	case *wire.Signal:
		count, err := s.signal(m.Signal, m.Scope)
		s.give(c, nil, &wire.Replied{ID: m.ID, Errno: errno(err), Count: count, Text: unsent(m.Scope, err)})
	case *wire.Stop:
		s.asked(c, m)
	case *wire.Extend:
		s.extend(c, m)
	case *wire.Inspect:
		s.give(c, nil, s.status(m.ID))
	case *wire.Claim:
		return s.claimed(c, m)
	case *wire.Output:
		s.handOut(c, m.ID)
	case *wire.Watch:
		s.show(c, m.ID)
	case *wire.Release:
		if c != s.side && !m.Guest {
			s.refuse(c, m.ID, syscall.EPERM, "it is another's now")
			return nil
		}
		if m.PID != 0 {
			s.releaseProcess(c, m)
		} else {
			s.release(c, m.ID)
		}
	default:
		if c == s.side {
			return s.serveSide(msg)
		}
		return s.serveFormer(msg)
	}
	return nil
}

// serveFormer is for an owner's side whose tree another has claimed, and that may not
// know it yet.
func (s *server) serveFormer(msg wire.Message) error {
	switch msg.(type) {
	case *wire.Drop: // the output, too, is another's
	case *wire.Confirm: // it is another's to say
	default:
		return errNonsense
	}
	return nil
}

// serveSide is for what only an owner's side may ask.
func (s *server) serveSide(msg wire.Message) error {
	switch m := msg.(type) {
	case *wire.Start:
		s.start(m)
	case *wire.Drop:
		if t := s.terms; t != nil {
			if fd, ok := t.outputs[m.Stream]; ok {
				sys.Close(fd)
				delete(t.outputs, m.Stream)
			}
		}
	case *wire.Confirm:
		if s.machine.State == Told {
			s.step(Confirmed, wire.Plan{})
			s.forget() // before its side reads the end of the connection, and takes the name again
		}
	default:
		return errNonsense
	}
	return nil
}

// refuse answers a request with what is wrong, in words.
func (s *server) refuse(c *client, id uint64, n syscall.Errno, text string) {
	s.give(c, nil, &wire.Replied{ID: id, Errno: n, Text: text})
}

const noTree = "it has ended"

// unsent says why a signal has reached nobody.
func unsent(scope wire.Scope, err error) string {
	switch {
	case errno(err) != syscall.ESRCH:
		return ""
	case scope == wire.ScopeLeader:
		return "its leader has ended"
	case scope == wire.ScopeGroup:
		return "the group of its leader has ended"
	}
	return noTree
}

func (s *server) asked(c *client, m *wire.Stop) {
	var plan *wire.Plan
	if !m.Default {
		plan = &m.Plan
	}
	cause := m.Cause
	if cause == "" || len(cause) > 64 {
		cause = CauseStopped
	}
	if plan != nil || s.unstopped() { // else the stop that is under way is joined
		s.stop(cause, plan)
	}
	if m.ID == 0 {
		return
	}
	if s.terms == nil || s.machine.State == Kept || s.machine.State == Told {
		s.refuse(c, m.ID, syscall.ESRCH, noTree)
		return
	}
	s.give(c, nil, &wire.Replied{ID: m.ID})
}

func (s *server) extend(c *client, m *wire.Extend) {
	t := s.terms
	if t == nil || s.held == nil {
		s.refuse(c, m.ID, syscall.ESRCH, noTree)
		return
	}
	if !s.unstopped() {
		s.refuse(c, m.ID, syscall.EBUSY, "it is being stopped")
		return
	}
	longer, err := t.lease.extend(t.now(), m.For)
	if err != nil {
		s.refuse(c, m.ID, syscall.EINVAL, err.Error())
		return
	}
	s.lengthen(longer)
	s.give(c, nil, &wire.Replied{ID: m.ID, Left: t.lease.left(t.now())})
}

func (s *server) status(id uint64) *wire.Status {
	m := &wire.Status{Reply: id, State: stateNames[s.machine.State], OwnerGone: s.machine.OwnerGone}
	t := s.terms
	if t == nil {
		return m
	}
	m.ID, m.Leader, m.Containment, m.Owner = t.start.ID, t.leader, t.start.Containment, t.owner
	m.Stopping, m.LeaderDone, m.Ready, m.Text, m.MainPID = t.cause, s.machine.LeaderEnded, t.ready, t.text, t.mainPID
	m.Watchdog = t.start.Watchdog
	if !t.graceUntil.IsZero() {
		m.GraceLeft = max(time.Until(t.graceUntil), 0)
	}
	if t.lease.exists() {
		m.HasLease, m.LeaseLeft = true, t.lease.left(t.now())
		if t.lease.limit > 0 {
			m.LeaseMax = max(t.lease.limit-t.now(), 0)
		}
	}
	m.Outputs = slices.Sorted(maps.Keys(t.outputs))
	if t.reader != nil {
		m.Reader = t.reader.pid
	}
	if s.held != nil {
		m.Reaped, m.Adopted = s.held.reaped, s.held.adopted
		m.LetGo = members(s.held.tree.Released(), 0)
	}
	return m
}

// stateNames are the states as people are told of them.
var stateNames = map[State]string{
	Idle: "ended", Running: "running", Stopping: "stopping", Killing: "killing", Stuck: "stuck",
	Done: "ended", Waiting: "waiting", Kept: "ended", Told: "ended",
}

// handOut gives the reading ends of the outputs to one reader at a time.
func (s *server) handOut(c *client, id uint64) {
	t := s.terms
	switch {
	case t == nil:
		s.refuse(c, id, syscall.ESRCH, noTree)
	case len(t.outputs) == 0:
		s.refuse(c, id, syscall.ENOTSUP, "its output isn't kept: it goes where it went when it was started")
	case t.readByOther(c):
		by := "another process"
		if t.reader.pid > 0 {
			by = fmt.Sprintf("process %d", t.reader.pid)
		}
		s.refuse(c, id, syscall.EBUSY, "its output is read by "+by)
	default:
		_, fds, err := t.readBy(c)
		if err != nil {
			s.refuse(c, id, errno(err), err.Error())
			return
		}
		s.give(c, fds, &wire.Replied{ID: id, Count: len(fds)})
	}
}

// readByOther says whether another client has the outputs: not one that is gone, though its
// end may not have been received yet.
func (t *terms) readByOther(c *client) bool {
	return t.reader != nil && t.reader != c && !t.reader.conn.HungUp()
}

// readBy makes a client the reader of what is kept. Without an error, it has all of it.
func (t *terms) readBy(c *client) (streams []uint8, fds []int, err error) {
	for _, stream := range slices.Sorted(maps.Keys(t.outputs)) {
		fd, err := sys.Dup(t.outputs[stream])
		if err != nil {
			sys.CloseAll(fds)
			return nil, nil, err
		}
		streams, fds = append(streams, stream), append(fds, fd)
	}
	if len(fds) > 0 {
		t.reader = c
	}
	return streams, fds, nil
}

// show gives a client the news, from the beginning.
func (s *server) show(c *client, id uint64) {
	if s.terms == nil {
		s.refuse(c, id, syscall.ESRCH, noTree)
		return
	}
	s.flush() // what it will be told anew isn't to be told twice
	c.watching = true
	s.give(c, nil, append([]wire.Message{&wire.Replied{ID: id}}, s.terms.history...)...)
}

// claimed gives the tree to another owner, if it has none. The claim that comes first
// has it.
func (s *server) claimed(c *client, m *wire.Claim) error {
	t := s.terms
	var pidfd *os.File
	if m.Named {
		fds, err := c.conn.Claim(1)
		if err != nil {
			return err
		}
		if pidfd, err = sys.OpenPassed(fds[0], "owner"); err != nil {
			return err
		}
	}
	switch s.machine.State {
	case Waiting, Kept:
		if m.Named && s.machine.State == Kept {
			pidfd.Close() // an owner that only has a name can't be told
			s.refuse(c, m.ID, syscall.ESRCH, noTree)
			return nil
		}
	case Running, Told:
		closeFile(pidfd)
		s.refuse(c, m.ID, syscall.EBUSY, fmt.Sprintf("it has an owner: %s", describe(t.owner)))
		return nil
	case Stopping, Killing, Stuck:
		closeFile(pidfd)
		s.refuse(c, m.ID, syscall.EBUSY, "it is being stopped")
		return nil
	default:
		closeFile(pidfd)
		s.refuse(c, m.ID, syscall.ESRCH, noTree)
		return nil
	}
	s.takeOver(c, m, pidfd)
	return nil
}

// takeOver hands the tree to who has claimed it, unless its output is to come along
// and can't.
func (s *server) takeOver(c *client, m *wire.Claim, pidfd *os.File) {
	t := s.terms
	reply := &wire.Replied{ID: m.ID}
	var fds []int
	if m.Output && !m.Named {
		if t.readByOther(c) {
			s.refuse(c, m.ID, syscall.EAGAIN, fmt.Sprintf("its output is read by process %d", t.reader.pid))
			return
		}
		var err error
		if reply.Outputs, fds, err = t.readBy(c); err != nil {
			s.refuse(c, m.ID, errno(err), err.Error())
			return
		}
	}
	if m.Kept && !m.Named {
		held, err := t.handKept()
		if err != nil {
			sys.CloseAll(fds)
			s.refuse(c, m.ID, errno(err), err.Error())
			return
		}
		reply.Kept, fds = t.start.Kept, append(fds, held...)
	}
	s.machine.Confirm = m.Confirm && !m.Named
	closeFile(t.ownerPidfd)
	t.ownerPidfd, t.owner, t.claimed = pidfd, m.Owner, true
	s.give(c, fds, reply)
	s.tell(&wire.OwnerNews{At: time.Now(), Owner: m.Owner})
	if pidfd != nil {
		s.watchOwner(pidfd)
	} else {
		s.flush()
		if !c.watching {
			s.give(c, nil, t.history...)
		}
		s.side, c.watching = c, true
	}
	s.step(Claimed, wire.Plan{})
	if s.side == nil {
		s.step(SideGone, wire.Plan{})
	}
}

func closeFile(f *os.File) {
	if f != nil {
		f.Close()
	}
}

func describe(m wire.Member) string {
	if m.Name == "" {
		return fmt.Sprintf("process %d", m.PID)
	}
	return fmt.Sprintf("%s (pid %d)", m.Name, m.PID)
}

// watchOwner tells when an owner with a name has ended.
func (s *server) watchOwner(pidfd *os.File) {
	go func() {
		if sys.AwaitReadable(pidfd) == nil {
			s.post(func() { s.orphanedBy(pidfd) })
		}
	}()
}

// orphanedBy acts on the end of an owner with a name, unless another has come since.
func (s *server) orphanedBy(pidfd *os.File) {
	if t := s.terms; t != nil && t.ownerPidfd == pidfd {
		s.ownerGone()
	}
}

// ownerGone begins the grace, or the stop.
func (s *server) ownerGone() {
	if t := s.terms; t != nil && s.held != nil {
		s.tell(&wire.OwnerNews{At: time.Now(), Gone: true, Grace: s.machine.Grace, Owner: t.owner})
		if s.machine.Grace == 0 {
			s.noteStop(CauseOwnerGone)
		}
	}
	s.step(OwnerGone, wire.Plan{})
}

// graceIsOver ends the wait for another owner.
func (s *server) graceIsOver() {
	if s.machine.State == Waiting {
		s.noteStop(CauseOwnerGone)
	}
	s.step(GraceOver, wire.Plan{})
}
