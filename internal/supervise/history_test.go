package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

var _ api.Supervisor = (*Supervisor)(nil)

func runsOf(t *testing.T, s *Supervisor, app string) []client.Run {
	t.Helper()
	runs, err := s.History(app, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

func TestEachRunIsInTheHistory(t *testing.T) {
	app := script("crash", "exit 7")
	app.Restart.Policy, app.Restart.MaxRestarts = config.RestartOnFailure, 2
	missing := script("missing", "")
	missing.Command = []string{"/no/such/program"}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app, missing}}, Options{})
	awaitState(t, s, "crash", client.Failed)
	awaitState(t, s, "missing", client.Failed)
	runs := runsOf(t, s, "crash")
	if len(runs) != 3 {
		t.Fatalf("%+v", runs)
	}
	for n, r := range runs {
		if r.Exit == nil || r.Exit.Code == nil || *r.Exit.Code != 7 || r.Exit.Cause != "ended" || !r.Exit.Counted || r.PID == 0 || r.Started.IsZero() {
			t.Errorf("%d: %+v", n, r)
		}
	}
	if runs[0].By != "with foster up" || runs[1].By != "again after it had ended" {
		t.Errorf("%q, %q", runs[0].By, runs[1].By)
	}
	if runs := runsOf(t, s, "missing"); len(runs) != 1 || !strings.HasPrefix(runs[0].Exit.Cause, "not started: ") {
		t.Errorf("%+v", runs)
	}
	if all := runsOf(t, s, ""); len(all) != 4 {
		t.Errorf("%+v", all)
	}
	counted := map[string]api.InstanceCounters{}
	for _, c := range s.Counters().Instances {
		counted[c.App] = c
	}
	if c := counted["crash"]; c.Starts != 3 || c.Restarts != 2 || c.Exits["ended"] != 3 || c.Reaped < 3 {
		t.Errorf("%+v", c)
	}
	if c := counted["missing"]; c.Starts != 0 || c.Exits[notStarted] != 1 {
		t.Errorf("%+v", c)
	}
	if _, err := s.History("wep", 0, 0); err == nil {
		t.Error("there is no such application")
	}
}

// TestOrphansOfALivingTreeAreCounted: and none is counted twice, or forgotten, at its end.
func TestOrphansOfALivingTreeAreCounted(t *testing.T) {
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{script("web", "(true &); (true &); exec sleep 1000")}}, Options{})
	count := func() api.InstanceCounters { return s.Counters().Instances[0] }
	leaktest.Eventually(t, "its orphans are counted", func() bool { return count().Adopted == 2 })
	if c := count(); c.Reaped != 2 {
		t.Errorf("%+v; want 2 reaped", c)
	}
	if err := s.Stop(t.Context(), []client.Target{{App: "web"}}); err != nil {
		t.Fatal(err)
	}
	if c := count(); c.Adopted != 2 || c.Reaped != 3 {
		t.Errorf("%+v; want 2 orphans, and the leader", c)
	}
}

// What an earlier life of the supervisor has seen is there, and the numbers go on.
func TestEventsAndRunsOutliveTheSupervisor(t *testing.T) {
	dir := t.TempDir()
	once := func() (events []client.Event, runs []client.Run) {
		s, end := running(t, &config.Project{Name: "test", Apps: []config.App{script("one", "exit 0")}}, Options{State: dir})
		awaitState(t, s, "one", client.Completed)
		for e := range s.Events(t.Context(), 0, false) {
			events = append(events, e)
		}
		runs = runsOf(t, s, "one")
		if err := end(); err != nil {
			t.Fatal(err)
		}
		return events, runs
	}
	first, _ := once()
	second, runs := once()
	for n, e := range second {
		if e.Seq != uint64(n+1) {
			t.Fatalf("event %d follows %d", e.Seq, n)
		}
	}
	if len(second) <= len(first) || !slices.Equal(causes(second[:len(first)]), causes(first)) {
		t.Errorf("%v, then %v", causes(first), causes(second))
	}
	if len(runs) != 2 || runs[0].ID != 1 || runs[1].ID != 2 {
		t.Errorf("%+v", runs)
	}
}

// Who asks before the supervisor has begun is answered when it has.
func TestEventsCanBeAskedForBeforeTheSupervisorHasBegun(t *testing.T) {
	leaktest.Check(t)
	s := New(&config.Project{Name: "test", Apps: []config.App{script("one", "exit 0")}}, Options{State: t.TempDir()})
	states := make(chan client.State, 100)
	go func() {
		defer close(states)
		for e := range s.Events(t.Context(), 0, true) {
			states <- e.To
		}
	}()
	over := make(chan error, 1)
	go func() { over <- s.Run(context.Background()) }()
	for state := range states {
		if state == client.Completed {
			break
		}
	}
	if err := errors.Join(s.Down(context.Background()), <-over); err != nil {
		t.Error(err)
	}
	for range states { // to its end
	}
}

func causes(events []client.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.App+" "+string(e.To)+" "+e.Cause)
	}
	return list
}

// A run that was under way when the supervisor was killed is one run, whose end the next
// one sees; what has ended meanwhile and left nobody who knows how isn't made up.
func TestARunThatOutlivesTheSupervisorIsOneRun(t *testing.T) {
	// One that leaves has written its record; one that is killed may have been about to.
	t.Run("left", func(t *testing.T) { outlive(t, syscall.SIGUSR1, "with foster up") })
	t.Run("killed", func(t *testing.T) { outlive(t, syscall.SIGKILL, "") })
}

func outlive(t *testing.T, by syscall.Signal, startedBy string) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	endSupervisor(t, dir, out, by)
	s, end := running(t, sleepers(dir), Options{State: dir})
	i := awaitState(t, s, "web", client.Running)
	runs := runsOf(t, s, "web")
	if len(runs) != 1 || runs[0].PID != i.PID || runs[0].Exit != nil || !strings.Contains(runs[0].By, startedBy) {
		t.Errorf("%+v", runs)
	}
	if err := s.Stop(t.Context(), []client.Target{{App: "web"}}); err != nil {
		t.Fatal(err)
	}
	if runs = runsOf(t, s, "web"); len(runs) != 1 || runs[0].Exit == nil || runs[0].Exit.Cause != "stopped" {
		t.Errorf("%+v", runs)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shims of the life that was killed
}

func TestARunWhoseEndNobodySawIsToldAsUnknown(t *testing.T) {
	dir := t.TempDir()
	first, end := running(t, &config.Project{Name: "test", Apps: []config.App{script("one", "exit 0")}}, Options{State: dir})
	awaitState(t, first, "one", client.Completed)
	if err := first.ask(func() { // as if it had been killed before it learnt of the end
		i := first.apps["one"].instances[0]
		i.record.Exit = nil
		first.past.store.SetRun(i.record)
	}); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{script("one", "exit 0")}}, Options{State: dir})
	awaitState(t, s, "one", client.Completed)
	runs := runsOf(t, s, "one")
	if len(runs) != 2 || runs[0].Exit == nil || runs[0].Exit.Cause != unknownEnd || runs[0].Exit.Code != nil {
		t.Errorf("%+v", runs)
	}
}

// Without a folder that can be written, the applications run all the same.
func TestWithoutAPlaceForTheHistorySupervisionGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{script("one", "exit 3")}}, Options{State: filepath.Join(file, "state")})
	awaitState(t, s, "one", client.Failed)
	leaktest.Eventually(t, "it is told", func() bool {
		return slices.ContainsFunc(s.Status().Problems, func(p string) bool { return strings.HasPrefix(p, "history: ") })
	})
	if runs := runsOf(t, s, "one"); len(runs) != 1 || *runs[0].Exit.Code != 3 {
		t.Errorf("%+v", runs)
	}
	n := 0
	for range s.Events(t.Context(), 0, false) {
		n++
	}
	if n == 0 {
		t.Error("there are no events")
	}
}
