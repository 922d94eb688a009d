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

// shimLost empties the tree where the shim is gone without a last word: it was
// killed.
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
	switch left, err := empty(); {
	case err != nil:
		o.failed = append(o.failed, err)
	case len(left) > 0:
		o.exit.Survivors = leftOver(left)
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
func (o *owner) emptyAttached() ([]procfs.Stat, error) {
	if ended, err := procfs.AwaitEnd(o.shim.PID, o.attached.Shim.Start, giveUp); err != nil || !ended {
		return nil, errors.Join(contain.ErrShimLives, err)
	}
	state, _, err := journal.Folders()
	if err != nil {
		return nil, err
	}
	return endLost(state, o.tree.id)
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
	return left, one.Err
}

// errHandedOn says why a lost subreaper's tree isn't known to be empty.
var errHandedOn = errors.New("its members were handed to the next subreaper or to init: who was seen before was ended, and who wasn't is out of custody")

// endHandedOn ends whom the shim of a subreaper has written down: they were handed on,
// and don't fall to this program. That is no proof that nobody is left. Who can't be
// ended stays in the journal, for Recover.
func (o *owner) endHandedOn() (left []procfs.Stat, err error) {
	r := o.registered
	if r == nil || r.record == nil {
		return nil, errHandedOn
	}
	o.shim.Reap() // its hold on the entry ends with it
	r.close()
	r.record = nil
	left, err = endLost(r.folder, r.id)
	if err == nil && len(left) == 0 {
		err = errHandedOn
	}
	return left, err
}

// emptyWithoutShim does what the containment allows.
func (o *owner) emptyWithoutShim() (left []procfs.Stat, err error) {
	level, _, err := o.tree.containment.level()
	if err != nil {
		return nil, err
	}
	switch level {
	case wire.Cgroup:
		err = errors.Join(o.cgroup.Kill(), o.cgroup.AwaitEmpty())
	case wire.PIDNS:
		o.shim.Reap() // the kernel ends a namespace before its first process can be reaped
	case wire.Group:
		err = contain.KillLostGroup(o.tree.leader, o.start)
	case wire.Subreaper:
		if !contain.Adopts() {
			left, err = o.endHandedOn()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("empty the tree: %w", err)
	}
	if o.shared != nil && contain.Adopts() {
		return o.shared.awaitEnd()
	}
	if contain.Adopts() {
		// Its socket is closed before its children are handed on: until it can be
		// reaped, they still are below it.
		o.shim.Reap()
		var ended int
		ended, left, err = contain.EmptyAdopted(giveUp, shim.IsShim)
		o.exit.Killed += ended
	}
	return left, err
}
