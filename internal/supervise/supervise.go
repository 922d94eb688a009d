// Package supervise keeps the applications of a project as their configuration says: it
// starts them in order, restarts what fails, stops them in the reverse order, and takes
// them over from a supervisor that was killed.
//
// One goroutine, the loop in this file, owns all instances. What an instance may do next
// is a pure function over a table (machine.go); the loop does what the table asks for.
// Whatever takes time (a start, a hook, a stop, a probe) is done by a goroutine of its
// own, which tells the loop when it is over. The processes themselves are held by
// package foster.
package supervise

import (
	"context"
	"fmt"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/logs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/watch"
)

// Supervisor runs a project. Its methods may be called from any goroutine.
type Supervisor struct {
	options  Options
	inbox    chan func()
	done     chan struct{}
	events   *eventLog
	first    uint64 // the last event of the life before
	began    time.Time
	slots    chan struct{} // of the starts at one time
	updating chan struct{} // holds who reads the configuration again
	helpers  sync.WaitGroup
	logs     *logs.Store
	watches  watch.Hub
	quiet    chan struct{} // closed when nothing is written to the logs any more
	metering sync.Mutex    // so that one look at the trees comes after the other

	tidy   *time.Timer // when to give back the memory that starts have taken
	untidy time.Time   // since when it is owed

	// Of the loop:
	project   *config.Project
	apps      map[string]*app
	order     []string // of their names
	leaving   []*instance
	requests  []*request
	memory    *memory
	past      past
	problems  map[string]string
	unsettled bool
	waiting   int              // instances whose state is that
	alarm     *time.Timer      // of the schedules
	ending    bool             // all is to be stopped, and then the loop ends
	resigned  bool             // nothing is started any more, and the loop ends
	endedBy   *client.Instance // with which the project ended; nil: not with one

	terminated termination

	clock       func() time.Time // of the host, as it is set
	lookAtClock time.Duration
	watchFiles  func(context.Context, watch.Files, func(watch.Change)) error

	life    context.Context // of the probes
	die     context.CancelFunc
	patient context.Context // of the hooks of a stop; done when all is to be killed
	hurry   context.CancelFunc
}

// tidyAfter is how long after the last start of several memory is given back.
const tidyAfter = 2 * time.Second

// tidyAtLatest is how long memory isn't given back where one start follows the other.
const tidyAtLatest = 30 * time.Second

// tidySoon has the memory that a start takes given back.
func (s *Supervisor) tidySoon() {
	now := time.Now()
	if pending := s.tidy.Reset(tidyAfter); !pending {
		s.untidy = now
	} else if now.Sub(s.untidy) > tidyAtLatest {
		s.untidy = now
		go sys.GiveBackMemory()
	}
}

// startsAtOnce bounds how many applications are being started at one time.
const startsAtOnce = 16

// treesPerShim is how many trees one shim holds, where a cgroup tells them apart. Of a
// thousand applications, a shim that is killed takes no more than these with it.
const treesPerShim = 250

// New makes the supervisor of a project. Nothing is started before Run.
func New(project *config.Project, options Options) *Supervisor {
	s := &Supervisor{
		options: options, inbox: make(chan func()), done: make(chan struct{}), quiet: make(chan struct{}), events: newEventLog(),
		began: time.Now(), slots: make(chan struct{}, startsAtOnce), updating: make(chan struct{}, 1), tidy: time.AfterFunc(tidyAfter, sys.GiveBackMemory), untidy: time.Now(),
		project: project, apps: map[string]*app{}, problems: map[string]string{},
		clock: time.Now, lookAtClock: lookAtClock,
	}
	s.life, s.die = context.WithCancel(context.Background())
	s.patient, s.hurry = context.WithCancel(context.Background())
	s.logs, s.watchFiles = s.newLogs(), s.watches.Run
	return s
}

// Run supervises until Down has stopped all, or ctx is done, which is the same. It
// returns an error that names what couldn't be ended.
func (s *Supervisor) Run(ctx context.Context) error {
	sys.SpareCollections()
	shim := make(chan error, 1)
	if !s.options.End {
		s.terminated = awaitTermination()
		defer signal.Stop(s.terminated)
		go func() { shim <- foster.Share(treesPerShim) }() // it comes up meanwhile
		defer foster.Share(0)
	}
	s.logs.Begin()
	s.openHistory()
	s.first = s.events.seq()
	defer s.close()
	s.begin(shim)
	s.settle()
	cancelled := ctx.Done()
	for !s.over() {
		select {
		case f := <-s.inbox:
			f()
		case <-cancelled:
			cancelled = nil
			if !s.endsSome() {
				s.end()
			}
		}
		s.settle()
	}
	return s.survivors()
}

// post gives the loop something to do. It is false when the loop has ended.
func (s *Supervisor) post(f func()) bool {
	select {
	case s.inbox <- f:
		return true
	case <-s.done:
		return false
	}
}

// ask has the loop do something and waits for it.
func (s *Supervisor) ask(f func()) error {
	ran := make(chan struct{})
	if s.post(func() { f(); close(ran) }) {
		<-ran
		return nil
	}
	return client.ErrNotRunning
}

// Done is closed when Run returns.
func (s *Supervisor) Done() <-chan struct{} { return s.done }

func (s *Supervisor) close() {
	s.tidy.Stop()
	close(s.done)
	s.die()
	defer s.logs.Close()
	defer close(s.quiet)
	defer s.leaveSockets()
	if !s.Left() {
		s.helpers.Wait()
		s.memory.endsClean()
	} else {
		s.memory.save()
	}
	_ = s.past.store.Close() // it was told what is wrong with it
	s.events.close()
}

// end begins the end: all is stopped, in the reverse order.
func (s *Supervisor) end() {
	if s.ending {
		return
	}
	s.ending = true
	s.memory.Rests = s.restsAtEnd()
	s.memory.save()
	if slices.ContainsFunc(s.instances(), func(i *instance) bool { return i.m.active() }) {
		s.event(nil, "supervisor", "stops all applications")
	} else {
		s.event(nil, "supervisor", "all applications have ended")
	}
	s.stopAll()
}

// over says whether nothing is left to hold. What is stuck isn't waited for, but for the hook
// after its end: see survivors.
func (s *Supervisor) over() bool {
	if !s.ending {
		return s.resigned && !s.busy() && (!s.endsSome() || len(s.requests) == 0)
	}
	for _, i := range s.instances() {
		if i.m.active() && (i.m.State != client.Stuck || i.over != nil) {
			return false
		}
	}
	return true
}

// survivors names what was left.
func (s *Supervisor) survivors() error {
	failed := &client.FailedError{}
	for _, i := range s.instances() {
		if i.m.State == client.Stuck {
			failed.Failures = append(failed.Failures, i.failure(i.stuckFor("can't be ended")))
		}
	}
	if len(failed.Failures) > 0 {
		return failed
	}
	return nil
}

// instances are all, in the order of the configuration, and then those that leave.
func (s *Supervisor) instances() (all []*instance) {
	for _, name := range s.order {
		all = append(all, s.apps[name].instances...)
	}
	return append(all, s.leaving...)
}

// step makes a transition of one instance and does what it asks for.
func (s *Supervisor) step(i *instance, e Event, cause string, o outcome) {
	m, acts, err := i.m.next(e, i.terms(o))
	if err != nil {
		return // news that crossed with a command
	}
	from := i.m.State
	i.m = m
	s.countWaiting(from, m.State)
	if from != m.State {
		s.moved(i, from, cause)
	}
	for _, a := range acts {
		s.do(i, a)
	}
	s.noteRest(i)
	s.unsettled = true
}

// countWaiting keeps the number of those that settle has to look at: most of a thousand
// instances never wait.
func (s *Supervisor) countWaiting(from, to client.State) {
	if from == client.Waiting {
		s.waiting--
	}
	if to == client.Waiting {
		s.waiting++
	}
}

// moved tells of another state, and keeps what the next life must know of it.
func (s *Supervisor) moved(i *instance, from client.State, cause string) {
	if i.endHook != nil && !hasLife(i.m.State) {
		i.endHook()
		i.endHook = nil
	}
	i.since, i.cause = time.Now(), cause
	switch i.m.State {
	case client.Waiting:
		i.facts, i.refused, i.held = fact{}, false, false
	case client.Running:
		i.facts.started = true
	}
	e := client.Event{Kind: "state", From: from, To: i.m.State, Cause: cause}
	if e.To == client.Backoff {
		e.Due = i.due
	}
	s.tell(i, e)
	switch {
	case hasLife(i.m.State) && !hasLife(from):
		s.startProbes(i)
		s.readiness(i)
	case hasLife(from) && !hasLife(i.m.State):
		s.stopProbes(i)
		s.readiness(i)
	}
	s.unlisten(i)
	s.endWith(i)
}

// KindEnding is the kind of the event that an application ends the project.
const KindEnding = "ending"

// endWith ends the project, where it ends with an instance that has ended.
func (s *Supervisor) endWith(i *instance) {
	ends := i.spec.EndsProject
	switch {
	case s.ending || s.resigned || i.removed:
	case i.m.State == client.Completed && ends == config.EndsOnExit, i.m.State == client.Failed && (ends == config.EndsOnExit || ends == config.EndsOnFailure):
		ended := i.report()
		s.endedBy = &ended
		s.event(nil, KindEnding, "the project ends with %s, which %s", i.name(), endedWords(i))
		s.end()
	}
}

func endedWords(i *instance) string {
	if i.m.State == client.Failed {
		return "has failed: " + i.cause
	}
	return "has completed: " + i.cause
}

// EndedBy gives, when Run has returned, the instance with which the project has ended; nil: it
// was ended by something else.
func (s *Supervisor) EndedBy() *client.Instance { return s.endedBy }

func (s *Supervisor) do(i *instance, a Act) {
	switch a {
	case AwaitDeps, AwaitDue: // settle looks
	case Launch:
		s.launch(i)
	case CancelStart:
		i.starting()
	case StopTree:
		s.stopTree(i)
	case Pause:
		s.pause(i)
	case ClearClocks:
		i.stopClock()
	case AwaitEmpty:
		s.awaitEmpty(i)
	case TearDown:
		s.tearDown(i)
	}
}

// settle does what depends on the states of several instances, until nothing changes.
func (s *Supervisor) settle() {
	if s.unsettled {
		defer s.setAlarm()
	}
	for s.unsettled {
		s.unsettled = false
		if s.waiting > 0 && !s.resigned && !s.ending {
			for _, i := range s.instances() {
				if i.m.State == client.Waiting {
					s.awaitDeps(i)
				}
			}
		}
		s.leaving = s.rest(s.leaving)
		s.checkRequests()
	}
}

// rest keeps those that still have something to leave.
func (s *Supervisor) rest(leaving []*instance) (kept []*instance) {
	for _, i := range leaving {
		if i.m.active() {
			kept = append(kept, i)
		} else if a := s.apps[i.app.spec.Name]; a == nil || len(a.instances) < i.replica { // else another has its place
			s.logs.Forget(i.app.spec.Name, i.replica)
			s.memory.shown(i.treeID, shownNote{})
		}
	}
	return kept
}

// awaitDeps looks whether an instance may start.
func (s *Supervisor) awaitDeps(i *instance) {
	if s.lastRunLives(i) {
		i.cause = "waits for the end of its last run"
		return
	}
	v, why := dependenciesOf(&i.spec, s.factsOf)
	if i.held = v == held && i.waitsForStopped(); v == held && !i.held {
		v, why = impossible, why+" is stopped"
	}
	switch v {
	case met:
		s.step(i, DepsMet, "its dependencies are as they should be", outcome{})
	case impossible:
		s.step(i, DepsFailed, why, outcome{})
		i.refused = true
	case held:
		why = "waits for " + why + ", which was stopped"
		fallthrough
	case pending:
		if i.cause != why {
			s.event(i, "waiting", "%s", why)
		}
		i.cause = why
	}
}

// waitsForStopped says whether an instance waits until somebody starts what it depends on and
// what was stopped. One that has run does: it was well until then. Before its first run it
// fails, so that who starts it is told; and one with a schedule has another time.
func (i *instance) waitsForStopped() bool { return i.launches > 0 && i.spec.Schedule == nil }

// lastRunLives says whether the tree of an instance that was taken out of the
// configuration, and that this one is in the place of, isn't empty yet.
func (s *Supervisor) lastRunLives(i *instance) bool {
	return slices.ContainsFunc(s.leaving, func(old *instance) bool {
		return old.treeID == i.treeID && hasTree(old.m.State)
	})
}

func (s *Supervisor) factsOf(name string) (facts []fact) {
	if a := s.apps[name]; a != nil {
		for _, i := range a.instances {
			facts = append(facts, i.fact())
		}
	}
	return facts
}

// tell makes an event of an instance.
func (s *Supervisor) tell(i *instance, e client.Event) {
	if i != nil {
		e.App, e.Replica = i.app.spec.Name, i.replica
	}
	s.events.add(e)
}

func (s *Supervisor) event(i *instance, kind, format string, args ...any) {
	s.tell(i, client.Event{Kind: kind, Cause: fmt.Sprintf(format, args...)})
}

// problem keeps what is wrong with the supervisor itself, and tells it when it changes.
func (s *Supervisor) problem(what string, err error) {
	switch old, had := s.problems[what]; {
	case err == nil && had:
		delete(s.problems, what)
		s.event(nil, "problem", "%s works again", what)
	case err != nil && old != units.ErrorText(err):
		s.problems[what] = units.ErrorText(err)
		s.event(nil, "problem", "%s: %v", what, err)
	}
}
