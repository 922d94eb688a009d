package supervise

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
)

// request is something that was asked for, and that takes until its targets are there.
type request struct {
	pending []*instance
	// look says whether it is done for one of them, and what it failed with.
	look func(*instance) (done bool, failure string)
	// may is asked before look: it says whether the turn of this one has come, and
	// then does what is to be done. nil: it was done.
	may    func(*instance) bool
	failed client.FailedError
	reply  chan error // buffered: who asked may be gone
}

// checkRequests looks which requests are done.
func (s *Supervisor) checkRequests() {
	s.requests = slices.DeleteFunc(s.requests, func(r *request) bool {
		r.pending = slices.DeleteFunc(r.pending, func(i *instance) bool {
			if r.may != nil && !r.may(i) {
				return false
			}
			done, failure := r.look(i)
			if done && failure != "" {
				r.failed.Failures = append(r.failed.Failures, i.failure(failure))
			}
			return done
		})
		if len(r.pending) > 0 {
			return false
		}
		if len(r.failed.Failures) > 0 {
			r.reply <- &r.failed
		} else {
			r.reply <- nil
		}
		return true
	})
}

// request puts a request to the loop and waits for its end.
func (s *Supervisor) request(ctx context.Context, targets []client.Target, begin func([]*instance) (*request, error)) error {
	reply := make(chan error, 1)
	err := s.ask(func() {
		found, err := s.find(targets)
		if err == nil && s.ending {
			err = errors.New("all is being stopped")
		}
		var r *request
		if err == nil {
			r, err = begin(found)
		}
		if err != nil {
			reply <- err
			return
		}
		r.reply = reply
		s.requests = append(s.requests, r)
		s.unsettled = true
	})
	if err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return client.ErrNotRunning
	}
}

// find gives the instances that targets name.
func (s *Supervisor) find(targets []client.Target) (found []*instance, err error) {
	if len(targets) == 0 {
		return slices.DeleteFunc(s.instances(), func(i *instance) bool { return i.removed }), nil
	}
	for _, t := range targets {
		a := s.apps[t.App]
		switch {
		case a == nil:
			return nil, fmt.Errorf("%q: %w", t.App, client.ErrUnknown)
		case t.Replica == 0:
			found = append(found, a.instances...)
		case t.Replica < 0 || t.Replica > len(a.instances):
			return nil, fmt.Errorf("%s.%d: %s has %d replicas: %w", t.App, t.Replica, t.App, len(a.instances), client.ErrUnknown)
		default:
			found = append(found, a.instances[t.Replica-1])
		}
	}
	return found, nil
}

// Start starts instances and what they depend on, and waits until they run, wait for
// their time, or have completed.
func (s *Supervisor) Start(ctx context.Context, targets []client.Target) error {
	return s.request(ctx, targets, func(found []*instance) (*request, error) {
		before := launches(found)
		for _, i := range s.withDependencies(found, func(d *instance) bool { return d.m.State == client.Completed }) {
			s.startByHand(i)
		}
		return &request{pending: found, look: func(i *instance) (bool, string) { return startDone(i, before[i]) }}, nil
	})
}

func (s *Supervisor) startByHand(i *instance) {
	i.by, i.restarted, i.attempts = "by hand", false, attempts{}
	s.step(i, Start, "asked to", outcome{})
}

// Restart stops instances and starts them again, each when its tree is proven empty. What
// they depend on and what doesn't run is started.
func (s *Supervisor) Restart(ctx context.Context, targets []client.Target) error {
	return s.RestartWith(ctx, targets, foster.StopPlan{})
}

// RestartWith is Restart with another stop, see StopWith.
func (s *Supervisor) RestartWith(ctx context.Context, targets []client.Target, plan foster.StopPlan) error {
	return s.request(ctx, targets, func(found []*instance) (*request, error) {
		before := launches(found)
		for _, d := range s.withDependencies(found, (*instance).needsNoStart) {
			if !slices.Contains(found, d) {
				s.startByHand(d)
			}
		}
		for _, i := range found {
			s.stopBy(i, plan, func() { s.restart(i, "by hand", "asked to restart") })
			before[i]++ // another start than that under way
		}
		return &request{pending: found, look: func(i *instance) (bool, string) {
			if i.launches < before[i] && hasTree(i.m.State) && i.m.State != client.Stuck {
				return false, ""
			}
			return startDone(i, before[i])
		}}, nil
	})
}

// restart restarts an instance, and those that said that they want to be, with it.
func (s *Supervisor) restart(i *instance, by, cause string) {
	i.by, i.restarted, i.attempts = by, true, attempts{}
	s.step(i, Restart, cause, outcome{})
	for _, name := range s.order {
		for _, d := range s.apps[name].spec.DependsOn {
			if d.App == i.app.spec.Name && d.Restart {
				s.restartWith(s.apps[name], i)
			}
		}
	}
}

func (s *Supervisor) restartWith(a *app, with *instance) {
	for _, i := range a.instances {
		if hasTree(i.m.State) && !i.staysStopped() {
			s.restart(i, "with "+with.name(), with.name()+" was restarted")
		}
	}
}

// staysStopped says whether an instance with a tree is being stopped, and nobody wants it to
// run again: a restart that isn't asked for by hand leaves that as it is.
func (i *instance) staysStopped() bool {
	return i.m.undone() && !i.m.Again
}

// needsNoStart says whether an instance is as who depends on it needs it, or will be.
func (i *instance) needsNoStart() bool {
	return i.m.State == client.Completed || i.runs() && !i.staysStopped()
}

func launches(list []*instance) map[*instance]int {
	n := map[*instance]int{}
	for _, i := range list {
		n[i] = i.launches
	}
	return n
}

// startDone says whether a start is over.
func startDone(i *instance, before int) (bool, string) {
	switch i.m.State {
	case client.Scheduled:
		if i.refused {
			return true, i.cause
		}
		return true, ""
	case client.Running, client.LeaderLost, client.Completed:
		return true, ""
	case client.Waiting:
		return i.held, i.cause
	case client.Failed, client.Backoff:
		return true, i.cause
	case client.Stuck:
		if i.over != nil {
			return false, "" // it has ended, and the hook after it runs
		}
		return true, i.stuckFor("its last run can't be ended")
	case client.Stopped:
		if i.launches > before {
			return true, "was stopped"
		}
		return true, i.cause
	}
	return false, ""
}

// Stop stops instances, who depends on another before that one, and waits until their
// trees are empty.
func (s *Supervisor) Stop(ctx context.Context, targets []client.Target) error {
	return s.StopWith(ctx, targets, foster.StopPlan{})
}

// StopWith is Stop in another way than the configuration says. What the plan leaves out is
// as that does.
func (s *Supervisor) StopWith(ctx context.Context, targets []client.Target, plan foster.StopPlan) error {
	return s.request(ctx, targets, func(found []*instance) (*request, error) { return s.stopping(found, plan), nil })
}

// stopping is the request to stop instances in the reverse order.
func (s *Supervisor) stopping(found []*instance, plan foster.StopPlan) *request {
	before, asked := map[*instance]int{}, map[*instance]bool{}
	r := &request{pending: slices.Clone(found)}
	for _, i := range found {
		before[i] = i.ends
	}
	slices.Reverse(r.pending)
	r.may = func(i *instance) bool {
		if asked[i] {
			return true
		}
		for _, other := range r.pending {
			if other != i && s.dependsOn(other, i.app.spec.Name) && other.m.active() {
				return false
			}
		}
		asked[i] = true
		if s.ending && !i.runs() && !i.m.Active {
			return true // it stays as it ended
		}
		s.stopBy(i, plan, func() { s.step(i, Stop, "asked to stop", outcome{}) })
		return true
	}
	r.look = func(i *instance) (bool, string) {
		switch {
		case i.m.State == client.Stuck && i.over == nil:
			return true, i.stuckFor("processes are left that can't be ended")
		case !hasTree(i.m.State), i.ends > before[i]:
			return true, ""
		}
		return false, ""
	}
	return r
}

// stopAll stops all, for the end.
func (s *Supervisor) stopAll() {
	r := s.stopping(s.instances(), foster.StopPlan{})
	r.reply = make(chan error, 1)
	s.requests = append(s.requests, r)
	s.unsettled = true
}

// dependsOn says whether an instance's application waits for another, at once or through
// others.
func (s *Supervisor) dependsOn(i *instance, name string) bool {
	seen := map[string]bool{}
	var look func(spec []string) bool
	look = func(names []string) bool {
		for _, n := range names {
			if n == name {
				return true
			}
			if a := s.apps[n]; a != nil && !seen[n] {
				seen[n] = true
				if look(dependencyNames(a)) {
					return true
				}
			}
		}
		return false
	}
	return look(dependencyNames(i.app))
}

func dependencyNames(a *app) (names []string) {
	for _, d := range a.spec.DependsOn {
		names = append(names, d.App)
	}
	return names
}

// withDependencies adds what instances depend on, before them. One that stays as it is needs
// nothing: neither is it added, nor what it depends on for its sake.
func (s *Supervisor) withDependencies(found []*instance, stays func(*instance) bool) (all []*instance) {
	seen := map[*instance]bool{}
	var add func(*instance)
	add = func(i *instance) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, name := range dependencyNames(i.app) {
			if a := s.apps[name]; a != nil {
				for _, d := range a.instances {
					if !stays(d) {
						add(d)
					}
				}
			}
		}
		all = append(all, i)
	}
	for _, i := range found {
		add(i)
	}
	return all
}

// Down stops all and ends the supervisor. The error names what couldn't be ended.
func (s *Supervisor) Down(ctx context.Context) error {
	if err := s.ask(s.end); err != nil {
		return err
	}
	select {
	case <-s.done:
		return s.survivors()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Signal sends a signal to the trees of instances that run.
func (s *Supervisor) Signal(targets []client.Target, sig syscall.Signal, scope foster.Scope) error {
	return s.eachTree(targets, func(t *foster.Tree) error { return signalTree(t, sig, scope) }, func(i *instance) {
		s.event(i, "signal", "%s was sent, as asked", units.SignalName(sig))
	})
}

// Extend has the leases of instances end no sooner than by from now.
func (s *Supervisor) Extend(targets []client.Target, by time.Duration) error {
	return s.eachTree(targets, func(t *foster.Tree) error { return t.Extend(by) }, nil)
}

// eachTree asks something of the tree of each target, and names those with whom it failed.
// The loop doesn't wait for the answers: a shim may hang. done is called there for each
// with whom it went well.
func (s *Supervisor) eachTree(targets []client.Target, do func(*foster.Tree) error, done func(*instance)) error {
	var found []*instance
	var trees []*foster.Tree
	var err error
	if asked := s.ask(func() {
		found, err = s.find(targets)
		for _, i := range found {
			trees = append(trees, i.tree)
		}
	}); asked != nil || err != nil {
		return errors.Join(asked, err)
	}
	errs := make([]error, len(found))
	var group sync.WaitGroup
	for n, tree := range trees {
		group.Go(func() {
			if errs[n] = errors.New("isn't running"); tree != nil {
				errs[n] = do(tree)
			}
		})
	}
	group.Wait()
	failed := &client.FailedError{}
	asked := s.ask(func() {
		for n, i := range found {
			if errs[n] != nil {
				f := i.failure(units.ErrorText(errs[n]))
				if errors.Is(errs[n], foster.ErrNoAnswer) {
					f.Hint = "foster inspect " + i.treeID + " shows its shim"
				}
				failed.Failures = append(failed.Failures, f)
			} else if done != nil {
				done(i)
			}
		}
	})
	if asked == nil && len(failed.Failures) > 0 {
		return failed
	}
	return asked
}

// Events gives those after a number, and with follow those to come.
func (s *Supervisor) Events(ctx context.Context, after uint64, follow bool) iter.Seq[client.Event] {
	return func(yield func(client.Event) bool) {
		_ = s.ask(func() {}) // the loop has begun, or ended: it knows of the lives before
		s.events.read(ctx, after, follow)(yield)
	}
}

// News gives the events of this life of the supervisor, until it ends.
func (s *Supervisor) News(ctx context.Context) iter.Seq[client.Event] {
	return func(yield func(client.Event) bool) {
		var first uint64
		if s.ask(func() { first = s.first }) != nil {
			first = s.first // nobody changes it any more
		}
		s.events.read(ctx, first, true)(yield)
	}
}
