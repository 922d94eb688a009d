package supervise

import (
	"context"
	"slices"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// What foster up starts: at the beginning of a supervisor (startFirst), and where there is
// one already (Up). What it only says, for --dry-run, is decided by the same functions, over
// a sketch: a supervisor without processes.

// Up is Update, and then starts what is to run and doesn't: what is named, or, without
// names, what has autostart and has failed, or was never started. What somebody has stopped
// stays so, and what has completed, too. What is started comes as changes as well.
func (s *Supervisor) Up(ctx context.Context, names []string, dryRun bool) ([]client.Change, error) {
	changes, began, err := s.readAgain(dryRun, names, true)
	if err != nil || dryRun {
		return changes, err
	}
	return changes, s.awaitRest(ctx, changes, began)
}

// startLacking starts what Up is to start beside what an update does. It gives whose start
// is to be waited for: also those that others have begun to start, and those that pause after
// a failure, which is told.
func (s *Supervisor) startLacking(names []string) (awaited []*instance) {
	for _, i := range s.lacking(names) {
		i.by, i.restarted, i.attempts = "by hand", false, attempts{}
		s.step(i, Start, "with foster up", outcome{})
		awaited = append(awaited, i)
	}
	for _, i := range s.instances() {
		var underWay bool
		switch i.m.State {
		case client.Waiting, client.Starting, client.Backoff:
			underWay = len(names) == 0
		}
		if !slices.Contains(awaited, i) && !i.removed && (underWay || slices.Contains(names, i.app.spec.Name)) {
			awaited = append(awaited, i)
		}
	}
	s.unsettled = true
	return awaited
}

// lacking are the instances that don't run, and are to with these names, in the order of
// their start, with what they depend on.
func (s *Supervisor) lacking(names []string) []*instance {
	var found []*instance
	for _, name := range s.order {
		for _, i := range s.apps[name].instances {
			if len(names) > 0 && slices.Contains(names, name) || len(names) == 0 && i.app.spec.Autostart && s.neverRan(i) {
				found = append(found, i)
			}
		}
	}
	stays := func(d *instance) bool {
		return d.m.State == client.Completed || len(names) == 0 && d.m.State == client.Stopped && s.memory.has(d.treeID)
	}
	return slices.DeleteFunc(s.withDependencies(found, stays), func(i *instance) bool {
		if len(names) == 0 {
			return i.m.State != client.Stopped && i.m.State != client.Failed
		}
		return i.m.State == client.Waiting || hasTree(i.m.State) && !i.m.undone()
	})
}

// neverRan says whether an instance has failed, or nobody has started it, nor stopped it.
func (s *Supervisor) neverRan(i *instance) bool {
	return i.m.State == client.Failed || i.m.State == client.Stopped && !s.memory.has(i.treeID)
}

// sketch is a supervisor of a project without processes, which can be asked what it would
// do. state gives the states of the instances there are.
func sketch(p *config.Project, m *memory, only []string, state func(id string) client.State) *Supervisor {
	s := &Supervisor{options: Options{Only: only}, project: p, memory: m, apps: map[string]*app{}}
	for _, spec := range p.Apps {
		a := &app{spec: spec}
		for n := 1; n <= spec.Replicas; n++ {
			i := &instance{app: a, replica: n, treeID: treeID(p.Name, spec.Name, n), spec: spec.Instance(p.Name, n)}
			i.m.State = state(i.treeID)
			a.instances = append(a.instances, i)
		}
		s.apps[spec.Name] = a
		s.order = append(s.order, spec.Name)
	}
	return s
}

// withLacking adds to the changes of an update to a project what Up would start.
func (s *Supervisor) withLacking(changes []client.Change, next *config.Project, names []string) []client.Change {
	now := map[string]client.State{}
	for _, i := range s.instances() {
		now[i.treeID] = i.m.State
	}
	done := map[string]bool{}
	for _, c := range changes {
		done[c.App] = done[c.App] || c.Action == "start" || c.Action == "restart"
	}
	then := sketch(next, s.memory, nil, func(id string) client.State {
		if state, known := now[id]; known {
			return state
		}
		return client.Stopped
	})
	list := slices.DeleteFunc(then.lacking(names), func(i *instance) bool { return done[i.app.spec.Name] })
	return append(changes, startsOf(list, "start")...)
}

// startsOf are changes of the applications of instances, each once.
func startsOf(list []*instance, action string) (changes []client.Change) {
	for _, i := range list {
		c := client.Change{App: i.app.spec.Name, Action: action}
		if !slices.ContainsFunc(changes, func(other client.Change) bool { return other.App == c.App }) {
			changes = append(changes, c)
		}
	}
	return changes
}

// Forecast says what a supervisor of a project would do at its start, and does nothing.
// alive says whether there is a tree of this name.
func Forecast(p *config.Project, options Options, alive func(id string) bool) (changes []client.Change) {
	m, last := recall(options.State)
	killed := !m.Clean && !m.first
	if killed {
		m.keepScale(p)
	}
	before := m.Only
	s := sketch(p, m, options.Only, func(id string) client.State {
		if alive(id) {
			return client.Running
		}
		return client.Stopped
	})
	if last == nil {
		last = p
	}
	differs := restartsOf(difference(last, p))
	for _, i := range s.instances() {
		if c, again := differs[i.app.spec.Name]; hasTree(i.m.State) {
			if !again {
				c = client.Change{App: i.app.spec.Name, Action: "take-over"}
			}
			if !slices.ContainsFunc(changes, func(other client.Change) bool { return other.App == c.App }) {
				changes = append(changes, c)
			}
		}
	}
	for _, name := range goneWithTrees(last, p, alive) {
		changes = append(changes, client.Change{App: name, Action: "stop"})
	}
	list, _ := s.firstOf(killed, before)
	list = slices.DeleteFunc(list, func(i *instance) bool {
		return i.m.State != client.Stopped || slices.ContainsFunc(changes, func(c client.Change) bool { return c.App == i.app.spec.Name })
	})
	return append(changes, startsOf(list, "start")...)
}

// restartsOf are the restarts among changes, by application.
func restartsOf(changes []client.Change) map[string]client.Change {
	found := map[string]client.Change{}
	for _, c := range changes {
		if c.Action == "restart" {
			found[c.App] = c
		}
	}
	return found
}

// goneWithTrees names the applications that are no longer of the project, and live.
func goneWithTrees(last, p *config.Project, alive func(id string) bool) (names []string) {
	now := appsByName(p)
	for _, a := range last.Apps {
		for n := 1; n <= a.Replicas && now[a.Name] == nil; n++ {
			if alive(treeID(last.Name, a.Name, n)) {
				names = append(names, a.Name)
				break
			}
		}
	}
	return names
}
