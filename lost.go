package foster

import (
	"errors"
	"fmt"
	"time"

	"github.com/foster-init/foster/internal/contain"
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
	o.shim.Kill() // where it said what no shim says, it must not go on
	switch left, err := o.emptyWithoutShim(); {
	case err != nil:
		o.failed = append(o.failed, err)
	case len(left) > 0:
		for _, s := range left {
			o.exit.Survivors = append(o.exit.Survivors, Survivor{PID: s.PID, Name: s.Comm, State: string(rune(s.State))})
		}
		o.failed = append(o.failed, &SurvivorsError{o.exit.Survivors})
	default:
		o.exit.TreeEmpty = time.Now()
		o.event(Event{Time: o.exit.TreeEmpty, Kind: EventTreeEmpty})
		o.registered.forget()
	}
	o.endOfTree()
}

// errHandedOn says why a lost subreaper's tree can't be ended from here.
var errHandedOn = errors.New("its members were handed to the next subreaper or to init, and are out of custody")

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
			err = errHandedOn
		}
	}
	if err != nil {
		return nil, fmt.Errorf("empty the tree: %w", err)
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
