package supervise

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// Update reads the configuration again and applies the difference: what has not changed
// isn't touched. With dryRun it only says what it would do. It waits until what is
// started and stopped is.
func (s *Supervisor) Update(ctx context.Context, dryRun bool) ([]client.Change, error) {
	changes, _, err := s.readAgain(dryRun, nil, false)
	if err != nil || dryRun {
		return changes, err
	}
	return changes, s.awaitRest(ctx, changes, nil)
}

// readAgain reads the configuration and applies it. Of two at once, who reads last applies
// last. With up, it starts what Up does, too, and says what that is.
func (s *Supervisor) readAgain(dryRun bool, names []string, up bool) (changes []client.Change, began []*instance, err error) {
	s.updating <- struct{}{}
	defer func() { <-s.updating }()
	next, err := s.options.Load()
	if err == nil {
		err = s.sameName(next)
	}
	if err == nil {
		err = unknownAmong(names, next)
	}
	if err == nil && !dryRun && s.options.Prepare != nil {
		err = s.options.Prepare(next)
	}
	if err != nil {
		return nil, nil, err
	}
	asked := s.ask(func() {
		if err = s.mayChange(); err != nil && !dryRun {
			return
		}
		s.memory.keepScale(next)
		changes = s.restarting(difference(s.project, next))
		if up {
			changes = s.withLacking(changes, next, names)
		}
		if !dryRun {
			s.apply(next)
		}
		if up && !dryRun {
			began = s.startLacking(names)
		}
	})
	return changes, began, errors.Join(asked, err)
}

// unknownAmong says which of some names a project doesn't have.
func unknownAmong(names []string, p *config.Project) error {
	apps := appsByName(p)
	for _, name := range names {
		if apps[name] == nil {
			return fmt.Errorf("%q: %w", name, client.ErrUnknown)
		}
	}
	return nil
}

// sameName says what is wrong with a project of another name: its trees would have other
// names, too, so that a supervisor that is killed is followed by one that looks for none
// of those that live. Only an update replaces the project, and there is one at a time.
func (s *Supervisor) sameName(next *config.Project) error {
	if now := s.project.Name; next.Name != now {
		return fmt.Errorf("%s is now called %s, which an update can't change: foster down --project %[1]s, then foster up", now, next.Name)
	}
	return nil
}

// mayChange says why nothing can be changed any more.
func (s *Supervisor) mayChange() error {
	switch {
	case s.ending:
		return errors.New("all is being stopped")
	case s.resigned:
		return errors.New("another supervisor takes over")
	}
	return nil
}

// awaitRest waits until what an update has started runs, as what it began beside that, and
// what it has stopped is gone.
func (s *Supervisor) awaitRest(ctx context.Context, changes []client.Change, began []*instance) error {
	return s.request(ctx, nil, func([]*instance) (*request, error) {
		r := &request{look: func(i *instance) (bool, string) {
			if i.removed {
				return !hasTree(i.m.State), ""
			}
			return startDone(i, i.launches)
		}}
		for _, i := range s.instances() {
			touched := slices.ContainsFunc(changes, func(c client.Change) bool {
				return c.App == i.app.spec.Name && c.Action != "change" && c.Action != "add"
			})
			if i.removed || touched && i.m.State != client.Stopped && !i.staysStopped() || slices.Contains(began, i) {
				r.pending = append(r.pending, i)
			}
		}
		return r, nil
	})
}

// difference says what has to be done to come from one project to another.
func difference(old, next *config.Project) (changes []client.Change) {
	before := appsByName(old)
	after := appsByName(next)
	if keys := ownChanges(old, next); len(keys) > 0 {
		changes = append(changes, client.Change{Action: "change", Keys: keys})
	}
	for _, a := range old.Apps {
		if after[a.Name] == nil {
			changes = append(changes, client.Change{App: a.Name, Action: "stop"})
		}
	}
	for _, a := range next.Apps {
		was := before[a.Name]
		switch {
		case was == nil && a.Autostart:
			changes = append(changes, client.Change{App: a.Name, Action: "start"})
			continue
		case was == nil:
			changes = append(changes, client.Change{App: a.Name, Action: "add"})
			continue
		case was.Replicas != a.Replicas:
			changes = append(changes, client.Change{App: a.Name, Action: "scale", From: was.Replicas, To: a.Replicas})
		}
		if keys, restart := config.Changes(*was, a); restart {
			changes = append(changes, client.Change{App: a.Name, Action: "restart", Keys: keys})
		} else if len(keys) > 0 && !reflect.DeepEqual(keys, []string{"Replicas"}) {
			changes = append(changes, client.Change{App: a.Name, Action: "change", Keys: keys})
		}
	}
	return changes
}

// ownChanges names the fields in which two versions of a project differ, beside its
// applications and what is in each of these.
func ownChanges(old, next *config.Project) (keys []string) {
	for _, f := range []struct {
		name    string
		differs bool
	}{
		{"Group", old.Group != next.Group}, {"Metrics", old.Metrics != next.Metrics},
		{"History", old.History != next.History}, {"Grace", old.Grace != next.Grace},
	} {
		if f.differs {
			keys = append(keys, f.name)
		}
	}
	return keys
}

// restarting has changes say restart only where there is something to be restarted.
func (s *Supervisor) restarting(changes []client.Change) []client.Change {
	for n, c := range changes {
		if c.Action == "restart" && !slices.ContainsFunc(s.apps[c.App].instances, (*instance).lacksUpdate) {
			changes[n].Action = "change"
		}
	}
	return changes
}

func appsByName(p *config.Project) map[string]*config.App {
	m := map[string]*config.App{}
	for i := range p.Apps {
		m[p.Apps[i].Name] = &p.Apps[i]
	}
	return m
}

// apply makes the project another.
func (s *Supervisor) apply(next *config.Project) {
	old := s.project
	s.project = next
	s.order = nil
	was := s.apps
	s.apps = map[string]*app{}
	var added []*instance
	for _, spec := range next.Apps {
		a := was[spec.Name]
		if a == nil {
			a = s.add(spec)
			if spec.Autostart {
				added = append(added, a.instances...)
			}
			continue
		}
		s.apps[spec.Name] = a
		s.order = append(s.order, spec.Name)
	}
	for name, a := range was {
		if s.apps[name] == nil {
			s.unwatch(a)
			s.leave(a.instances, "no longer in the configuration")
		}
	}
	s.adjust(old)
	s.startAdded(added)
	s.setHistoryLimits(next.History)
	s.memory.forgetScales(next)
	s.memory.saveProject(next)
	s.problem("state", s.memory.broken)
	s.event(nil, "supervisor", "the configuration was read again")
}

// startAdded starts what is new in the configuration, and what it depends on: as at the first
// start, what was stopped by hand stays so.
func (s *Supervisor) startAdded(added []*instance) {
	stays := func(d *instance) bool { return d.m.State != client.Stopped || s.memory.has(d.treeID) }
	for _, i := range s.withDependencies(added, stays) {
		if !slices.Contains(added, i) {
			i.by = "for what is new in the configuration"
		}
		s.step(i, Start, "new in the configuration", outcome{})
	}
}

// adjust brings the applications that were there before to what the project says now.
func (s *Supervisor) adjust(old *config.Project) {
	before := appsByName(old)
	for _, spec := range s.project.Apps {
		a, was := s.apps[spec.Name], before[spec.Name]
		if was == nil {
			continue
		}
		a.spec = spec
		s.setWatch(a)
		s.resize(a, spec.Replicas)
		_, restart := config.Changes(*was, spec)
		for _, i := range a.instances {
			s.specify(i)
			if restart && i.lacksUpdate() {
				s.restart(i, "with another configuration", "its configuration has changed")
			}
			s.reschedule(i)
		}
	}
}

// lacksUpdate says whether an instance is to be started anew where its configuration has
// changed. What has failed, or pauses after that, may have lacked just this; what waits
// starts with it in any case, and what has completed, or was stopped, stays so.
func (i *instance) lacksUpdate() bool {
	switch i.m.State {
	case client.Failed, client.Backoff:
		return true
	}
	return i.m.active() && !i.staysStopped()
}

// resize makes an application have so many instances; who is too many is stopped. New ones
// are started, unless the others are stopped.
func (s *Supervisor) resize(a *app, replicas int) {
	active := len(a.instances) == 0 || slices.ContainsFunc(a.instances, func(i *instance) bool { return i.m.State != client.Stopped })
	added := s.grow(a, replicas)
	if active {
		s.startAll(added, "the application was scaled")
	} else {
		for _, i := range added {
			s.noteRest(i) // they are stopped as the others are
		}
	}
	if len(a.instances) > replicas {
		s.leave(a.instances[replicas:], "the application was scaled")
		a.instances = slices.Clip(a.instances[:replicas])
	}
}

func (s *Supervisor) startAll(list []*instance, cause string) {
	for _, i := range list {
		s.step(i, Start, cause, outcome{})
	}
}

// leave stops instances that are no longer of the project, and forgets them when their
// trees are empty.
func (s *Supervisor) leave(list []*instance, cause string) {
	for _, i := range list {
		i.removed = true
		s.memory.rest(i.treeID, nil)
		delete(s.memory.Tries, i.treeID)
		s.leaving = append(s.leaving, i)
		s.step(i, Stop, cause, outcome{})
	}
}

// Scale sets the number of an application's instances, until its configuration has
// another, and waits until they run, or are gone.
func (s *Supervisor) Scale(ctx context.Context, name string, replicas int) error {
	if replicas < 0 || replicas > config.MostReplicas {
		return fmt.Errorf("%d replicas: 0 to %d are possible", replicas, config.MostReplicas)
	}
	var err error
	if asked := s.ask(func() {
		a := s.apps[name]
		if a == nil {
			err = fmt.Errorf("%q: %w", name, client.ErrUnknown)
			return
		}
		if err = s.mayChange(); err != nil {
			return
		}
		s.memory.scaled(name, a.spec.Replicas, replicas)
		a.spec.Replicas = replicas
		for i := range s.project.Apps {
			if s.project.Apps[i].Name == name {
				s.project.Apps[i].Replicas = replicas
			}
		}
		s.resize(a, replicas)
		for _, i := range a.instances {
			s.specify(i)
		}
		s.memory.saveProject(s.project)
	}); asked != nil || err != nil {
		if err == nil {
			err = asked
		}
		return err
	}
	return s.awaitRest(ctx, []client.Change{{App: name, Action: "scale"}}, nil)
}
