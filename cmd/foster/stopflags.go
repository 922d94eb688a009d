package main

import (
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// stopFlags are those that make a stop another than was agreed on. What isn't given is for
// an application as its file says, and for a tree as foster run has it.
type stopFlags struct{ signal, timeout, scope string }

func (f *stopFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.signal, "signal", "s", "", "the first `signal`, this once")
	fl.StringVarP(&f.timeout, "timeout", "t", "", "how much `time` before SIGKILL, this once; 0: none")
	fl.StringVar(&f.scope, "scope", "", "whom the signal is sent to: tree, group, leader or leader-first")
}

// plans reads the flags: for an application, and for a tree, where nil is its own.
func (f *stopFlags) plans(cmd *cobra.Command) (app client.StopPlan, tree *wire.Plan, err error) {
	step := wire.Step{Signal: syscall.SIGTERM, Scope: wire.ScopeTree, Wait: 10 * time.Second}
	given := cmd.Flags().Changed
	if given("signal") {
		if step.Signal, err = units.Signal(f.signal); err != nil {
			return app, nil, usageError{flagError("signal", err)}
		}
		app.Signal = units.SignalName(step.Signal)
	}
	if given("timeout") {
		if step.Wait, err = units.Duration(f.timeout); err != nil {
			return app, nil, usageError{flagError("timeout", err)}
		}
		app.Timeout = step.Wait.String()
	}
	if given("scope") {
		ok := false
		if step.Scope, ok = scopes[f.scope]; !ok {
			return app, nil, usageError{flagError("scope", fmt.Errorf("%q is none of tree, group, leader, leader-first", f.scope))}
		}
		app.Scope = f.scope
	}
	if app == (client.StopPlan{}) {
		return app, nil, nil
	}
	tree = &wire.Plan{GiveUp: 5 * time.Second}
	if step.Wait > 0 {
		tree.Steps = []wire.Step{step}
	}
	return app, tree, nil
}
