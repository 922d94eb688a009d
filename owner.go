package foster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
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

	registered *registration
	roll       *shim.Roll  // nil: there is nothing to write
	rollDue    *time.Timer // when it's called next
	kept       []*output

	messages    chan message
	outputs     []*output
	copied      chan error
	copying     int
	doneContext context.Context  // by which the run was canceled; nil: it wasn't
	canceling   chan error       // has what the Cancel of an exec.Cmd returned; nil: none runs
	killAfter   <-chan time.Time // after Cancel
	waitDelay   <-chan time.Time // after the end of the leader

	terminal  *lending // this program's, for the tree; nil: it was never wanted
	stopAsked bool     // this side has stopped the leader by a signal
	lentOnce  bool     // the leader has ended: it isn't lent any more

	read    chan error // has how reading a Stdin ended
	reading int

	exit      Exit
	failed    []error
	pending   map[uint64]request
	lastID    uint64
	stopping  bool
	shimStops bool           // or has been asked to: a stop may have begun by Cancel alone
	attached  *wire.Entry    // the shim was another's; nil: it is this side's
	early     []wire.Message // what came while it was taken over
	lastStep  *wire.Signaled // of a stop under way, as the shim told; nil: none was
	asked     *wire.Plan     // of a stop by this side, in the place of that of the Cmd
	emptying  *underway      // nil: the shim isn't lost
	over      bool           // the tree is empty, or no longer ours
	watch     *shimWatch     // while a stop waits for the shim; nil: none does
	claimed   bool           // the shim ends with this tree: it had more owners than this side
	told      bool           // by the shim, how it ended
	confirm   bool           // the shim keeps the end until it is confirmed
	shared    *sharedShim    // which holds other trees as well; nil: it holds this one alone
}

type message struct {
	msg wire.Message
	err error
}

func newOwner(t *Tree, cmd *Cmd) *owner {
	return &owner{
		tree: t, cmd: cmd, messages: make(chan message), pending: map[uint64]request{},
		outputs: cmd.outputs, copied: make(chan error, len(cmd.outputs)), copying: len(cmd.outputs), kept: cmd.kept,
		read: make(chan error, len(cmd.inputs)), reading: len(cmd.inputs),
		exit: Exit{
			ID: t.id, Containment: t.containment, Cause: CauseEnded,
			LeaderPID: t.leader, Started: t.started,
		},
	}
}

func (o *owner) run() {
	for _, in := range o.cmd.inputs {
		go in.copy(o.read)
	}
	for _, out := range o.outputs {
		go func() {
			err := out.copy()
			if err != nil && o.keeps(out) {
				o.drop(out)
			}
			o.copied <- err
		}()
	}
	go o.receive()
	canceled, own := o.cmd.ctx.Done(), o.cmd.taken.done()
	var impatient <-chan time.Time
	defer func() { o.watch.end() }()
	for !o.over || o.copying > 0 || o.reading > 0 || o.canceling != nil {
		if o.over && o.reading > 0 && impatient == nil {
			closeInputs(o.cmd) // who writes there ends by that
			impatient = time.After(stdinPatience)
		}
		select {
		case m := <-o.messages:
			o.handle(m)
		case r := <-o.tree.requests:
			o.serve(r)
		case <-timerChan(o.rollDue):
			o.callRoll()
		case err := <-o.copied:
			o.outputEnded(err)
		case err := <-o.read:
			o.reading--
			if err != nil {
				o.failed = append(o.failed, fmt.Errorf("reading Stdin: %w", err))
			}
		case <-impatient:
			o.reading = 0
		case <-o.watch.looks():
			o.shimLooked()
		case e := <-o.emptying.news():
			o.emptiedWithoutShim(e)
		case <-canceled:
			canceled, own = nil, nil
			o.canceled(o.cmd.ctx)
		case <-own:
			canceled, own = nil, nil
			o.canceled(o.cmd.taken.ctx)
		case <-o.terminal.turns():
			o.terminalTurn()
		case <-o.terminal.resumes():
			o.programResumed()
		case err := <-o.canceling:
			o.cancelReturned(err)
		case <-o.killAfter:
			plan, _ := KillAtOnce().plan() // it is valid
			o.stop(CauseCanceled, &plan)
		case <-o.waitDelay:
			o.delayOver()
		}
	}
	o.finish()
}

func timerChan(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

// callRoll writes down who is in the tree, which a shim does once it's awake.
func (o *owner) callRoll() {
	if o.shim.IsParked() && !o.over {
		level, _, _ := o.exit.Containment.level() // it was valid
		o.rollDue.Reset(o.roll.Call(new(contain.Table).List(level, o.tree.shimPID, o.tree.leader, "")))
	}
}

func closeInputs(c *Cmd) {
	for _, in := range c.inputs {
		in.w.Close()
	}
}

// receive passes on what the shim says, until it says no more.
func (o *owner) receive() {
	for {
		msg, err := o.next()
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

// next waits for the next message.
func (o *owner) next() (wire.Message, error) {
	if len(o.early) > 0 {
		m := o.early[0]
		o.early = o.early[1:]
		return m, nil
	}
	return o.shim.Receive()
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
		o.event(Event{Time: m.At, Kind: kind, Signal: m.Signal})
		if m.Signal != 0 {
			o.leaderPaused(m.Signal)
		} else {
			o.leaderContinued()
		}
	case *wire.LeaderEnded:
		o.leaderEnded(m)
	case *wire.Signaled:
		o.signaled(m)
	case *wire.Replied:
		o.replied(m.ID, m, m.Errno, m.Text)
	case *wire.Status:
		o.replied(m.Reply, m, 0, "")
	case *wire.Stopping:
		o.stopBegun(m)
	case *wire.LeaseNews:
		o.leaseNews(m)
	case *wire.Notified:
		o.event(Event{Time: m.At, Kind: EventNotified, Ready: m.Ready, Text: m.Text, PID: m.MainPID})
	case *wire.OwnerNews:
		o.ownerNews(m)
	case *wire.LetGo:
		o.letGo(m)
	case *wire.Ended:
		o.ended(m)
	}
}

func (o *owner) leaderEnded(m *wire.LeaderEnded) {
	o.exit.Leader, o.exit.LeaderUsage, o.exit.LeaderEnded = newStatus(m.Status), newUsage(m.Usage), m.At
	o.endLending()
	o.event(Event{Time: m.At, Kind: EventLeaderEnded, Status: o.exit.Leader})
	if o.cgroup != nil && m.Status.Signaled() {
		o.outOfMemory(o.cgroup.OOMKills())
	}
	if !m.Lost {
		return
	}
	o.exit.LeaderLost = true
	o.event(Event{Time: m.At, Kind: EventLeaderLost, Status: o.exit.Leader, Processes: processes(o.hereNumbered(m.Left))})
	o.leaderLeftOthers()
}

func processes(list []wire.Member) []Process {
	var named []Process
	for _, m := range list {
		named = append(named, Process{PID: m.PID, Name: m.Name, State: string(rune(m.State))})
	}
	return named
}

func (o *owner) signaled(m *wire.Signaled) {
	e := Event{Time: m.At, Kind: EventSignaled, Signal: m.Signal, Scope: scopeName(m.Scope), Count: m.Count}
	o.lastStep = m
	if m.Signal == syscall.SIGKILL {
		e.Processes = processes(o.hereNumbered(m.Names))
		o.noteKilled(e)
		return
	}
	o.event(e)
}

// noteKilled tells of those that SIGKILL was sent to.
func (o *owner) noteKilled(e Event) {
	e.Kind, e.Signal = EventKilled, syscall.SIGKILL
	room := max(0, 64-len(o.exit.KilledProcesses))
	o.exit.KilledProcesses = append(o.exit.KilledProcesses, e.Processes[:min(room, len(e.Processes))]...)
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

// send tells the shim; that it's gone, receive tells.
func (o *owner) send(m wire.Message) { _ = o.shim.Conn.Send(nil, m) }

// stop stops the tree. The first cause of a stop is the one that is told; a plan
// of its own takes the place of the one under way.
func (o *owner) stop(cause Cause, plan *wire.Plan) {
	if o.emptying != nil && !o.over && plan != nil {
		o.emptying.replace(*plan)
	}
	if o.over || o.emptying != nil || o.shimStops && plan == nil {
		return
	}
	if plan != nil && len(plan.Steps) == 0 || o.lastStep == nil {
		o.asked, o.lastStep = plan, nil
	}
	o.noteStop(cause, time.Now())
	o.shimStops = true
	m := &wire.Stop{Default: plan == nil, Cause: string(o.exit.Cause)} // the first
	if plan != nil {
		m.Plan = *plan
	}
	o.send(m)
}

// noteStop takes note of the first cause of a stop.
func (o *owner) noteStop(cause Cause, at time.Time) {
	if o.stopping {
		return
	}
	o.stopping = true
	o.exit.Cause = cause
	o.watch = watchShim(o.tree.shimPID)
	o.event(Event{Time: at, Kind: EventStopping, Cause: cause})
}

// stopBegun takes the cause of a stop from the shim, which had it first: also where this
// side has asked for a stop at the same moment. So all who ask are told the same.
func (o *owner) stopBegun(m *wire.Stopping) {
	o.noteStop(Cause(m.Cause), m.At)
	o.shimStops = true
	o.exit.Cause = Cause(m.Cause)
	switch o.exit.Cause {
	case CauseLeaderLostFail:
		o.failed = append(o.failed, ErrLeaderLost)
	case CauseExpired:
		o.failed = append(o.failed, ErrExpired)
	case CauseWatchdog:
		o.failed = append(o.failed, ErrWatchdog)
	case CauseOwnerGone:
		o.failed = append(o.failed, ErrOwnerGone)
	}
}

func (o *owner) leaseNews(m *wire.LeaseNews) {
	kinds := map[wire.LeaseKind]EventKind{
		wire.LeaseEnding: EventLeaseEnding, wire.LeaseExtended: EventLeaseExtended,
		wire.LeaseOver: EventLeaseOver, wire.WatchdogOver: EventWatchdog,
	}
	o.event(Event{Time: m.At, Kind: kinds[m.Kind], Left: m.Left})
}

func (o *owner) ownerNews(m *wire.OwnerNews) {
	o.claimed = true
	e := Event{Time: m.At, Kind: EventClaimed, PID: m.Owner.PID, Text: m.Owner.Name}
	if m.Gone {
		e.Kind, e.Left = EventOwnerGone, m.Grace
	}
	o.event(e)
}

// letGo takes note of processes that were released, while the rest is held.
func (o *owner) letGo(m *wire.LetGo) {
	o.tree.letGo.Store(true)
	list := processes(m.Processes)
	room := max(0, 64-len(o.exit.ReleasedProcesses))
	o.exit.ReleasedProcesses = append(o.exit.ReleasedProcesses, list[:min(room, len(list))]...)
	contain.SpareReleased(identities(m.Processes))
	o.event(Event{Time: m.At, Kind: EventReleased, Count: m.Count, Processes: list})
}

func identities(list []wire.Member) (ids []procfs.Identity) {
	for _, m := range list {
		ids = append(ids, procfs.Identity{PID: m.PID, Start: m.Start})
	}
	return ids
}

// ended takes the shim's last word on the tree.
func (o *owner) ended(m *wire.Ended) {
	o.told, o.exit.Counted = true, true
	o.exit.Usage = newUsage(m.Usage)
	o.exit.Reaped, o.exit.Adopted, o.exit.Killed = m.Reaped, m.Adopted, m.Killed
	o.exit.Survivors = survivors(o.hereNumbered(m.Survivors))
	o.outOfMemory(m.OOMKills)
	if o.exit.Containment != Group { // of which the shim knows nothing more
		o.exit.ReleasedProcesses = processes(m.LetGo)
	}
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
	o.saveOutput(m.Read)
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
	if err != nil {
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
	gone := o.exit.Cause == CauseShimLost || o.exit.Cause == CauseOwnerGone || o.exit.Released
	return held && !gone && !o.tree.letGo.Load() && !o.claimed && o.shared == nil && o.attached == nil
}

// finish gives back what is held, and tells that the run is over.
func (o *owner) finish() {
	o.endLending()
	closeInputs(o.cmd)
	if !o.exit.Released {
		closeAll(o.cmd.stdinPipes)
	}
	held := o.exit.TreeEmpty.IsZero() && !o.exit.Released // somebody is left, as far as is known
	if o.confirm = o.confirm && o.told && len(o.exit.Survivors) == 0 && !o.exit.Released; o.confirm {
		o.tree.confirm = o.confirmEnd
	} else if held {
		// The shim goes on holding who is left, and ends when they have: nobody waits
		// for that here.
		go o.shim.Close()
		o.shared.holdsOn()
	} else if !o.reusable() || !ready.put(o.shim) {
		o.shim.Close()
	}
	if !o.confirm {
		o.shared.leave()
	}
	if o.cgroup != nil && !held {
		_ = o.cgroup.Remove() // by the shim already
	}
	for _, r := range o.pending {
		r.answer <- answer{err: ErrEnded}
	}
	o.closeKept()
	if !o.confirm {
		// What isn't known to be over is left in the journal, for Recover.
		o.registered.end(held)
	}
	if o.exit.Cause == CauseCanceled && o.doneContext != nil { // else an owner before has canceled
		o.failed = append(o.failed, o.doneContext.Err())
	}
	t := o.tree
	t.exit = o.exit
	o.cmd.Exit = &t.exit
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
