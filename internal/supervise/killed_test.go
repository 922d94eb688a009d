package supervise

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/proc"
)

// steady are the applications of storm that run on, whatever happens.
var steady = []string{"db", "web", "worker"}

// storm is a project in which much happens: applications that run, one that crashes again
// and again, one whose start script ends, a job, and probes.
func storm(dir string) *config.Project {
	p := &config.Project{Name: "test", Dir: dir, Grace: time.Minute}
	for n, name := range steady {
		app := single(name, dir)
		app.Restart.Policy = config.RestartAlways
		if n > 0 {
			app.DependsOn = []config.Dependency{{App: steady[n-1], Condition: config.Healthy}}
		}
		p.Apps = append(p.Apps, app)
	}
	p.Apps[0].Readiness = quickly(config.Probe{Exec: []string{"/bin/true"}})
	crash := single("crash", dir)
	crash.Command[2] = strings.Replace(crash.Command[2], awaitsSignal, "exit 1", 1)
	crash.Restart.Policy = config.RestartAlways
	lost := single("lost", dir)
	lost.Command[2] = strings.Replace(lost.Command[2], awaitsSignal, "sleep 1000 & exit 0", 1)
	job := single("job", dir)
	job.Command[2] = strings.Replace(job.Command[2], awaitsSignal, "sleep 0.05", 1)
	job.Schedule = &config.Schedule{Cron: "@every 1s", Overlap: config.OverlapReplace, OnStart: true}
	p.Apps = append(p.Apps, crash, lost, job)
	return p
}

func init() { projects["storm"] = storm }

// Killed at any moment, a supervisor loses nothing, doubles nothing, and restarts nothing
// that needs no restart.
func TestASupervisorMayBeKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	t.Setenv(projectVariable, "storm")
	for range 100 {
		cmd := startSupervisor(t, dir)
		<-time.After(time.Duration(rand.IntN(200)) * time.Millisecond) // the moment is what is tested
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	s, end := running(t, storm(dir), Options{State: dir})
	s.Status() // when it has taken over
	for _, app := range steady {
		i := awaitState(t, s, app, client.Running)
		leaktest.Eventually(t, app+" has said so", func() bool { return strings.Contains(lines(t, out), "start "+app) })
		if got := strings.Count(lines(t, out), "start "+app); got != 1 {
			t.Errorf("%s was started %d times; now %q", app, got, i.Cause)
		}
	}
	awaitState(t, s, "lost", client.LeaderLost)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, out); strings.Contains(got, "second") {
		t.Errorf("%s", got)
	}
	leaktest.ReapOrphans(t) // the shims of the lives before
	if _, problems, err := foster.Recover(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	removeEmptyCgroups(t)
}

// removeEmptyCgroups removes the cgroups that had no entry in the journal yet when their
// maker was killed. They have no process, or they couldn't be removed.
func removeEmptyCgroups(t *testing.T) {
	t.Helper()
	own, err := contain.OwnCgroup()
	if err != nil {
		return // there are none here
	}
	left, _ := filepath.Glob(filepath.Join(own, "foster-*")) // the pattern is valid
	for _, folder := range left {
		_ = os.Remove(folder) // what is left is found by the check of the test
	}
}

// What can't be read is set aside and told, and the project runs.
func TestNotesThatCannotBeReadAreSetAside(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{memoryFile, projectFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := running(t, sleepers(t.TempDir()), Options{State: dir})
	awaitState(t, s, "web", client.Running)
	told(t, s, "problem", memoryFile+".corrupt")
	for _, name := range []string{memoryFile, projectFile} {
		if text := lines(t, filepath.Join(dir, name+".corrupt")); text != "{half" {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// A state folder that can't be written is a problem that is told, and no more.
func TestAStateFolderThatCannotBeWrittenIsAProblemAndNoMore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	touch(t, file)
	out := filepath.Join(t.TempDir(), "out")
	s, end := running(t, oneApp(sleeper("web", out)), Options{State: filepath.Join(file, "state")})
	awaitState(t, s, "web", client.Running)
	said(t, out, "start web")
	if problems := fmt.Sprint(s.Status().Problems); !strings.Contains(problems, "state") || !strings.Contains(problems, "not a directory") {
		t.Errorf("%s", problems)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func init() {
	projects["pids"] = func(dir string) *config.Project {
		p := &config.Project{Name: "test", Dir: dir, Grace: time.Minute}
		for _, name := range []string{"db", "web"} {
			app := single(name, dir)
			app.Command[2] = fmt.Sprintf("echo $$ > %s/%s.pid; ", dir, name) + app.Command[2]
			p.Apps = append(p.Apps, app)
		}
		return p
	}
}

// Killed together with the shims, a supervisor leaves trees that nobody holds: the next
// one ends them before it starts others.
func TestWhatNobodyHoldsIsEndedBeforeAnotherIsStarted(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	t.Setenv(projectVariable, "pids")
	shims := map[int]bool{}
	cmd := startSupervisor(t, dir)
	leaktest.Eventually(t, "both run", func() bool { return strings.Count(lines(t, out), "start") == 2 })
	table, err := proc.Take(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"db", "web"} {
		leader, err := strconv.Atoi(lines(t, filepath.Join(dir, app+".pid")))
		if err != nil {
			t.Fatal(err)
		}
		shims[table.Get(leader).PPID] = true
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for pid := range shims {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // killed
	s, end := running(t, projects["pids"](dir), Options{State: dir})
	// On a host where processes come and go all the time, to prove that nobody is left of a
	// tree takes many looks at all of them.
	toldWithin(t, s, 2*time.Minute, "supervisor", "test.db.1 was lost: ")
	toldWithin(t, s, 2*time.Minute, "supervisor", "test.web.1 was lost: ")
	for _, app := range []string{"db", "web"} {
		if i := awaitState(t, s, app, client.Running); strings.HasPrefix(i.Cause, "taken over") {
			t.Errorf("%s: %q", app, i.Cause)
		}
	}
	leaktest.Eventually(t, "both were started again", func() bool { return strings.Count(lines(t, out), "start") == 4 })
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, out); strings.Contains(got, "second") {
		t.Errorf("%s", got)
	}
	leaktest.ReapOrphans(t) // what was left of the life before
}

// A tree that couldn't be taken over, since another owner had it, is not restarted by the next
// supervisor, to which that owner has left it.
func TestWhatCouldNotBeTakenOverIsNotRestarted(t *testing.T) {
	others, dir := t.TempDir(), t.TempDir()
	owner := startSupervisor(t, others)
	leaktest.Eventually(t, "both run", func() bool { return strings.Count(lines(t, filepath.Join(others, "out")), "start") == 2 })
	second := startSupervisor(t, dir)
	leaktest.Eventually(t, "it has noted that it can't have them", func() bool {
		m, _, err := remember(dir)
		return err == nil && len(m.Rests) == 2
	})
	for _, cmd := range []*exec.Cmd{second, owner} {
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	s, end := running(t, sleepers(dir), Options{State: dir})
	for _, app := range []string{"db", "web"} {
		if i := awaitState(t, s, app, client.Running); !strings.HasPrefix(i.Cause, "taken over") {
			t.Errorf("%s: %q", app, i.Cause)
		}
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, filepath.Join(others, "out")); strings.Count(got, "stop") != 2 {
		t.Errorf("%s", got)
	}
	if got := lines(t, filepath.Join(dir, "out")); got != "" {
		t.Errorf("another was started: %s", got)
	}
	leaktest.ReapOrphans(t) // the shims of the lives before
}
