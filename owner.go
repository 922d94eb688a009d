package foster

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/wire"
)

// owner is the owner's side of one tree: the policy. One goroutine has all of it;
// the methods of Tree send it requests.
type owner struct {
	tree   *Tree
	cmd    *Cmd
	shim   *shim.Process
	cgroup *contain.Cgroup
	start  uint64 // the leader's start time in clock ticks

	messages chan message
	outputs  []*output
	copied   chan error
	copying  int

	exit     Exit
	failed   []error
	pending  map[uint64]chan error
	lastID   uint64
	stopping bool
	over     bool // the tree is empty, or no longer ours
}

type message struct {
	msg wire.Message
	err error
}

// request is what a method of Tree asks for.
type request struct {
	kind   requestKind
	signal syscall.Signal
	scope  wire.Scope
	plan   *wire.Plan // of a stop; nil: that of the Cmd
	answer chan error
}

type requestKind uint8

const (
	askSignal requestKind = iota + 1
	askStop
	askRelease
)

// ask sends a request to the owner's goroutine and waits for the answer.
func (t *Tree) ask(r request) error {
	r.answer = make(chan error, 1)
	select {
	case t.requests <- r:
	case <-t.done:
		return ErrEnded
	}
	select {
	case err := <-r.answer:
		return err
	case <-t.done:
		return ErrEnded
	}
}

func newOwner(t *Tree, s *starter) *owner {
	return &owner{
		tree: t, cmd: s.cmd, shim: s.shim, cgroup: s.cgroup, start: s.started.Start,
		messages: make(chan message), outputs: s.cmd.outputs, copied: make(chan error, len(s.cmd.outputs)),
		copying: len(s.cmd.outputs), pending: map[uint64]chan error{},
		exit: Exit{
			ID: t.id, Containment: t.containment, Cause: CauseEnded,
			LeaderPID: t.leader, Started: t.started,
		},
	}
}

func (o *owner) run() {
	for _, in := range o.cmd.inputs {
		go in.copy()
	}
	for _, out := range o.outputs {
		go func() { o.copied <- out.copy() }()
	}
	go o.receive()
	canceled := o.cmd.ctx.Done()
	for !o.over || o.copying > 0 {
		select {
		case m := <-o.messages:
			o.handle(m)
		case r := <-o.tree.requests:
			o.serve(r)
		case err := <-o.copied:
			o.outputEnded(err)
		case <-canceled:
			canceled = nil
			o.stop(CauseCanceled, nil)
		}
	}
	o.finish()
}

// receive passes on what the shim says, until it says no more.
func (o *owner) receive() {
	for {
		msg, err := o.shim.Conn.Receive()
		select {
		case o.messages <- message{msg, err}:
		case <-o.tree.done:
			return
		}
		if _, last := msg.(*wire.Ended); last || err != nil {
			return // the shim may be another tree's next
		}
	}
}

func (o *owner) event(e Event) { o.tree.log.add(e) }

func (o *owner) handle(m message) {
	if o.over {
		return // the shim of survivors has ended, or was closed
	}
	if m.err != nil {
		o.shimLost()
		return
	}
	switch m := m.msg.(type) {
	case *wire.Paused:
		kind := EventLeaderContinued
		if m.Signal != 0 {
			kind = EventLeaderPaused
		}
		o.event(Event{Kind: kind, Signal: m.Signal})
	case *wire.LeaderEnded:
		o.leaderEnded(m)
	case *wire.Signaled:
		o.signaled(m)
	case *wire.Replied:
		o.replied(m)
	case *wire.Ended:
		o.ended(m)
	}
}

func (o *owner) leaderEnded(m *wire.LeaderEnded) {
	o.exit.Leader, o.exit.LeaderUsage, o.exit.LeaderEnded = newStatus(m.Status), newUsage(m.Usage), m.At
	o.event(Event{Time: m.At, Kind: EventLeaderEnded, Status: o.exit.Leader})
	if !m.Lost {
		return
	}
	o.exit.LeaderLost = true
	o.event(Event{Time: m.At, Kind: EventLeaderLost, Status: o.exit.Leader, Processes: processes(m.Left)})
	switch {
	case o.stopping: // a stop that ended the leader first didn't lose it
	case o.cmd.Until == UntilLeader:
		o.stop(CauseLeaderEnded, nil)
	case o.cmd.OnLeaderLoss == LossFail:
		o.failed = append(o.failed, ErrLeaderLost)
		o.stop(CauseLeaderLost, nil)
	case o.cmd.OnLeaderLoss == LossStop:
		o.stop(CauseLeaderLost, nil)
	}
}

func processes(list []wire.Member) []Process {
	var named []Process
	for _, m := range list {
		named = append(named, Process{PID: m.PID, Name: m.Name, State: string(rune(m.State))})
	}
	return named
}

func (o *owner) signaled(m *wire.Signaled) {
	e := Event{Kind: EventSignaled, Signal: m.Signal, Scope: scopeName(m.Scope), Count: m.Count}
	if m.Signal == syscall.SIGKILL {
		e.Kind, e.Processes = EventKilled, processes(m.Names)
		room := max(0, 64-len(o.exit.KilledProcesses))
		o.exit.KilledProcesses = append(o.exit.KilledProcesses, e.Processes[:min(room, len(e.Processes))]...)
	}
	o.event(e)
}

func scopeName(s wire.Scope) Scope {
	switch s {
	case wire.ScopeGroup:
		return ScopeGroup
	case wire.ScopeLeader:
		return ScopeLeader
	case wire.ScopeLeaderFirst:
		return ScopeLeaderFirst
	}
	return ScopeTree
}

func (o *owner) serve(r request) {
	if o.over {
		r.answer <- ErrEnded
		return
	}
	switch r.kind {
	case askStop:
		o.stop(CauseStopped, r.plan)
		r.answer <- nil
	case askSignal:
		id := o.expect(r.answer)
		o.send(&wire.Signal{ID: id, Signal: r.signal, Scope: r.scope})
	case askRelease:
		id := o.expect(r.answer)
		o.send(&wire.Release{ID: id})
	}
}

func (o *owner) expect(answer chan error) (id uint64) {
	o.lastID++
	o.pending[o.lastID] = answer
	return o.lastID
}

func (o *owner) replied(m *wire.Replied) {
	answer, ok := o.pending[m.ID]
	if !ok {
		return
	}
	delete(o.pending, m.ID)
	switch m.Errno {
	case 0:
		answer <- nil
	case syscall.ESRCH:
		answer <- ErrEnded
	case syscall.ENOTSUP, syscall.EBUSY:
		answer <- ErrNotReleasable
	default:
		answer <- m.Errno
	}
}

// send tells the shim; that it's gone, receive tells.
func (o *owner) send(m wire.Message) { _ = o.shim.Conn.Send(nil, m) }

// stop stops the tree. The first cause of a stop is the one that is told; a plan
// of its own takes the place of the one under way.
func (o *owner) stop(cause Cause, plan *wire.Plan) {
	if o.over || o.stopping && plan == nil {
		return
	}
	if !o.stopping {
		o.stopping = true
		o.exit.Cause = cause
		o.event(Event{Kind: EventStopping, Cause: cause})
	}
	if plan == nil {
		p, err := o.cmd.Stop.plan()
		if err != nil {
			p = wire.Plan{GiveUp: giveUp} // it was valid at the start
		}
		plan = &p
	}
	o.send(&wire.Stop{Plan: *plan})
}

// ended takes the shim's last word on the tree.
func (o *owner) ended(m *wire.Ended) {
	o.exit.Usage = newUsage(m.Usage)
	o.exit.Reaped, o.exit.Adopted, o.exit.Killed = m.Reaped, m.Adopted, m.Killed
	o.exit.Survivors = survivors(m.Survivors)
	for _, p := range m.Orphans {
		o.exit.Orphans = append(o.exit.Orphans, Orphan{PID: p.PID, Name: p.Name, Status: newStatus(p.Status), Ended: p.At})
	}
	switch {
	case m.Released:
		o.exit.Released, o.exit.Cause = true, CauseReleased
	case len(o.exit.Survivors) > 0:
		o.failed = append(o.failed, &SurvivorsError{o.exit.Survivors})
	default:
		o.exit.TreeEmpty = m.At
		o.event(Event{Time: m.At, Kind: EventTreeEmpty})
	}
	o.endOfTree()
}

// endOfTree lets the copies of the output come to their end: what the tree wrote
// is in the pipes by now.
func (o *owner) endOfTree() {
	o.over = true
	for _, out := range o.outputs {
		out.hurry()
	}
}

func (o *owner) outputEnded(err error) {
	o.copying--
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		o.failed = append(o.failed, err)
	}
	if o.copying == 0 {
		o.exit.OutputEnded = time.Now()
		o.event(Event{Time: o.exit.OutputEnded, Kind: EventOutputEnded})
	}
}

// reusable says whether the shim is idle again and can hold another tree.
func (o *owner) reusable() bool {
	held := o.exit.Containment == Subreaper || o.exit.Containment == Cgroup
	return held && o.exit.Cause != CauseShimLost && !o.exit.Released
}

// finish gives back what is held, and tells that the run is over.
func (o *owner) finish() {
	for _, in := range o.cmd.inputs {
		in.w.Close()
	}
	if len(o.exit.Survivors) > 0 {
		// The shim goes on holding them, and ends when they have: nobody waits for
		// that here.
		go o.shim.Close()
	} else if !o.reusable() || !ready.put(o.shim) {
		o.shim.Close()
	}
	if o.cgroup != nil && len(o.exit.Survivors) == 0 {
		_ = o.cgroup.Remove() // by the shim already
	}
	for _, answer := range o.pending {
		answer <- ErrEnded
	}
	if o.exit.Cause == CauseCanceled {
		o.failed = append(o.failed, o.cmd.ctx.Err())
	}
	t := o.tree
	t.exit = o.exit
	err := errors.Join(o.failed...)
	if len(o.failed) == 1 {
		err = o.failed[0]
	}
	if err != nil || !o.exit.Released && !o.exit.Leader.Success() {
		t.err = &ExitError{Exit: o.exit, Err: err}
	}
	t.log.add(Event{Kind: EventEnded, Exit: &t.exit, Cause: t.exit.Cause, Status: t.exit.Leader})
	t.log.end()
	close(t.done)
}
