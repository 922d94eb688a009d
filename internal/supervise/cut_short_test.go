package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/history"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/units"
)

// actVariable is what the supervisor of another process does at SIGUSR2.
const actVariable = "FOSTER_TEST_ACT"

func actOnRequest(s *Supervisor) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR2)
	go func() {
		<-asked
		ctx := context.Background()
		_ = s.Start(ctx, nil) // when they run, which is told later than they say it
		switch os.Getenv(actVariable) {
		case "down":
			_ = s.Down(ctx)
		case "restart":
			_ = s.Restart(ctx, nil)
		case "stop":
			_ = s.Stop(ctx, nil)
		case "stop when completed":
			untilCompleted(ctx, s)
			_ = s.Stop(ctx, nil)
		case "down when completed":
			untilCompleted(ctx, s)
			_ = s.Down(ctx)
		case "scale":
			_ = s.Scale(ctx, "web", 1)
		}
		_ = os.WriteFile(filepath.Join(s.options.State, "acted"), nil, 0o600)
	}()
}

func untilCompleted(ctx context.Context, s *Supervisor) {
	for e := range s.Events(ctx, 0, true) {
		if e.To == client.Completed {
			return
		}
	}
}

func init() {
	projects["slow"] = slowToStop
	projects["slow-hook"] = func(dir string) *config.Project {
		p := oneApp(sleeper("web", filepath.Join(dir, "out")))
		p.Grace, p.Apps[0].Hooks.PreStop = time.Minute, untilGo(dir)
		return p
	}
	projects["slow-hook-2"] = func(dir string) *config.Project {
		p := projects["slow-hook"](dir)
		p.Apps[0].Replicas = 2
		return p
	}
	projects["once"] = func(dir string) *config.Project {
		app := script("job", "echo start job >> "+dir+"/out")
		app.Hooks.PostStop = untilGo(dir)
		p := oneApp(app)
		p.Grace = time.Minute
		return p
	}
}

// untilGo is a hook that says that it has begun, and ends when the test wants it to.
func untilGo(dir string) []string {
	return []string{"/bin/sh", "-c", fmt.Sprintf("touch %[1]s/stopping; until [ -e %[1]s/go ]; do sleep 0.01; done", dir)}
}

// slowToStop is an application that exits with 0 when it is stopped, and when the test
// wants it to. Its shell writes the file itself: another process would get the signal, too.
func slowToStop(dir string) *config.Project {
	p := oneApp(script("web", fmt.Sprintf(`trap ': > %[1]s/stopping; until [ -e %[1]s/go ]; do sleep 0.01; done; exit 0' TERM
echo start web >> %[1]s/out; sleep 1000 & wait`, dir)))
	p.Grace = time.Minute
	return p
}

// killedWhile runs the supervisor of a project until so many have started, has it do
// something, and kills it when a stop is under way.
func killedWhile(t *testing.T, project, act, dir string, starts int) {
	t.Helper()
	t.Setenv(projectVariable, project)
	t.Setenv(actVariable, act)
	cmd := startSupervisor(t, dir)
	leaktest.Eventually(t, "it runs", func() bool { return strings.Count(lines(t, dir+"/out"), "start") == starts })
	if act != "" {
		if err := cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
	}
	leaktest.Eventually(t, "the stop is under way", func() bool { return exists(dir + "/stopping") })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	touch(t, dir+"/go")
}

// clearAway waits until the shims of the life before have ended. The one of a hook that was just
// being started may have left an entry, which the next foster finds and removes; but no process.
func clearAway(t *testing.T) {
	t.Helper()
	leaktest.ReapOrphans(t)
	lost, problems, err := foster.Recover(t.Context())
	for _, one := range lost {
		if len(one.Found) > 0 || one.Err != nil {
			t.Errorf("%s was lost with %v: %v", one.ID, one.Found, one.Err)
		}
	}
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// Killed while it stops all, or restarts one, a supervisor leaves nobody stopped, however
// the application ends and however far the stop had come.
func TestAStopForTheEndOrARestartThatIsCutShortGoesOn(t *testing.T) {
	for _, c := range []struct {
		project, act string
		starts       int
	}{
		{"slow", "down", 2},
		{"slow", "restart", 2},
		{"slow-hook", "down", 1}, // its tree has seen nothing of it
		{"slow-hook", "restart", 2},
	} {
		t.Run(c.project+" "+c.act, func(t *testing.T) {
			dir := t.TempDir()
			killedWhile(t, c.project, c.act, dir, 1)
			s, end := running(t, projects[c.project](dir), Options{State: dir})
			leaktest.Eventually(t, "it runs", func() bool {
				return instanceOf(t, s, "web").State == client.Running && strings.Count(lines(t, dir+"/out"), "start") == c.starts
			})
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if got := lines(t, dir+"/out"); strings.Count(got, "start") != c.starts {
				t.Errorf("%s", got)
			}
			clearAway(t)
		})
	}
}

// What is to run once runs once, also where the supervisor is killed while the hook after
// its end is under way.
func TestWhatHasCompletedStaysSoThoughItsHookWasCutShort(t *testing.T) {
	dir := t.TempDir()
	killedWhile(t, "once", "", dir, 1)
	s, end := running(t, projects["once"](dir), Options{State: dir})
	awaitState(t, s, "job", client.Completed)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start job")
	clearAway(t)
}

func TestWhoLeavesWaitsForTheHookAfterAnEnd(t *testing.T) {
	dir := t.TempDir()
	s, _ := running(t, projects["once"](dir), Options{State: dir})
	leaktest.Eventually(t, "the hook is under way", func() bool { return exists(dir + "/stopping") })
	var busy bool
	if err := s.ask(func() { busy = s.busy() }); err != nil || !busy {
		t.Errorf("busy: %v, %v", busy, err)
	}
	touch(t, dir+"/go")
	awaitState(t, s, "job", client.Completed)
	if err := s.ask(func() { busy = s.busy() }); err != nil || busy {
		t.Errorf("after the hook: busy: %v, %v", busy, err)
	}
}

// A replica that was too many is stopped by the next life, where this one couldn't.
func TestAReplicaThatLeavesIsStoppedByTheNextLife(t *testing.T) {
	dir := t.TempDir()
	killedWhile(t, "slow-hook-2", "scale", dir, 2)
	_, end := running(t, projects["slow-hook-2"](dir), Options{State: dir})
	said(t, dir+"/out", "start web, start web, stop web")
	if err := end(); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start web, start web, stop web, stop web")
	m, _, err := remember(dir)
	if err != nil || len(m.Leaving) > 0 {
		t.Errorf("%v, %v", m.Leaving, err)
	}
	clearAway(t)
}

// Where an application was taken out and put in again, the tree of the first makes room
// for the second, also in the next life.
func TestWhoseTreeIsToLeaveMakesRoomInTheNextLife(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	killSupervisor(t, dir, out)
	m, last, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.leaves(treeID("test", "web", 1), leavingNote{App: last.Apps[0], Replica: 1})
	m.save()
	s, end := running(t, sleepers(dir), Options{State: dir})
	leaktest.Eventually(t, "web was started again", func() bool { return strings.Count(lines(t, out), "start web") == 2 })
	awaitState(t, s, "web", client.Running)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	clearAway(t)
}

// Without its notes, a supervisor still finds the trees of its applications.
func TestTreesAreFoundWithoutNotes(t *testing.T) {
	for _, lost := range [][]string{{projectFile}, {projectFile, memoryFile}} {
		t.Run(strings.Join(lost, " "), func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			killSupervisor(t, dir, out)
			for _, name := range lost {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			p := sleepers(dir)
			p.Apps[0].Autostart = false // no start finds this one
			s, end := running(t, p, Options{State: dir})
			for _, app := range []string{"db", "web"} {
				if i := awaitState(t, s, app, client.Running); !strings.HasPrefix(i.Cause, "taken over") {
					t.Errorf("%s: %q", app, i.Cause)
				}
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if got := lines(t, out); strings.Count(got, "start") != 2 || strings.Count(got, "stop") != 2 {
				t.Errorf("%s", got)
			}
			leaktest.ReapOrphans(t)
		})
	}
}

// A start that finds a tree of its name alive is none that failed: it waits for its end.
func TestAStartWaitsForTheEndOfATreeOfItsName(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	app := sleeper("web", out)
	app.Autostart = false
	s, _ := running(t, oneApp(app), Options{})
	s.Status() // when it has looked for trees
	cmd := foster.Command("/bin/sleep", "1000")
	cmd.ID = treeID("test", "web", 1)
	other, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"start": s.Start(t.Context(), []client.Target{{App: "web"}}),
		"stop":  s.Stop(t.Context(), []client.Target{{App: "web"}}),
		"again": s.Start(t.Context(), []client.Target{{App: "web"}}),
	} {
		failed, ok := errors.AsType[*client.FailedError](err)
		if !ok || !strings.Contains(failed.Error(), "somebody else has started it") || !strings.Contains(failed.Failures[0].Hint, "foster inspect test.web.1 ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if i := instanceOf(t, s, "web"); i.State != client.Stuck || !strings.Contains(i.Cause, units.ErrorText(foster.ErrTaken)) {
		t.Errorf("%s: %q", i.State, i.Cause)
	}
	if _, err := other.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitState(t, s, "web", client.Running)
	said(t, out, "start web")
}

// A tree that is being stopped can't be taken over. When it has ended, nobody knows how: its run
// is over, the hook after it is run, and then it is started again.
func TestWhatIsBeingStoppedForAnotherIsStartedAfterItsEnd(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	cmd := foster.Command("/bin/sh", slowToStop(dir).Apps[0].Command[1:]...)
	cmd.ID = treeID("test", "web", 1)
	before, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	said(t, out, "start web")
	go func() { _, _ = before.Stop(context.Background()) }()
	leaktest.Eventually(t, "the stop is under way", func() bool { return exists(dir + "/stopping") })
	past, _ := history.Open(dir, history.Options{})
	past.SetRun(client.Run{ID: 1, App: "web", Replica: 1, PID: before.Leader(), By: "with foster up"})
	if err := past.Close(); err != nil {
		t.Fatal(err)
	}
	app := sleeper("web", out)
	app.Hooks.PostStop = noted(dir, "post_stop", []string{"/bin/true"})
	s, end := running(t, oneApp(app), Options{State: dir})
	awaitState(t, s, "web", client.Stopping)
	touch(t, dir+"/go")
	said(t, out, "start web, post_stop, start web")
	awaitState(t, s, "web", client.Running)
	runs := runsOf(t, s, "web")
	if len(runs) != 2 || runs[0].Exit == nil || runs[0].Exit.Cause != unknownEnd || runs[1].Exit != nil {
		t.Errorf("%+v", runs)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

// When the host was started anew, what had completed or failed runs again, as all that
// ran; what somebody has stopped stays so.
func TestOnlyAStopByHandOutlivesAStartOfTheHost(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	p := &config.Project{Name: "test"}
	rests := map[string]restNote{}
	for _, state := range []client.State{client.Stopped, client.Completed, client.Failed} {
		p.Apps = append(p.Apps, sleeper(string(state), out))
		rests[treeID("test", string(state), 1)] = restNote{State: state, Cause: "before"}
	}
	dir := remembered(t, p, rests)
	m, _, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Boot == "" {
		leaktest.Need(t, "a number of the boot", errors.ErrUnsupported)
	}
	m.Boot, m.Rests = "another", rests
	m.save()
	s, _ := running(t, p, Options{State: dir})
	awaitState(t, s, string(client.Completed), client.Running)
	awaitState(t, s, string(client.Failed), client.Running)
	if i := instanceOf(t, s, string(client.Stopped)); i.State != client.Stopped {
		t.Errorf("what was stopped: %s", i.State)
	}
}

func TestADependencyThatWasStoppedByHandStaysSoInTheNextLife(t *testing.T) {
	dir := t.TempDir()
	p := sleepers(dir)
	state := remembered(t, p, map[string]restNote{treeID("test", "db", 1): {State: client.Stopped, Cause: "asked to stop"}})
	s, _ := running(t, p, Options{State: state})
	if i := awaitState(t, s, "web", client.Failed); i.Cause != "db is stopped" {
		t.Errorf("%q", i.Cause)
	}
	if i := instanceOf(t, s, "db"); i.State != client.Stopped {
		t.Errorf("db: %s", i.State)
	}
}

// What stays as it is needs nothing: for its sake, nothing that nobody else asks for is
// started.
func TestWhoStaysStoppedPullsUpNoDependencies(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	web, db, disk, lone := sleeper("web", out), sleeper("db", out), sleeper("disk", out), sleeper("lone", out)
	web.DependsOn = []config.Dependency{{App: "db", Condition: config.Started}}
	db.DependsOn = []config.Dependency{{App: "disk", Condition: config.Started}}
	lone.DependsOn = []config.Dependency{{App: "disk", Condition: config.Started}}
	db.Autostart, disk.Autostart, lone.Autostart = false, false, false
	for _, c := range []struct {
		lone, disk client.State
	}{
		{client.Stopped, client.Stopped},
		{client.Running, client.Running}, // which needs it, too
	} {
		lone.Autostart = c.lone == client.Running
		p := &config.Project{Name: "test", Apps: []config.App{web, db, disk, lone}}
		state := remembered(t, p, map[string]restNote{treeID("test", "db", 1): {State: client.Stopped, Cause: "asked to stop"}})
		t.Run("lone is "+string(c.lone), func(t *testing.T) {
			s, _ := running(t, p, Options{State: state})
			awaitState(t, s, "web", client.Failed)
			awaitState(t, s, "lone", c.lone)
			if i := instanceOf(t, s, "disk"); i.State != c.disk {
				t.Errorf("disk: %s, %q", i.State, i.Cause)
			}
		})
	}
}

// What the configuration doesn't start, and somebody has, is to run in the next life.
func TestAStartByHandIsKept(t *testing.T) {
	dir := t.TempDir()
	app := script("tool", "exit 1")
	app.Autostart, app.Restart.Policy, app.Restart.Backoff.Initial = false, config.RestartAlways, time.Minute
	s, end := running(t, oneApp(app), Options{State: dir})
	_ = s.Start(t.Context(), []client.Target{{App: "tool"}}) // it may have ended again
	awaitState(t, s, "tool", client.Backoff)
	m, _, err := remember(dir)
	if err != nil || m.Rests[treeID("test", "tool", 1)].State != client.Waiting {
		t.Errorf("%v, %v", m.Rests, err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	s, _ = running(t, oneApp(app), Options{State: remembered(t, oneApp(app), m.Rests)})
	awaitState(t, s, "tool", client.Backoff)
}
