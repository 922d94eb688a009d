package foster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/wire"
)

// emptied is how a tree was emptied without its shim.
type emptied struct {
	killed []procfs.Stat // as far as they were seen
	ended  int           // more whom nobody counts else
	left   []procfs.Stat
	err    error
	crash  error // of the shim; nil: it was killed, or that isn't known
}

// shimLost empties the tree where the shim is gone without a last word: it was
// killed. That may take its time, in which this side goes on to listen.
func (o *owner) shimLost() {
	o.event(Event{Kind: EventShimLost})
	o.exit.Cause = CauseShimLost
	o.failed = append(o.failed, ErrShimLost)
	if o.shared != nil {
		o.shared.lose()
	}
	o.shim.Kill() // where it said what no shim says, it must not go on
	empty := o.emptyWithoutShim
	if o.attached != nil {
		empty = o.emptyAttached
	}
	o.emptying = make(chan emptied, 1)
	go func() {
		e := empty()
		if o.shared == nil && o.shim.ReapWithin(giveUp) && o.shim.Crashed() != 0 {
			e.crash = fmt.Errorf("it has crashed: exit status %d", o.shim.Crashed())
		}
		o.emptying <- e
	}()
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
		e.left, err = endLost(state, o.tree.id)
	}
	e.err = err
	return e
}

// endLost ends what the journal tells of a tree that both its sides have left.
func endLost(folder, id string) (left []procfs.Stat, err error) {
	found, err := journal.Find(folder, id)
	if err != nil {
		return nil, err
	}
	one, left, mine := new(recovery).one(context.Background(), folder, found)
	if !mine {
		return nil, errors.New("another recovers it")
	}
	if one.Err == nil && len(left) > 0 {
		return left, nil
	}
	return nil, one.Left()
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
	if left, err = endLost(r.folder, r.id); err == nil && len(left) == 0 {
		err = errHandedOn
	}
	return left, err
}

// emptyWithoutShim does what the containment allows.
func (o *owner) emptyWithoutShim() (e emptied) {
	level, _, err := o.tree.containment.level()
	switch {
	case err != nil:
	case level == wire.Cgroup:
		e.killed, e.left, err = o.cgroup.End(giveUp)
	case level == wire.Group:
		e.killed, e.left, err = contain.KillLostGroup(o.tree.leader, o.start, giveUp)
	case level == wire.PIDNS:
		e.left, err = o.awaitNamespace()
	case level == wire.Subreaper && !contain.Adopts():
		e.left, err = o.endHandedOn()
	}
	if e.err = err; err != nil || len(e.left) > 0 || !contain.Adopts() {
		return e
	}
	if o.shared != nil {
		e.left, e.err = o.shared.awaitEnd()
		return e
	}
	// Its socket is closed before its children are handed on: until it can be reaped,
	// they still are below it.
	if !o.shim.ReapWithin(giveUp) {
		e.err = contain.ErrShimLives
		return e
	}
	e.ended, e.left, e.err = contain.EmptyAdopted(giveUp, shim.IsShim)
	return e
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
