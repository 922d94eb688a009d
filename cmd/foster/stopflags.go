package main

import (
	"cmp"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// stopFlags are those that make a stop another than was agreed on. What isn't given is for
// an application as its file says, and for a tree as at its start.
type stopFlags struct{ signal, timeout, scope string }

func (f *stopFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.signal, "signal", "s", "", "a `signal` to send before the usual one, this once")
	fl.StringVarP(&f.timeout, "timeout", "t", "", "how much `time` each signal has before SIGKILL, this once; 0: none")
	fl.StringVar(&f.scope, "scope", "", "whom the signal is sent to: tree, group, leader or leader-first")
}

// plans reads the flags: for an application, and for a tree.
func (f *stopFlags) plans(cmd *cobra.Command) (app client.StopPlan, tree treeStop, err error) {
	given := cmd.Flags().Changed
	if given("signal") {
		if tree.signal, err = units.Signal(f.signal); err != nil {
			return app, tree, usageError{flagError("signal", err)}
		}
		app.Signal = units.SignalName(tree.signal)
	}
	if given("timeout") {
		wait, err := units.Duration(f.timeout)
		if err != nil {
			return app, tree, usageError{flagError("timeout", err)}
		}
		tree.wait, app.Timeout = &wait, wait.String()
	}
	if given("scope") {
		ok := false
		if tree.scope, ok = scopes[f.scope]; !ok {
			return app, tree, usageError{flagError("scope", fmt.Errorf("%q is none of tree, group, leader, leader-first", f.scope))}
		}
		app.Scope = f.scope
	}
	return app, tree, nil
}

// forSome is the same for applications that are stopped without their supervisor.
func (f *stopFlags) forSome(tree treeStop) foster.StopPlan {
	plan := foster.StopPlan{Signal: tree.signal, Scope: foster.Scope(f.scope)}
	if tree.wait != nil {
		if plan.Timeout = *tree.wait; plan.Timeout == 0 {
			plan.Timeout = foster.KillAtOnce().Timeout
		}
	}
	return plan
}

// treeStop is how a tree is stopped this once. What it leaves out is as was agreed on at the
// start of the tree.
type treeStop struct {
	signal syscall.Signal
	scope  wire.Scope
	wait   *time.Duration
}

// plan is the whole stop; nil: the agreed one. A signal of its own comes before the agreed
// one, not in its place: what doesn't end by the one may end by the other, and SIGKILL does harm.
func (t treeStop) plan(agreed wire.Plan) *wire.Plan {
	if t == (treeStop{}) {
		return nil
	}
	step := wire.Step{Signal: syscall.SIGTERM, Scope: wire.ScopeTree, Wait: foster.DefaultStopTimeout}
	if len(agreed.Steps) > 0 { // else it was SIGKILL at once
		step = agreed.Steps[0]
	}
	if t.wait != nil {
		step.Wait = *t.wait
	}
	step.Scope = cmp.Or(t.scope, step.Scope)
	p := &wire.Plan{GiveUp: 5 * time.Second}
	if step.Wait == 0 {
		return p
	}
	if t.signal != 0 && t.signal != step.Signal {
		first := step
		first.Signal = t.signal
		p.Steps = append(p.Steps, first)
	}
	p.Steps = append(p.Steps, step)
	return p
}
