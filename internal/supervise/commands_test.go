package supervise

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// single is an application that tells where a process of a first copy lives while a second
// begins.
func single(name, dir string) config.App {
	return script(name, fmt.Sprintf(`exec 9>%[1]s/lock.%[2]s; flock -n 9 || echo a second %[2]s >> %[1]s/out
trap 'echo stop %[2]s >> %[1]s/out; exit 0' TERM
echo start %[2]s >> %[1]s/out; %[3]s`, dir, name, awaitsSignal))
}

// awaitsSignal is how a script waits so that it can't miss a signal.
const awaitsSignal = "while :; do sleep 0.01; done"

func oneApp(app config.App) *config.Project {
	return &config.Project{Name: "test", Apps: []config.App{app}}
}

func TestCommandsAtOnceAreSerialised(t *testing.T) {
	dir := t.TempDir()
	s, _ := running(t, oneApp(single("web", dir)), Options{})
	targets := []client.Target{{App: "web"}}
	var all sync.WaitGroup
	for _, ask := range []func(context.Context, []client.Target) error{s.Start, s.Stop, s.Restart, s.Restart} {
		all.Go(func() {
			for range 5 {
				_ = ask(t.Context(), targets) // one that was overtaken by another says so
			}
		})
	}
	all.Wait()
	if err := s.Stop(t.Context(), targets); err != nil {
		t.Error(err)
	}
	if i := instanceOf(t, s, "web"); i.State != client.Stopped || i.Members != 0 {
		t.Errorf("after the last stop: %s, %d members", i.State, i.Members)
	}
	if err := s.Start(t.Context(), targets); err != nil {
		t.Error(err)
	}
	if i := instanceOf(t, s, "web"); i.State != client.Running {
		t.Errorf("after the last start: %s", i.State)
	}
	if got := lines(t, filepath.Join(dir, "out")); strings.Contains(got, "second") {
		t.Errorf("%s", got)
	}
}

// A stop has cut a start short, and what was asked for behind it begins another: that one's
// tree isn't what the stop waits for.
func TestAStopDoesNotWaitForTheStartBehindIt(t *testing.T) {
	app := single("web", t.TempDir())
	app.Hooks.PreStart, app.Hooks.Timeout = []string{"sleep", "1000"}, time.Hour
	s, _ := running(t, oneApp(app), Options{})
	awaitState(t, s, "web", client.Starting)
	reply := make(chan error, 1)
	if err := s.ask(func() {
		i := s.apps["web"].instances[0]
		r := s.stopping([]*instance{i}, foster.StopPlan{})
		r.reply, s.requests = reply, append(s.requests, r)
		s.checkRequests()
		s.startByHand(i)
	}); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "the stop is over", func() bool { return len(reply) > 0 })
	if err := <-reply; err != nil {
		t.Error(err)
	}
	awaitState(t, s, "web", client.Starting)
}

func TestARestartDuringThePauseDoesNotWaitForItsEnd(t *testing.T) {
	app := script("web", "exit 1")
	app.Restart = config.Restart{Policy: config.RestartAlways, MaxRestarts: 1, Backoff: config.Backoff{Initial: time.Hour, Factor: 1, Max: time.Hour}}
	s, _ := running(t, oneApp(app), Options{})
	for range 3 { // and by hand, the count of restarts begins anew
		awaitState(t, s, "web", client.Backoff)
		if err := s.Restart(t.Context(), []client.Target{{App: "web"}}); err != nil && !strings.Contains(err.Error(), "exited with status 1") {
			t.Fatal(err)
		}
	}
	if i := awaitState(t, s, "web", client.Backoff); time.Until(i.Due) < time.Minute {
		t.Errorf("due %s", i.Due)
	}
}

func TestARestartReachesWhoAskedForIt(t *testing.T) {
	dir := t.TempDir()
	db, web, other := single("db", dir), single("web", dir), single("other", dir)
	web.DependsOn = []config.Dependency{{App: "db", Condition: config.Started, Restart: true}}
	other.DependsOn = []config.Dependency{{App: "db", Condition: config.Started}}
	db.Hooks.PreStop = []string{"/bin/sh", "-c", fmt.Sprintf("until grep 'stop web' %s/out; do sleep 0.01; done", dir)} // web has ended long before
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{other, web, db}}, Options{})
	out := filepath.Join(dir, "out")
	leaktest.Eventually(t, "all run", func() bool { return strings.Count(lines(t, out), "start") == 3 })
	before := awaitState(t, s, "other", client.Running)
	awaitState(t, s, "web", client.Running)
	if err := s.Restart(t.Context(), []client.Target{{App: "db"}}); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "both were restarted", func() bool { return strings.Count(lines(t, out), "start") == 5 })
	// web is started behind db, whose script may be the slower one.
	if got := lines(t, out); !strings.HasSuffix(got, "stop web, stop db, start db, start web") && !strings.HasSuffix(got, "stop web, stop db, start web, start db") {
		t.Errorf("%s", got)
	}
	if i := instanceOf(t, s, "other"); i.PID != before.PID {
		t.Error("who didn't ask for it was restarted, too")
	}
	told(t, s, "state", "db was restarted")
	if err := s.Stop(t.Context(), nil); err != nil { // where its hook has nothing to wait for
		t.Error(err)
	}
}

// A stop that fails names who is left, and is done when they are gone, though nobody asks
// again.
func TestAStopThatFailsNamesWhoIsLeftAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	app := script("deaf", "trap '' TERM; touch "+dir+"/runs; while :; do sleep 0.01; done")
	app.Stop.Timeout = time.Hour
	app.Hooks.PostStop = noted(dir, "post_stop", untilGo(dir))
	s, _ := running(t, oneApp(app), Options{})
	leaktest.Eventually(t, "it is deaf", func() bool { return exists(dir + "/runs") })
	i := awaitState(t, s, "deaf", client.Running)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background(), []client.Target{{App: "deaf"}}) }()
	awaitState(t, s, "deaf", client.Stopping)
	left := foster.Survivor{PID: i.PID, Name: "sh"}
	var deaf *instance
	_ = s.ask(func() { deaf = s.apps["deaf"].instances[0] })
	// What the shim says of processes that SIGKILL doesn't end.
	s.conclude(deaf, deaf.run, &deaf.current, ending{err: &foster.SurvivorsError{Survivors: []foster.Survivor{left}}})
	_ = s.ask(func() { deaf.run++ }) // that they have ended isn't told by the tree that this supervisor held
	failed, ok := errors.AsType[*client.FailedError](<-stopped)
	if !ok || len(failed.Failures) != 1 || len(failed.Failures[0].Survivors) != 1 || !strings.Contains(failed.Failures[0].Survivors[0], fmt.Sprint(i.PID)) {
		t.Errorf("%v", failed)
	}
	if i = instanceOf(t, s, "deaf"); i.State != client.Stuck || len(i.Survivors) != 1 {
		t.Errorf("%s, left: %v", i.State, i.Survivors)
	}
	if exists(dir + "/out") {
		t.Error("the hook after the end was run beside who is left")
	}
	if err := syscall.Kill(left.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "post_stop")
	if i = instanceOf(t, s, "deaf"); i.State != client.Stuck {
		t.Errorf("%s before the hook was over", i.State)
	}
	touch(t, dir+"/go")
	awaitState(t, s, "deaf", client.Stopped)
	said(t, dir+"/out", "post_stop")
}

// An instance that takes the place of one that is still being stopped waits for its end.
func TestWhatIsScaledDownAndUpIsNotDoubled(t *testing.T) {
	dir := t.TempDir()
	app := single("web", dir)
	app.Hooks.PreStop = []string{"/bin/sh", "-c", "until [ -e " + dir + "/go ]; do sleep 0.01; done"}
	s, _ := running(t, oneApp(app), Options{})
	out := filepath.Join(dir, "out")
	said(t, out, "start web")
	down, up := make(chan error, 1), make(chan error, 1)
	go func() { down <- s.Scale(context.Background(), "web", 0) }()
	leaktest.Eventually(t, "it is scaled down", func() bool { return s.Status().Apps[0].Replicas == 0 })
	go func() { up <- s.Scale(context.Background(), "web", 1) }()
	leaktest.Eventually(t, "another waits", func() bool {
		list := s.Status().Apps[0].Instances
		return len(list) == 1 && list[0].Cause == "waits for the end of its last run"
	})
	touch(t, dir+"/go")
	if err := errors.Join(<-down, <-up); err != nil {
		t.Error(err)
	}
	said(t, out, "start web, stop web, start web")
}

// What is asked of others, or of the configuration, doesn't take back a stop by hand that is
// under way.
func TestAStopUnderWayIsTakenBackByNobodyElse(t *testing.T) {
	another := func(p *config.Project) *config.Project {
		p.Apps[0].Env = append(p.Apps[0].Env, "NEW=1")
		return p
	}
	for what, do := range map[string]func(*Supervisor) error{
		"restart of what it depends on": func(s *Supervisor) error {
			return s.Restart(t.Context(), []client.Target{{App: "db"}})
		},
		"update": func(s *Supervisor) error {
			_, err := s.Update(t.Context(), false)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			project := func() *config.Project {
				p := slowToStop(dir)
				p.Apps[0].DependsOn = []config.Dependency{{App: "db", Condition: config.Started, Restart: true}}
				p.Apps = append(p.Apps, sleeper("db", dir+"/db"))
				return p
			}
			s, _ := running(t, project(), Options{Load: func() (*config.Project, error) { return another(project()), nil }})
			said(t, dir+"/out", "start web")
			awaitState(t, s, "web", client.Running)
			stopped := make(chan error, 1)
			go func() { stopped <- s.Stop(context.Background(), []client.Target{{App: "web"}}) }()
			leaktest.Eventually(t, "the stop is under way", func() bool { return exists(dir + "/stopping") })
			if err := do(s); err != nil {
				t.Error(err)
			}
			touch(t, dir+"/go")
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if i := instanceOf(t, s, "web"); i.State != client.Stopped {
				t.Errorf("%s: %q", i.State, i.Cause)
			}
			said(t, dir+"/out", "start web")
		})
	}
}

// A stop command that outlasts what it stops is waited for, before the hook after the end and
// the next run: it may still clear away what they need.
func TestWhatFollowsAnEndWaitsForTheStopCommand(t *testing.T) {
	dir := t.TempDir()
	out := dir + "/out"
	app := sleeper("web", out)
	app.Stop.Command = []string{"/bin/sh", "-c", fmt.Sprintf(`kill $MAINPID; while kill -0 $MAINPID; do sleep 0.01; done
for n in $(seq 50); do if grep post_stop %[1]s; then break; fi; sleep 0.01; done # too early
echo cleared >> %[1]s`, out)}
	app.Hooks.PostStop = []string{"/bin/sh", "-c", "echo post_stop >> " + out}
	s, end := running(t, oneApp(app), Options{})
	awaitState(t, s, "web", client.Running)
	said(t, out, "start web")
	if err := s.Restart(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	said(t, out, "start web, stop web, cleared, post_stop, start web")
	if err := end(); err != nil {
		t.Fatal(err)
	}
	said(t, out, "start web, stop web, cleared, post_stop, start web, stop web, cleared, post_stop")
}
