package supervise

import (
	"maps"
	"slices"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// noteRest keeps for the next life what that can't learn from the trees. When all is
// stopped for the end, that says nothing of any of them.
func (s *Supervisor) noteRest(i *instance) {
	switch {
	case i.removed:
		s.noteLeaving(i)
	case s.ending:
		s.noteWhileEnding(i)
	default:
		s.memory.rest(i.treeID, s.noteOf(i))
		s.problem("state", s.memory.broken)
	}
}

// noteOf is what the next life must know of an instance: that it isn't to run only because
// there is another supervisor, or that it is to, though its tree is being stopped, or a
// start of the project alone wouldn't start it. nil: nothing.
func (s *Supervisor) noteOf(i *instance) *restNote {
	m, cause, since := i.m, i.cause, i.since
	if i.over != nil {
		m, cause = i.foresee()
		since = i.over.exit.LastSeen()
	}
	switch m.State {
	case client.Stopped, client.Completed, client.Failed:
		return &restNote{State: m.State, Cause: cause, Since: since, Active: m.Active}
	}
	stopping := m.undone()
	switch {
	case stopping && !m.Again && m.Failing:
		return &restNote{State: client.Failed, Cause: cause, Since: since}
	case stopping && !m.Again:
		return &restNote{State: client.Stopped, Cause: cause, Since: since, Active: m.Active}
	case m.State == client.Stuck: // if the next life can take its tree over, it isn't restarted
		return &restNote{State: client.Waiting, Due: i.schedule != nil}
	case stopping:
		return &restNote{State: client.Stopping, Active: m.Active}
	case i.m.Queued:
		return &restNote{State: client.Waiting, Queued: true}
	case i.schedule != nil && (m.State == client.Waiting || m.State == client.Starting):
		return &restNote{State: client.Waiting, Due: true}
	case !wanted(s.memory.Only, &i.spec), !hasLife(m.State) && s.memory.has(i.treeID):
		return &restNote{State: client.Waiting}
	}
	return nil
}

// wanted says whether a start of the project starts an application: it is one of those that
// are to be started only, or there are no such, and the configuration says so.
func wanted(only []string, spec *config.App) bool {
	if len(only) == 0 {
		return spec.Autostart
	}
	return slices.Contains(only, spec.Name)
}

// noteLeaving keeps those that are no longer of the project until their trees are empty.
// It is written with what comes next, which is the project without them.
func (s *Supervisor) noteLeaving(i *instance) {
	switch {
	case i.m.active():
		s.memory.leaves(i.treeID, leavingNote{App: i.app.spec, Replica: i.replica, Active: i.m.Active})
	case !s.lastRunLives(i):
		delete(s.memory.Leaving, i.treeID)
		delete(s.memory.Begun, i.treeID)
		delete(s.memory.UnderWay, i.treeID)
		delete(s.memory.Owed, i.treeID)
		if a := s.apps[i.app.spec.Name]; a != nil && len(a.instances) >= i.replica {
			s.memory.save() // another has its place: that one isn't to be stopped
		}
	}
}

// takeLeaving adds those that were leaving in the life before. Where another has the place
// of one, the tree that is there is to make room for it.
func (s *Supervisor) takeLeaving() {
	known := map[string]*instance{}
	for _, i := range s.instances() {
		known[i.treeID] = i
	}
	for _, id := range slices.Sorted(maps.Keys(s.memory.Leaving)) {
		note := s.memory.Leaving[id]
		switch i := known[id]; {
		case i == nil:
			s.addLeaving(&app{spec: note.App}, note.App, note.Replica)
		case !i.removed && s.memory.Rests[id].State != client.Stopped:
			s.memory.Rests[id] = restNote{State: client.Stopping}
		}
	}
}

// addLeaving adds an instance that is no longer of the project.
func (s *Supervisor) addLeaving(a *app, spec config.App, replica int) {
	i := s.grow(&app{spec: spec, instances: make([]*instance, replica-1)}, replica)[0]
	i.app, i.removed = a, true
	s.leaving = append(s.leaving, i)
}

// forgetLeft drops the notes of those that have left.
func (s *Supervisor) forgetLeft() {
	alive := map[string]bool{}
	for _, i := range s.leaving {
		alive[i.treeID] = alive[i.treeID] || i.m.active()
	}
	maps.DeleteFunc(s.memory.Leaving, func(id string, _ leavingNote) bool { return !alive[id] })
}
