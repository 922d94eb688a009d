package supervise

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// queued is an application that runs at once, and then when it is due, until the test has
// each run end.
func queued(dir string) config.App {
	app := script("job", fmt.Sprintf("echo runs >> %[1]s/out; until [ -e %[1]s/end ]; do sleep 0.01; done; rm %[1]s/end; echo done >> %[1]s/out", dir))
	app.Schedule = &config.Schedule{Cron: "0 3 * * *", Zone: "UTC", Overlap: config.OverlapQueue, OnStart: true}
	return app
}

func init() {
	projects["queued"] = func(dir string) *config.Project {
		p := oneApp(queued(dir))
		p.Grace = time.Minute
		return p
	}
}

func noteOfJob(t *testing.T, dir string) restNote {
	t.Helper()
	m, _, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m.Rests[treeID("test", "job", 1)]
}

// What was due while it ran is noted until it runs once more.
func TestARunThatIsQueuedIsNotedUntilItHasBegun(t *testing.T) {
	dir := t.TempDir()
	s, clock := atSetTimes(t, "2026-01-01 02:00:00", Options{State: dir}, queued(dir))
	awaitState(t, s, "job", client.Running)
	clock.set("2026-01-01 03:00:00")
	told(t, s, "schedule", "another run follows")
	leaktest.Eventually(t, "it is noted", func() bool { return noteOfJob(t, dir).Queued })
	touch(t, filepath.Join(dir, "end"))
	said(t, dir+"/out", "runs, done, runs")
	leaktest.Eventually(t, "the note is gone", func() bool { return noteOfJob(t, dir) == restNote{} })
}

// A run that was queued when the supervisor was killed follows the one that the next has
// taken over.
func TestARunThatIsQueuedFollowsInTheNextLife(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	t.Setenv(projectVariable, "queued")
	cmd := startSupervisor(t, dir)
	said(t, dir+"/out", "runs")
	leaktest.Eventually(t, "that it runs is noted", func() bool { return noteOfJob(t, dir) == restNote{} })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	m, _, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.rest(treeID("test", "job", 1), &restNote{State: client.Waiting, Queued: true})
	s := New(oneApp(queued(dir)), Options{State: dir})
	setClock(s, "2026-01-01 02:00:00")
	end := run(t, s)
	awaitState(t, s, "job", client.Running)
	if !noteOfJob(t, dir).Queued {
		t.Error("who takes over has forgotten it")
	}
	touch(t, filepath.Join(dir, "end"))
	said(t, dir+"/out", "runs, done, runs")
	touch(t, filepath.Join(dir, "end"))
	awaitState(t, s, "job", client.Scheduled)
	said(t, dir+"/out", "runs, done, runs, done")
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t)
}

// What was due, and hadn't begun, or whose run before has ended since, runs at once.
func TestARunThatWasDueBeginsInTheNextLife(t *testing.T) {
	for _, note := range []restNote{{State: client.Waiting, Due: true}, {State: client.Waiting, Queued: true}} {
		t.Run(fmt.Sprintf("queued %v", note.Queued), func(t *testing.T) {
			dir := t.TempDir()
			app := queued(dir)
			app.Schedule.OnStart = false
			state := remembered(t, oneApp(app), map[string]restNote{treeID("test", "job", 1): note})
			s, _ := atSetTimes(t, "2026-01-01 02:00:00", Options{State: state}, app)
			said(t, dir+"/out", "runs")
			touch(t, filepath.Join(dir, "end"))
			awaitState(t, s, "job", client.Scheduled)
			said(t, dir+"/out", "runs, done")
		})
	}
}
