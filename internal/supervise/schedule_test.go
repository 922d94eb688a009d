package supervise

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// wallClock is a clock that stands still until it is set.
type wallClock struct{ shows atomic.Pointer[time.Time] }

func (c *wallClock) set(text string) {
	now, err := time.Parse(time.DateTime, text)
	if err != nil {
		panic(err)
	}
	c.shows.Store(&now)
}

// atSetTimes runs a supervisor by a clock that the test sets.
func atSetTimes(t *testing.T, now string, o Options, apps ...config.App) (*Supervisor, *wallClock) {
	t.Helper()
	leaktest.Check(t)
	if o.State == "" {
		o.State = t.TempDir()
	}
	s := New(&config.Project{Name: "test", Apps: apps}, o)
	clock := setClock(s, now)
	run(t, s)
	return s, clock
}

// setClock gives a supervisor that isn't run yet a clock.
func setClock(s *Supervisor, now string) *wallClock {
	clock := &wallClock{}
	clock.set(now)
	s.clock, s.lookAtClock = func() time.Time { return *clock.shows.Load() }, time.Millisecond
	return clock
}

// nightly is an application that is due at three, and that runs until a file is there.
func nightly(t *testing.T, overlap config.Overlap) (app config.App, out, end string) {
	out, end = filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "end")
	app = script("job", fmt.Sprintf(`trap 'echo stopped >> %[1]s; exit' TERM; echo runs >> %[1]s
until [ -e %[2]s ]; do sleep 0.01; done; rm %[2]s; echo done >> %[1]s`, out, end))
	app.Schedule = &config.Schedule{Cron: "0 3 * * *", Zone: "UTC", Overlap: overlap}
	return app, out, end
}

func said(t *testing.T, out, want string) {
	t.Helper()
	leaktest.Eventually(t, "it has said: "+want, func() bool { return lines(t, out) == want })
}

// told waits for an event of an application.
func told(t *testing.T, s *Supervisor, kind, text string) {
	t.Helper()
	toldWithin(t, s, 20*time.Second, kind, text)
}

func toldWithin(t *testing.T, s *Supervisor, bound time.Duration, kind, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	var seen []string
	for e := range s.Events(ctx, 0, true) {
		if e.Kind == kind && strings.Contains(e.Cause, text) {
			return
		}
		seen = append(seen, e.Kind+": "+e.Cause)
	}
	t.Fatalf("there was no event %s %q:\n%s", kind, text, strings.Join(seen, "\n"))
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func nextOf(s *Supervisor) string {
	next := s.Status().Apps[0].Next
	if next == nil {
		return "never"
	}
	return next.Format(time.DateTime)
}

func TestAScheduledApplicationRunsWhenItIsDue(t *testing.T) {
	app, out, end := nightly(t, config.OverlapSkip)
	s, clock := atSetTimes(t, "2026-01-01 02:00:00", Options{}, app)
	i := awaitState(t, s, "job", client.Scheduled)
	if got := i.Due.Format(time.DateTime); got != "2026-01-01 03:00:00" || nextOf(s) != got {
		t.Errorf("due at %s, next %s", got, nextOf(s))
	}
	clock.set("2026-01-01 03:00:00")
	i = awaitState(t, s, "job", client.Running)
	if !strings.HasPrefix(i.Cause, "started by its schedule") || nextOf(s) != "2026-01-02 03:00:00" {
		t.Errorf("%q, next %s", i.Cause, nextOf(s))
	}
	touch(t, end)
	if i = awaitState(t, s, "job", client.Scheduled); i.Restarts != 0 || i.Cause != "exited with status 0" {
		t.Errorf("%d restarts, %q", i.Restarts, i.Cause)
	}
	said(t, out, "runs, done")
}

// The host sleeps for days, or its clock is put forward: one run makes up for all.
func TestWhatWasMissedIsMadeUpForOnce(t *testing.T) {
	app, out, end := nightly(t, config.OverlapQueue)
	s, clock := atSetTimes(t, "2026-01-01 02:00:00", Options{}, app)
	awaitState(t, s, "job", client.Scheduled)
	clock.set("2026-01-09 12:00:00")
	awaitState(t, s, "job", client.Running)
	touch(t, end)
	awaitState(t, s, "job", client.Scheduled)
	if said(t, out, "runs, done"); nextOf(s) != "2026-01-10 03:00:00" {
		t.Errorf("next %s", nextOf(s))
	}
}

func TestAClockThatIsPutBackLosesNoRun(t *testing.T) {
	app, _, _ := nightly(t, config.OverlapSkip)
	s, clock := atSetTimes(t, "2027-01-01 02:00:00", Options{}, app)
	awaitState(t, s, "job", client.Scheduled)
	clock.set("2026-01-01 02:00:00")
	leaktest.Eventually(t, "the next time is that of the clock", func() bool { return nextOf(s) == "2026-01-01 03:00:00" })
	clock.set("2026-01-01 03:00:00")
	awaitState(t, s, "job", client.Running)
}

func TestWhatIsDueWhileItRuns(t *testing.T) {
	for _, c := range []struct {
		overlap config.Overlap
		event   string
		want    string
	}{
		{config.OverlapSkip, "left out", "runs, done"},
		{config.OverlapQueue, "another run follows", "runs, done, runs, done"},
		{config.OverlapReplace, "", "runs, stopped, runs, done"},
	} {
		t.Run(string(c.overlap), func(t *testing.T) {
			app, out, end := nightly(t, c.overlap)
			s, clock := atSetTimes(t, "2026-01-01 02:00:00", Options{}, app)
			awaitState(t, s, "job", client.Scheduled)
			clock.set("2026-01-01 03:00:00")
			said(t, out, "runs")
			awaitState(t, s, "job", client.Running) // a start under way isn't replaced
			clock.set("2026-01-02 03:00:00")
			if c.event == "" {
				said(t, out, "runs, stopped, runs")
			} else {
				told(t, s, "schedule", c.event)
			}
			touch(t, end)
			if c.overlap == config.OverlapQueue {
				said(t, out, "runs, done, runs")
				touch(t, end)
			}
			said(t, out, c.want)
			if i := awaitState(t, s, "job", client.Scheduled); i.Restarts != 0 {
				t.Errorf("%d restarts", i.Restarts)
			}
		})
	}
}

func TestAScheduledApplicationMayAlsoRunAtOnce(t *testing.T) {
	app, out, end := nightly(t, config.OverlapSkip)
	app.Schedule.OnStart = true
	s, _ := atSetTimes(t, "2026-01-01 02:00:00", Options{}, app)
	said(t, out, "runs")
	touch(t, end)
	awaitState(t, s, "job", client.Scheduled)
}

func TestWhatWasStoppedByHandIsNotDue(t *testing.T) {
	app, _, _ := nightly(t, config.OverlapSkip)
	other, otherOut, _ := nightly(t, config.OverlapSkip)
	other.Name = "other"
	s, clock := atSetTimes(t, "2026-01-01 02:00:00", Options{}, app, other)
	if err := s.Stop(t.Context(), []client.Target{{App: "job"}}); err != nil {
		t.Fatal(err)
	}
	if nextOf(s) != "never" {
		t.Errorf("next %s", nextOf(s))
	}
	clock.set("2026-01-01 03:00:00")
	said(t, otherOut, "runs")
	if i := instanceOf(t, s, "job"); i.State != client.Stopped {
		t.Errorf("%s", i.State)
	}
}

func TestAScheduledRunWhoseDependencyFailedWaitsForTheNextTime(t *testing.T) {
	db := script("db", "exit 1")
	app, _, _ := nightly(t, config.OverlapSkip)
	app.DependsOn = []config.Dependency{{App: "db", Condition: config.CompletedSuccessfully}}
	s, clock := atSetTimes(t, "2026-01-01 02:00:00", Options{}, app, db)
	awaitState(t, s, "db", client.Failed)
	clock.set("2026-01-01 03:00:00")
	told(t, s, "state", "db has failed")
	if i := awaitState(t, s, "job", client.Scheduled); i.Cause != "db has failed" || nextOf(s) != "2026-01-02 03:00:00" {
		t.Errorf("%q, next %s", i.Cause, nextOf(s))
	}
	if err := s.Start(t.Context(), []client.Target{{App: "job"}}); err == nil || !strings.Contains(err.Error(), "db has failed") {
		t.Errorf("started by hand: %v", err)
	}
}

func TestAnUpdateGivesAndTakesASchedule(t *testing.T) {
	app, out, _ := nightly(t, config.OverlapSkip)
	plain := app
	plain.Schedule = nil
	next := &config.Project{Name: "test", Apps: []config.App{plain}}
	s, clock := atSetTimes(t, "2026-01-01 02:00:00", Options{Load: func() (*config.Project, error) { return next, nil }}, app)
	awaitState(t, s, "job", client.Scheduled)
	if _, err := s.Update(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	said(t, out, "runs")
	if nextOf(s) != "never" {
		t.Errorf("next %s", nextOf(s))
	}
	next = &config.Project{Name: "test", Apps: []config.App{app}}
	if _, err := s.Update(t.Context(), false); err != nil || nextOf(s) != "2026-01-01 03:00:00" {
		t.Errorf("%v, next %s", err, nextOf(s))
	}
	clock.set("2026-01-01 03:00:00")
	told(t, s, "schedule", "left out")
}
