package supervise

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/units"
)

// begin takes over what an earlier life of the supervisor has left, and then starts what
// is to run. An instance that had come to rest before that life was killed stays so, and one
// that was stopped by hand also after its end at a SIGTERM. shim
// tells when the first shim is ready, which nothing is to be started before.
func (s *Supervisor) begin(shim <-chan error) {
	var problem error
	var last *config.Project
	s.memory, last, problem = remember(s.options.State)
	s.problem("state", problem)
	killed := !s.memory.Clean && !s.memory.first
	if !s.endsSome() {
		s.memory.Clean = false
	}
	if killed {
		s.memory.keepScale(s.project)
	} else {
		s.memory.Scaled = nil
	}
	before := s.memory.Only
	if !s.options.End {
		before = s.memory.goOnWith(s.options.Only, killed)
	}
	if last == nil {
		last = s.project // trees of its names may live all the same
	}
	for _, spec := range s.project.Apps {
		s.add(spec)
	}
	s.recallTries()
	lost := s.recoverLost()
	switch {
	case killed && s.endsSome():
		s.event(nil, "supervisor", "the supervisor before was killed: takes over %s, only to stop it", targetNames(s.options.EndOnly))
	case killed:
		s.event(nil, "supervisor", "the supervisor before was killed: takes over what it has left")
	}
	s.tellCutShort()
	s.takeOver(last, lost)
	s.loseRuns()
	s.recallExits(killed)
	s.memory.saveProject(s.project)
	s.problem("state", s.memory.broken)
	switch {
	case s.endsSome():
		s.endSome()
		return
	case s.options.End:
		s.end()
		return
	}
	s.problem("shim", <-shim) // each start tries again
	s.startFirst(killed, before)
}

// recoverLost ends the trees of this user that nobody holds any more, since the supervisor
// before and a shim were both killed. No instance could be started as long as there is one
// of its name.
func (s *Supervisor) recoverLost() []foster.Recovered {
	lost, _, err := foster.Recover(s.patient)
	s.problem("recovery", err)
	for _, one := range lost {
		switch left := one.Left(); {
		case left != nil:
			s.event(nil, "supervisor", "%s was lost: %v", one.ID, left)
		case len(one.Found) > 0:
			s.event(nil, "supervisor", "%s was lost: %d processes were left of it, and were ended", one.ID, len(one.Found))
		}
	}
	return lost
}

// add makes the instances of an application.
func (s *Supervisor) add(spec config.App) *app {
	a := &app{spec: spec}
	s.apps[spec.Name] = a
	s.order = append(s.order, spec.Name)
	s.grow(a, spec.Replicas)
	s.setWatch(a)
	return a
}

// grow makes instances up to a number of replicas.
func (s *Supervisor) grow(a *app, replicas int) (added []*instance) {
	for n := len(a.instances) + 1; n <= replicas; n++ {
		i := &instance{
			app: a, replica: n, treeID: treeID(s.project.Name, a.spec.Name, n),
			m: Machine{State: client.Stopped}, since: time.Now(), cause: "not started yet",
		}
		s.specify(i)
		a.instances = append(a.instances, i)
		added = append(added, i)
	}
	return added
}

// specify takes over what the configuration says of an instance.
func (s *Supervisor) specify(i *instance) {
	was := i.spec
	i.spec = i.app.spec.Instance(s.project.Name, i.replica)
	if !reflect.DeepEqual(was.Schedule, i.spec.Schedule) {
		s.setSchedule(i)
	}
	if i.m.Active {
		i.current = i.current.TakeOver(i.spec)
	}
	if i.tree != nil {
		i.current = i.current.TakeOver(i.spec)
		s.logs.Log(i.app.spec.Name, i.replica).SetPolicy(logPolicy(i.current.Logs))
	}
	if hasLife(i.m.State) && !reflect.DeepEqual([]any{was.Readiness, was.Liveness, was.StartTimeout}, []any{i.spec.Readiness, i.spec.Liveness, i.spec.StartTimeout}) {
		ready := i.ready
		s.startProbes(i)
		switch {
		case ready: // until the first answer; and what is said only once, was
			i.told, i.lineSeen, i.healthy = true, true, true
		case awaitedLine(&was) != awaitedLine(&i.spec):
			s.awaitAnotherLine(i)
		}
		s.shown(i)
	}
}

// takeOver attaches to each tree of the last life: of the applications that there are,
// and of those that there were, which are stopped then. Also where that life ended well,
// something that couldn't be ended may be left.
func (s *Supervisor) takeOver(last *config.Project, lost []foster.Recovered) {
	for _, spec := range last.Apps {
		a := s.apps[spec.Name]
		if a == nil {
			a = &app{spec: spec}
		}
		for n := len(a.instances) + 1; n <= spec.Replicas; n++ {
			s.addLeaving(a, spec, n)
		}
		for _, i := range a.instances {
			i.current = spec.Instance(last.Name, i.replica)
		}
	}
	if !s.endsSome() {
		s.takeLeaving()
	}
	for _, i := range s.leaving {
		i.current = i.spec
	}
	trees := s.attachAll()
	for _, i := range s.instances() {
		if !s.takes(i.app.spec.Name, i.replica) {
			continue
		}
		note := s.memory.Rests[i.treeID]
		if note.Queued && i.spec.Schedule != nil {
			i.m.Queued, i.by = true, "by its schedule"
		}
		i.owesHook = s.memory.Owed[i.treeID]
		if left := leftOf(lost, i.treeID); left != nil {
			trees[i] = attachment{err: left}
		}
		s.attached(i, trees[i])
		i.owesHook = i.m.State == client.Stuck || i.m.State == client.Stopping && i.tree == nil
		if i.m.State == client.Stopped && (note.Active || s.memory.Leaving[i.treeID].Active) {
			i.m = Machine{State: client.Completed, Active: true}
			i.cause, i.since, i.exit = note.Cause, note.Since, s.lastExit(i)
		}
		switch {
		case !i.m.active():
		case i.removed:
			s.step(i, Stop, "no longer of the project", outcome{})
		case note.State == client.Stopped:
			s.step(i, Stop, "was being stopped when the supervisor before was killed", outcome{})
		case note.State == client.Stopping:
			s.step(i, Restart, "was being restarted when the supervisor before was killed", outcome{})
		case !i.m.Active:
			s.memory.forgetStop(i.treeID)
		}
	}
	if s.endsSome() {
		return
	}
	s.forgetLeft()
	s.adjust(last)
}

// attachment is how an attempt to take over a tree went.
type attachment struct {
	tree *foster.Tree
	err  error
}

// attachAll tries to take over the trees of all instances.
func (s *Supervisor) attachAll() map[*instance]attachment {
	var mu sync.Mutex
	var group sync.WaitGroup
	found := map[*instance]attachment{}
	for _, i := range s.instances() {
		if !s.takes(i.app.spec.Name, i.replica) {
			continue
		}
		s.slots <- struct{}{}
		group.Go(func() {
			defer func() { <-s.slots }()
			tree, err := attach(i.treeID)
			mu.Lock()
			defer mu.Unlock()
			found[i] = attachment{tree, err}
		})
	}
	group.Wait()
	return found
}

// attachPatience is how long a tree may be held by an owner that has just been killed,
// before it counts as held by another.
const attachPatience = 5 * time.Second

func attach(id string) (*foster.Tree, error) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // polls: the kernel says when a process is dead, not when its sockets are
		tree, err := foster.Attach(context.Background(), id, foster.WithKept(), foster.WithPipes(), foster.WithConfirmEnd())
		if !errors.Is(err, foster.ErrOwned) || time.Since(begin) > attachPatience {
			return tree, err
		}
	}
}

// attached takes the news of an attempt to take a tree over.
func (s *Supervisor) attached(i *instance, a attachment) {
	switch {
	case a.err == nil:
		i.run++
		i.launches++
		i.taken, i.owesHook = time.Now(), false
		i.terminal = adoptTerminal(i.app.sockets.Adopt(a.tree.Kept()))
		s.hold(i, a.tree)
		s.goOnWithRun(i)
		note := s.memory.Shown[i.treeID]
		i.told, i.lineSeen, i.wasReady = note.Told, note.Line, note.Ready
		s.follow(i, a.tree, s.capture(i, a.tree, false))
		s.step(i, Reattached, i.withPID("taken over"), outcome{})
	case errors.Is(a.err, foster.ErrUnknown), errors.Is(a.err, foster.ErrEnded):
		s.gone(i)
	case errors.Is(a.err, syscall.EBUSY):
		s.step(i, BeingStopped, "its shim is stopping its tree of before", outcome{})
	case errors.Is(a.err, journal.ErrForeign):
		s.step(i, CantBeAttached, fmt.Sprintf("its tree of before can't be taken over: %v; once that is gone, foster recover --forget %s drops it", a.err, i.treeID), outcome{})
	default:
		i.left = namesOf(a.err)
		why := units.ErrorText(a.err)
		if silent, ok := errors.AsType[*control.SilentError](a.err); ok {
			why += "; " + silent.Hint()
		}
		s.step(i, CantBeAttached, "its tree of before can't be taken over: "+why, outcome{})
	}
}

// awaitEmpty looks again and again whether a tree that couldn't be ended, or had, is gone.
func (s *Supervisor) awaitEmpty(i *instance) {
	pause := time.Second
	if i.m.State == client.Stopping {
		pause = 100 * time.Millisecond
	} else if time.Since(i.since) > time.Minute {
		pause = 10 * time.Second
	}
	s.setClock(i, time.Now().Add(pause), func() {
		s.helpers.Go(func() {
			tree, err := attachAgain(i.treeID)
			s.post(func() {
				s.attached(i, attachment{tree, err})
				switch {
				case i.tree == nil && i.over == nil && (i.m.State == client.Stuck || i.m.State == client.Stopping && !i.m.Active):
					s.awaitEmpty(i)
				case hasLife(i.m.State):
					s.memory.forgetStop(i.treeID)
				}
			})
		})
	})
}

// attachAgain tries to take a tree over that couldn't be ended, or had. One that both its
// sides have left is no longer held, though somebody of it may live: who does is ended, or
// is why it isn't over.
func attachAgain(id string) (*foster.Tree, error) {
	tree, err := foster.Attach(context.Background(), id, foster.WithKept(), foster.WithPipes(), foster.WithConfirmEnd())
	if !errors.Is(err, foster.ErrEnded) {
		return tree, err
	}
	lost, _, rerr := foster.Recover(context.Background())
	if left := leftOf(lost, id); left != nil {
		return nil, left
	}
	return nil, errors.Join(err, rerr)
}

// namesOf are the processes that an error names.
func namesOf(err error) (names []string) {
	if survivors, ok := errors.AsType[*foster.SurvivorsError](err); ok {
		for _, p := range survivors.Survivors {
			names = append(names, p.String())
		}
	}
	if unproven, ok := errors.AsType[*foster.UnprovenError](err); ok {
		for _, p := range unproven.Unproven {
			names = append(names, fmt.Sprintf("%s (pid %d): of the %s, and not proven to be its own", p.Name, p.PID, p.In))
		}
	}
	return names
}

// leftOf names who is left of a tree that both its sides have left, or may be.
func leftOf(lost []foster.Recovered, id string) error {
	for _, one := range lost {
		if one.ID == id {
			return one.Left()
		}
	}
	return nil
}

// startFirst starts what is to run from the beginning.
func (s *Supervisor) startFirst(killed bool, before []string) {
	first, rests := s.firstOf(killed, before)
	for i := range rests {
		note := s.memory.Rests[i.treeID]
		i.m = Machine{State: note.State, Active: i.m.Active}
		i.cause, i.since = note.Cause, note.Since
		i.facts.ran = note.State != client.Stopped
		i.facts.started = i.facts.ran
	}
	for _, i := range first {
		if i.m.State != client.Stopped {
			continue
		}
		e, cause := Start, "with foster up"
		switch note := s.memory.Rests[i.treeID]; {
		case !killed:
		case note.Due || note.Queued:
			e, cause = Restart, "was due when the supervisor before was killed"
		case note.State == client.Stopping:
			e = Restart // whatever its schedule says
		}
		i.goesOn = killed && !s.memory.rebooted
		s.step(i, e, cause, outcome{})
		i.goesOn = false
	}
	s.unsettled = true
}

// firstOf says what is to run from the beginning, in the order of its start: what is asked
// for, and in place of a supervisor that was killed what that was asked for before. rests is
// what had come to rest then and stays so.
func (s *Supervisor) firstOf(killed bool, before []string) (first []*instance, rests map[*instance]bool) {
	rests = map[*instance]bool{}
	for _, i := range s.instances() {
		note := s.memory.Rests[i.treeID]
		switch {
		case i.removed || hasTree(i.m.State):
		case killed && (note.State == client.Stopping || note.State == client.Waiting):
			first = append(first, i)
		case s.staysAtRest(i, killed):
			rests[i] = true
		case wanted(s.options.Only, &i.spec), killed && wanted(before, &i.spec):
			first = append(first, i)
		}
	}
	stays := func(d *instance) bool { return rests[d] || d.m.State == client.Completed }
	return s.withDependencies(first, stays), rests
}
