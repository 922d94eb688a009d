package supervise

import (
	"context"
	"fmt"
	"slices"

	"github.com/foster-init/foster/internal/config"
)

// The commands of a stop: the hooks pre_stop and post_stop, and stop.command. Each is noted
// before it begins, and isn't run again for the same run of its application, also where the
// supervisor is killed in the middle of it: at most once. A drain or a deregistration that
// comes twice may hit what has taken the place since; one that was cut short is told.

const (
	preStop     = "pre_stop"
	stopCommand = "stop.command"
	postStop    = "post_stop"
)

// begin notes that a command of a stop begins. It is false where it has begun before.
func (m *memory) begin(id, what string) bool {
	if slices.Contains(m.Begun[id], what) {
		return false
	}
	if m.Begun == nil {
		m.Begun = map[string][]string{}
	}
	m.Begun[id] = append(m.Begun[id], what)
	if m.UnderWay == nil {
		m.UnderWay = map[string][]string{}
	}
	m.UnderWay[id] = append(m.UnderWay[id], what)
	if what == postStop {
		delete(m.Owed, id)
	}
	m.save()
	return true
}

// finish notes that a command of a stop has ended.
func (m *memory) finish(id, what string) {
	if !slices.Contains(m.UnderWay[id], what) {
		return
	}
	m.UnderWay[id] = slices.DeleteFunc(m.UnderWay[id], func(w string) bool { return w == what })
	if len(m.UnderWay[id]) == 0 {
		delete(m.UnderWay, id)
	}
	m.save()
}

// cutShort names the commands of a stop that a supervisor which was killed hasn't finished.
func (m *memory) cutShort() (list []string) {
	for id, whats := range m.UnderWay {
		for _, what := range whats {
			list = append(list, what+" of "+id)
		}
	}
	slices.Sort(list)
	return list
}

// tellCutShort tells, once, which commands of a stop were cut short.
func (s *Supervisor) tellCutShort() {
	for _, what := range s.memory.cutShort() {
		s.event(nil, "hook", "%s was cut short by the end of the supervisor before, and isn't run again", what)
	}
	s.memory.UnderWay = nil // it is written with what comes next
}

// forgetBegun forgets what was begun of the last run, as another begins.
func (m *memory) forgetBegun(id string) {
	_, had := m.Begun[id]
	if had || m.Owed[id] {
		delete(m.Begun, id)
		delete(m.Owed, id)
		m.save()
	}
}

// owe notes that the hook after the end of the last run is to be run yet, if there is one.
func (m *memory) owe(id string, hook bool) {
	if hook && !m.Owed[id] {
		if m.Owed == nil {
			m.Owed = map[string]bool{}
		}
		m.Owed[id] = true
		m.save()
	}
}

// forgetStop forgets what a stop has begun, since its tree lives on and nobody wants to stop
// it any more: the next stop is another.
func (m *memory) forgetStop(id string) {
	kept := slices.DeleteFunc(slices.Clone(m.Begun[id]), func(what string) bool { return what != postStop })
	if len(kept) == len(m.Begun[id]) {
		return
	}
	if m.Begun[id] = kept; len(kept) == 0 {
		delete(m.Begun, id)
	}
	m.save()
}

// mayBegin says whether a command of a stop is to run now, and notes it. What comes before
// the signals isn't, where the tree has ended meanwhile: another may have its place by then.
// When the loop has ended, the next supervisor is told of the end, and runs what follows it.
func (s *Supervisor) mayBegin(i *instance, run uint64, what string) (may bool) {
	err := s.ask(func() {
		if run != i.run || what != postStop && !i.m.Active && (i.over != nil || i.tree == nil) {
			return
		}
		if may = s.memory.begin(i.treeID, what); !may {
			s.event(i, "hook", "%s isn't run again: it was begun before for this run", what)
		}
		s.problem("state", s.memory.broken)
	})
	return may && err == nil
}

// runOnce runs a command of a stop, where it is to run now, and tells that it has failed.
func (s *Supervisor) runOnce(i *instance, run uint64, what string, command []string, do func() error) {
	if len(command) == 0 || !s.mayBegin(i, run, what) {
		return
	}
	err := do()
	s.post(func() {
		s.memory.finish(i.treeID, what)
		if err != nil {
			s.event(i, "hook", "%v", err)
		}
	})
}

// beforeSignals runs what comes before the signals of a stop.
func (s *Supervisor) beforeSignals(ctx context.Context, i *instance, run uint64, spec config.App, pid int) {
	s.runOnce(i, run, preStop, spec.Hooks.PreStop, func() error {
		return runHook(ctx, &spec, preStop, spec.Hooks.PreStop)
	})
	if ctx.Err() != nil {
		return
	}
	s.runOnce(i, run, stopCommand, spec.Stop.Command, func() error {
		if pid > 0 {
			spec = withVariables(spec, fmt.Sprintf("MAINPID=%d", pid))
		}
		if err := runFor(ctx, &spec, spec.Stop.Timeout, spec.Stop.Command); err != nil {
			return fmt.Errorf("stop command: %w", err)
		}
		return nil
	})
}
