package supervise

import (
	"cmp"
	"context"
	"reflect"
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// stopBy asks for a stop by a plan. One with a plan takes the place of a stop under way.
func (s *Supervisor) stopBy(i *instance, plan foster.StopPlan, ask func()) {
	under := i.m.State == client.Stopping || i.m.State == client.Stuck
	if !under || planned(plan) {
		i.plan = plan
	}
	ask()
	switch {
	case !under || !planned(plan):
	case i.tree != nil:
		s.stopAnew(i)
	case i.m.Active && plan.Timeout < 0:
		i.cutStop()
	}
}

// planned says whether a plan is another than that of the configuration.
func planned(p foster.StopPlan) bool { return p.Signal != 0 || p.Scope != "" || p.Timeout != 0 }

// planOf is how an application is stopped by its configuration.
func planOf(spec *config.App) foster.StopPlan {
	return foster.StopPlan{Signal: spec.Stop.Signal, Scope: spec.Stop.Scope, Timeout: spec.Stop.Timeout}
}

// stopTree stops the tree of an instance: its hook and its command first, then by
// signals. That it is empty, or not, is told by follow.
func (s *Supervisor) stopTree(i *instance) {
	if i.plan.Timeout < 0 {
		s.stopAnew(i)
		return
	}
	tree, run, spec, pid := i.tree, i.run, i.current, i.leader()
	plan := i.stopPlan()
	another := planned(i.plan) || !reflect.DeepEqual(plan, i.agreed)
	spec.Stop.Timeout = plan.Timeout
	ctx, cut := context.WithCancel(s.patient)
	prepared := make(chan struct{})
	i.preparing, i.cutStop = prepared, cut
	s.helpers.Go(func() {
		defer cut()
		s.beforeSignals(ctx, i, run, spec, pid)
		close(prepared)
		// Follow tells how it ended.
		switch {
		case s.patient.Err() != nil: // its hook was cut short: the signal is due
			_, _ = tree.StopWith(context.Background(), plan)
		case ctx.Err() != nil: // another stop has taken the place of this one
		case another:
			_, _ = tree.StopWith(context.Background(), plan)
		default:
			_, _ = tree.Stop(context.Background())
		}
	})
}

// tearDown runs the commands of a stop for what has completed and is active: there is no
// tree any more.
func (s *Supervisor) tearDown(i *instance) {
	run, spec, atOnce := i.run, i.current, i.plan.Timeout < 0
	spec.Stop.Timeout = i.stopPlan().Timeout
	told := endVariables(i.exit, "success", true)
	ctx, cut := context.WithCancel(s.patient)
	i.cutStop = cut
	s.helpers.Go(func() {
		defer cut()
		if !atOnce {
			s.beforeSignals(ctx, i, run, spec, 0)
		}
		s.afterEnd(i, run, &spec, told)
		s.post(func() {
			i.ends++
			s.step(i, Ended, "stopped", outcome{})
		})
	})
}

// stopAnew stops the tree of an instance by signals only, and in place of a stop under way.
func (s *Supervisor) stopAnew(i *instance) {
	if i.cutStop != nil {
		i.cutStop()
	}
	tree, plan := i.tree, i.stopPlan()
	s.helpers.Go(func() {
		_, _ = tree.StopWith(context.Background(), plan) // follow tells how it ended
	})
}

// stopPlan is how the run under way is stopped: as was asked for, and else as its
// configuration says.
func (i *instance) stopPlan() foster.StopPlan {
	plan, stop := i.plan, planOf(&i.current)
	if plan.Signal == 0 {
		plan.Signal = stop.Signal
	}
	if plan.Scope == "" {
		plan.Scope = stop.Scope
	}
	if plan.Timeout == 0 {
		plan.Timeout = stop.Timeout
	}
	if own := cmp.Or(stop.Signal, syscall.SIGTERM); cmp.Or(plan.Signal, own) != own && plan.Timeout > 0 {
		// What doesn't end by the signal that was asked for may end by its own: SIGKILL does harm.
		plan.Steps = []foster.StopStep{{Signal: own, Scope: plan.Scope, Wait: plan.Timeout}}
	}
	return plan
}
