package foster

import (
	"fmt"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// DefaultStopTimeout is how long a stop waits before SIGKILL.
const DefaultStopTimeout = 10 * time.Second

// giveUp is how long SIGKILL may take before what is left is told as survivors.
// Only a process that waits in the kernel without being interruptible (state D)
// takes long.
const giveUp = 5 * time.Second

// Scope says whom a signal is for.
type Scope string

const (
	// ScopeTree is every member of the tree. The zero value means ScopeTree.
	ScopeTree Scope = "tree"
	// ScopeGroup is the process group of the leader.
	ScopeGroup Scope = "group"
	// ScopeLeader is the leader alone.
	ScopeLeader Scope = "leader"
	// ScopeLeaderFirst is for a stop: the leader, so that it can drain its workers,
	// and what is left once it has ended.
	ScopeLeaderFirst Scope = "leader-first"
)

func (s Scope) number() (wire.Scope, error) {
	switch s {
	case "", ScopeTree:
		return wire.ScopeTree, nil
	case ScopeGroup:
		return wire.ScopeGroup, nil
	case ScopeLeader:
		return wire.ScopeLeader, nil
	case ScopeLeaderFirst:
		return wire.ScopeLeaderFirst, nil
	}
	return 0, fmt.Errorf("unknown scope %q: use tree, group, leader or leader-first", string(s))
}

// StopPlan is how a tree is stopped: a signal, time to act on it, further steps
// where they are given, then SIGKILL to all until the tree is empty. A stop is
// over as soon as the tree is empty. A process that is stopped gets SIGCONT after each
// signal, since it would act on it only then. A step that finds nobody is sent to the
// whole tree instead.
type StopPlan struct {
	Signal  syscall.Signal // 0: SIGTERM
	Scope   Scope          // "": ScopeTree
	Timeout time.Duration  // 0: DefaultStopTimeout; negative: SIGKILL at once
	Steps   []StopStep     // between Timeout and SIGKILL
}

// StopStep is one more signal, and how long to wait for its effect.
type StopStep struct {
	Signal syscall.Signal
	Scope  Scope
	Wait   time.Duration
}

// KillAtOnce is the plan without an orderly part.
func KillAtOnce() StopPlan { return StopPlan{Timeout: -1} }

// validSignal checks the number of a signal that is to be sent.
func validSignal(sig syscall.Signal) error {
	if sig < 1 || sig > sys.LastSignal {
		return fmt.Errorf("there is no signal %d: want 1 to %d: %w", int(sig), sys.LastSignal, syscall.EINVAL)
	}
	return nil
}

func (p StopPlan) plan() (wire.Plan, error) {
	plan := wire.Plan{GiveUp: giveUp}
	if p.Timeout < 0 {
		return plan, nil
	}
	first := StopStep{Signal: p.Signal, Scope: p.Scope, Wait: p.Timeout}
	if first.Signal == 0 {
		first.Signal = syscall.SIGTERM
	}
	if first.Wait == 0 {
		first.Wait = DefaultStopTimeout
	}
	for _, s := range append([]StopStep{first}, p.Steps...) {
		scope, err := s.Scope.number()
		if err != nil {
			return wire.Plan{}, err
		}
		if err := validSignal(s.Signal); err != nil {
			return wire.Plan{}, err
		}
		if s.Wait < 0 || s.Wait > longestTime {
			return wire.Plan{}, fmt.Errorf("a step of a stop waits between 0 and %v: got %v", longestTime, s.Wait)
		}
		plan.Steps = append(plan.Steps, wire.Step{Signal: s.Signal, Scope: scope, Wait: s.Wait})
	}
	return plan, nil
}
