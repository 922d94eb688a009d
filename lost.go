package foster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/wire"
)

// emptied is how a tree was emptied without its shim.
type emptied struct {
	killed   []procfs.Stat // as far as they were seen
	ended    int           // more whom nobody counts else
	left     []procfs.Stat
	unproven []contain.Unproven
	err      error
	crash    error // of the shim; nil: it was killed, or that isn't known
}

// underway is a stop by the owner's side, without the shim.
type underway struct {
	done chan emptied // has how it went

	mu        sync.Mutex
	plan      wire.Plan
	signalled wire.Member // has had the signal of the first step
	ctx       context.Context
	cancel    context.CancelFunc
}

func newUnderway(plan wire.Plan, signalled wire.Member) *underway {
	u := &underway{done: make(chan emptied, 1), plan: plan, signalled: signalled}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// news gives how the stop went, when it is over; nil: none is under way.
func (u *underway) news() <-chan emptied {
	if u == nil {
		return nil
	}
	return u.done
}

// replace has another plan take the place of the one under way, unless that kills.
func (u *underway) replace(plan wire.Plan) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.plan.Steps) == 0 {
		return
	}
	u.cancel()
	u.plan, u.signalled = plan, wire.Member{}
	u.ctx, u.cancel = context.WithCancel(context.Background())
}

func (u *underway) now() (context.Context, wire.Plan, wire.Member) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ctx, u.plan, u.signalled
}

// follow ends a tree by the plan, and by each that takes its place.
func (u *underway) follow(end func(ctx context.Context, plan wire.Plan, signalled wire.Member) error) error {
	for {
		ctx, plan, signalled := u.now()
		if err := end(ctx, plan, signalled); ctx.Err() == nil {
			return err
		}
	}
}

// shimLost empties the tree where the shim is gone without a last word: it was
// killed. That may take its time, in which this side goes on to listen.
func (o *owner) shimLost() {
	o.event(Event{Kind: EventShimLost})
	o.exit.Cause = CauseShimLost
	o.failed = append(o.failed, ErrShimLost)
	if o.shared != nil {
		o.shared.loseTree()
	}
	o.shim.Kill() // where it said what no shim says, it must not go on
	empty := o.emptyWithoutShim
	if o.attached != nil {
		empty = o.emptyAttached
	}
	o.emptying = newUnderway(o.restOfStop())
	go func() {
		e := empty()
		if o.shared == nil && o.shim.ReapWithin(giveUp) && o.shim.Crashed() != 0 {
			e.crash = fmt.Errorf("it has crashed: exit status %d", o.shim.Crashed())
		}
		o.emptying.done <- e
	}()
}

// restOfStop is how the tree is to be stopped without its shim: by the rest of the stop under
// way, or else by the plan of its start. Who has had the signal of its first step comes along;
// where that are all who are meant, the step is only waited for.
func (o *owner) restOfStop() (plan wire.Plan, signalled wire.Member) {
	switch {
	case o.lastStep == nil && o.asked != nil:
		return *o.asked, signalled
	case o.lastStep == nil && o.attached != nil:
		return o.attached.Stop, signalled
	case o.lastStep == nil:
		plan, err := o.cmd.Stop.plan()
		if err != nil { // it would have kept the tree from starting
			plan = wire.Plan{GiveUp: giveUp}
		}
		return plan, signalled
	}
	plan = o.lastStep.Left
	plan.Steps = slices.Clone(plan.Steps)
	past, sent := time.Since(o.lastStep.At), true
	for len(plan.Steps) > 0 && past >= plan.Steps[0].Wait {
		past -= plan.Steps[0].Wait
		plan.Steps, sent = plan.Steps[1:], false
	}
	if len(plan.Steps) == 0 || !sent {
		return plan, signalled
	}
	first := &plan.Steps[0]
	first.Wait -= max(past, 0)
	if first.Scope == wire.ScopeLeaderFirst {
		return plan, wire.Member{PID: o.tree.leader, Start: o.start}
	}
	first.Signal = 0
	return plan, signalled
}

// emptiedWithoutShim takes what came of it.
func (o *owner) emptiedWithoutShim(e emptied) {
	if len(e.killed) > 0 {
		o.noteKilled(Event{Scope: ScopeTree, Count: len(e.killed), Processes: processList(e.killed[:min(len(e.killed), 64)])})
	}
	o.exit.Killed += len(e.killed) + e.ended
	if e.crash != nil {
		o.failed = append(o.failed, fmt.Errorf("%w: %w", ErrShimLost, e.crash))
	}
	switch {
	case e.err != nil:
		o.failed = append(o.failed, fmt.Errorf("empty the tree: %w", e.err))
	case len(e.unproven) > 0 && len(e.left) == 0:
		o.failed = append(o.failed, &UnprovenError{unprovenList(e.unproven)})
	case len(e.left) > 0:
		o.exit.Survivors = leftOver(e.left)
		o.failed = append(o.failed, &SurvivorsError{o.exit.Survivors})
	default:
		o.exit.TreeEmpty = time.Now()
		o.event(Event{Time: o.exit.TreeEmpty, Kind: EventTreeEmpty})
		o.registered.forget()
	}
	o.endOfTree()
}

// leftOver names who couldn't be ended without the shim.
func leftOver(stats []procfs.Stat) (list []Survivor) {
	for _, s := range stats {
		list = append(list, Survivor{PID: s.PID, Name: s.Comm, State: string(rune(s.State))})
	}
	return list
}

// emptyAttached empties a tree whose shim was another's: it isn't a child of this
// program, nor do its children fall to it. Once it's gone, the tree is one that both
// its sides have left, and the journal says what is known of it.
func (o *owner) emptyAttached() (e emptied) {
	if ended, err := procfs.AwaitEnd(o.shim.PID, o.attached.Shim.Start, giveUp); err != nil || !ended {
		e.err = errors.Join(contain.ErrShimLives, err)
		return e
	}
	state, _, err := journal.Folders()
	if err == nil {
		e.left, err = o.endLost(state, o.tree.id)
	}
	e.err = err
	return e
}

// endLost ends what the journal tells of a tree that both its sides have left.
func (o *owner) endLost(folder, id string) (left []procfs.Stat, err error) {
	err = o.emptying.follow(func(ctx context.Context, plan wire.Plan, signalled wire.Member) error {
		found, err := journal.Find(folder, id)
		if err != nil {
			return err
		}
		var one Recovered
		var mine bool
		one, left, mine = (&recovery{plan: &plan, signalled: signalled}).one(ctx, folder, found)
		switch {
		case !mine:
			return errors.New("another recovers it")
		case one.Err == nil && len(left) > 0:
			return nil
		}
		return one.Left()
	})
	return left, err
}

// errHandedOn says why a lost subreaper's tree isn't known to be empty.
var errHandedOn = errors.New("its members were handed to the next subreaper or to init: who was seen before was ended, and who wasn't is out of custody")

// endHandedOn ends whom the shim of a subreaper has written down: they were handed on,
// and don't fall to this program. That is no proof that nobody is left. Who can't be
// ended stays in the journal, for Recover.
func (o *owner) endHandedOn() (left []procfs.Stat, err error) {
	r := o.registered
	if r == nil {
		return nil, errHandedOn
	}
	if !o.shim.ReapWithin(giveUp) { // its hold on the entry ends with it
		return nil, contain.ErrShimLives
	}
	r.close()
	o.registered = nil // it is theirs who recover it
	if left, err = o.endLost(r.folder, r.id); err == nil && len(left) == 0 {
		err = errHandedOn
	}
	return left, err
}

// adopted has one after the other act on what has fallen to this program: those whose shims
// were killed can't be told apart any more, unless they are in cgroups.
var adopted sync.Mutex

// endAdopted ends what has fallen to this program, and isn't another tree's.
func endAdopted(bound time.Duration) (ended int, left []procfs.Stat, err error) {
	adopted.Lock()
	defer adopted.Unlock()
	return contain.EmptyAdopted(bound, shim.IsShim)
}

// emptyWithoutShim does what the containment allows, by the plan.
func (o *owner) emptyWithoutShim() (e emptied) {
	level, _, err := o.tree.containment.level()
	lost := contain.Lost{Containment: level, Members: []wire.Member{{PID: o.tree.leader, Start: o.start}}}
	switch {
	case err != nil:
		e.err = err
		return e
	case level == wire.Group:
		lost.Members, e.err = contain.GroupNow(o.tree.leader, o.start)
	case level == wire.Cgroup:
		lost.CgroupPath, lost.CgroupInode, lost.Groups = o.cgroup.Path, o.cgroup.Inode(), o.cgroup.Groups
		lost.InCgroup = o.shared != nil
	case level == wire.PIDNS:
		e.left, e.err = o.awaitNamespace()
	case !contain.Adopts():
		e.left, e.err = o.endHandedOn()
		return e
	}
	if e.err != nil {
		return e
	}
	if o.shared != nil {
		o.emptyLost(lost, &e)
		o.shared.leftTree()
		left, err := o.shared.awaitEnd()
		e.left, e.err = append(e.left, left...), errors.Join(e.err, err)
		return e
	}
	// Its socket is closed before its children are handed on: until it can be reaped,
	// they still are below it.
	if !o.shim.ReapWithin(giveUp) {
		e.err = contain.ErrShimLives
		return e
	}
	adopts := contain.Adopts()
	if adopts {
		adopted.Lock()
		defer adopted.Unlock()
		lost.Adopted = shim.IsShim
	}
	if level != wire.PIDNS {
		o.emptyLost(lost, &e)
	}
	if e.err != nil || !adopts {
		return e
	}
	bound := giveUp
	if len(e.left) > 0 {
		bound = 0 // they had their time
	}
	left := e.left
	if e.ended, e.left, e.err = contain.EmptyAdopted(bound, shim.IsShim); len(e.left) == 0 {
		e.left = left
	}
	return e
}

// emptyLost ends the tree by its plan.
func (o *owner) emptyLost(lost contain.Lost, e *emptied) {
	if lost.Containment == wire.Cgroup && lost.CgroupInode == 0 {
		return // it is gone, as only an empty one can be
	}
	e.err = o.emptying.follow(func(ctx context.Context, plan wire.Plan, signalled wire.Member) error {
		lost.Signalled = signalled
		came, err := lost.Empty(ctx, plan)
		e.killed = append(e.killed, came.Killed...)
		e.left, e.unproven = came.Left, came.Unproven
		if contain.Adopts() {
			contain.ReapEnded(came.Ended, shim.IsShim)
		}
		return err
	})
}

// awaitNamespace waits for the end of a PID namespace: the kernel ends it before its
// first process, the shim, can be reaped.
func (o *owner) awaitNamespace() (left []procfs.Stat, err error) {
	if o.shim.ReapWithin(giveUp) {
		return nil, nil
	}
	left, err = new(contain.Table).List(wire.PIDNS, o.shim.PID, o.tree.leader, "")
	if err == nil && len(left) == 0 {
		err = contain.ErrShimLives
	}
	return left, err
}
