package supervise

import (
	"fmt"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/history"
)

// keptInHistory is how many events the history has.
const keptInHistory = 20_000

// past is the history, and what it says of the life before.
type past struct {
	store      *history.Store
	lastRun    uint64
	unfinished map[runOf]client.Run // whose end nobody has seen
}

// runOf names an instance.
type runOf struct {
	app     string
	replica int
}

// openHistory goes on with the history of the lives before.
func (s *Supervisor) openHistory() {
	limits := s.project.History
	store, before := history.Open(s.options.State, history.Options{
		Runs: limits.Runs, Age: limits.Age, Events: keptInHistory,
		Publish: s.events.show,
		Failed:  func(err error) { s.post(func() { s.problem("history", err) }) },
	})
	s.past = past{store: store, lastRun: before.Run, unfinished: map[runOf]client.Run{}}
	for _, r := range before.Unfinished {
		of := runOf{r.App, r.Replica}
		if older, ok := s.past.unfinished[of]; ok {
			s.lose(older) // only the last can be under way
		}
		s.past.unfinished[of] = r
	}
	s.events.goOn(before.Event)
	s.events.write, s.events.past = store.AddEvent, store.Events
}

func (s *Supervisor) setHistoryLimits(c config.History) { s.past.store.SetLimits(c.Runs, c.Age) }

// beginRun notes that an instance has begun to run.
func (s *Supervisor) beginRun(i *instance, by string) {
	s.past.lastRun++
	i.record = client.Run{
		ID: s.past.lastRun, App: i.app.spec.Name, Replica: i.replica, Started: i.started, PID: i.pid, By: by,
	}
	s.past.store.SetRun(i.record)
}

// endRun notes how a run has ended.
func (s *Supervisor) endRun(i *instance) {
	i.record.Exit = i.exit
	s.past.store.SetRun(i.record)
	i.totals.ended(i.exit)
}

// failedRun notes a start that has failed.
func (s *Supervisor) failedRun(i *instance) {
	i.started = i.exit.Started
	s.beginRun(i, i.startedBy())
	s.endRun(i)
}

func (i *instance) startedBy() string {
	if i.by == "" {
		return "with foster up"
	}
	return i.by
}

// goOnWithRun finds the record of a tree that was taken over: of this life, where it was
// stuck, or of the life before. Where that was killed before it could make one, it is made
// now.
func (s *Supervisor) goOnWithRun(i *instance) {
	same := func(r client.Run) bool { return r.ID != 0 && (r.PID == i.pid || r.PID == 0 || i.pid == 0) }
	of := runOf{i.app.spec.Name, i.replica}
	switch r := s.past.unfinished[of]; {
	case same(i.record):
	case same(r):
		i.record = r
		delete(s.past.unfinished, of)
	default:
		if r, noted := s.endedBefore(i); noted {
			i.record = r
			return
		}
		s.beginRun(i, "by the supervisor before")
	}
}

// endedBefore finds the record of a tree whose end the supervisor before has noted, and
// was killed before it had told the shim that it has.
func (s *Supervisor) endedBefore(i *instance) (client.Run, bool) {
	runs, err := s.past.store.Runs(i.app.spec.Name, i.replica, 1)
	if err != nil || len(runs) == 0 || i.pid == 0 || runs[0].PID != i.pid || runs[0].Exit == nil {
		return client.Run{}, false
	}
	return runs[0], true
}

// learnStart notes when a run began that was taken over.
func (s *Supervisor) learnStart(i *instance, at time.Time) {
	if i.started.IsZero() {
		i.started = at
		s.lookForLine(i, at)
	}
	if i.record.ID != 0 && i.record.Started.IsZero() {
		i.record.Started = at
		s.past.store.SetRun(i.record)
	}
}

// loseRuns ends the runs of the life before that weren't taken over: whoever could have
// said how they ended is gone. Those whose tree can't be had now aren't over.
func (s *Supervisor) loseRuns() {
	for _, i := range s.instances() {
		if i.m.State != client.Stuck {
			continue
		}
		of := runOf{i.app.spec.Name, i.replica}
		if r, ok := s.past.unfinished[of]; ok {
			i.record = r
			delete(s.past.unfinished, of)
		}
	}
	for of, r := range s.past.unfinished {
		if !s.takes(of.app, of.replica) {
			continue
		}
		s.lose(r)
		delete(s.past.unfinished, of)
	}
}

// unknownEnd is the cause of an end that nobody has seen.
const unknownEnd = "unknown"

func (s *Supervisor) lose(r client.Run) *client.Exit {
	r.Exit = &client.Exit{Cause: unknownEnd, Started: r.Started}
	s.past.store.SetRun(r)
	return r.Exit
}

// History gives the runs of an application, the newest last; replica 0 is all, no name all
// applications, and newest 0 all that are kept.
func (s *Supervisor) History(app string, replica, newest int) ([]client.Run, error) {
	known := false
	if err := s.ask(func() {
		_, ferr := s.find([]client.Target{{App: app, Replica: replica}})
		known = app == "" || ferr == nil
	}); err != nil {
		return nil, err
	}
	runs, err := s.past.store.Runs(app, replica, newest)
	if err == nil && len(runs) == 0 && !known { // one that there was is known by its runs
		return nil, fmt.Errorf("%q: %w", app, client.ErrUnknown)
	}
	return runs, err
}
