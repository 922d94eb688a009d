package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// roleVariable turns the test binary into a supervisor that a test may kill.
const roleVariable = "FOSTER_TEST_SUPERVISOR"

// projects are those that such a supervisor may have, by what is in projectVariable.
var projects = map[string]func(dir string) *config.Project{"": sleepers}

const projectVariable = "FOSTER_TEST_PROJECT"

// apps are applications that are this test binary, by what is in appVariable.
var apps = map[string]func(){}

const appVariable = "FOSTER_TEST_APP"

// testApp is one of apps.
func testApp(name string, env ...string) config.App {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	app := script(name, "")
	app.Command = []string{exe}
	app.Env = append(app.Env, append(env, appVariable+"="+name, "GORACE=atexit_sleep_ms=0")...)
	return app
}

func TestMain(m *testing.M) {
	if app := apps[os.Getenv(appVariable)]; app != nil {
		app()
		return
	}
	if dir := os.Getenv(roleVariable); dir != "" {
		s := New(projects[os.Getenv(projectVariable)](dir), Options{State: dir})
		leaveOnRequest(s)
		actOnRequest(s)
		endOnRequest(s)
		if err := s.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}

// script is an application in a shell. Its sleep is waited for, so that a signal is
// answered at once.
func script(name, text string) config.App {
	return config.App{
		Name: name, Command: []string{"/bin/sh", "-c", text}, Env: []string{"PATH=" + os.Getenv("PATH")}, Autostart: true, Replicas: 1,
		Restart: config.Restart{Policy: config.RestartNo, Backoff: config.Backoff{Initial: time.Millisecond, Factor: 1, Max: time.Minute}},
		Stop:    config.Stop{Timeout: 10 * time.Second}, Hooks: config.Hooks{Timeout: 10 * time.Second},
		OnLeaderLoss: config.LossContinue,
	}
}

func sleeper(name, out string) config.App {
	return script(name, fmt.Sprintf(`trap 'echo stop %[1]s >> %[2]s; exit 0' TERM; echo start %[1]s >> %[2]s; sleep 1000 & wait`, name, out))
}

// sleepers is a project of two, one of which depends on the other.
func sleepers(dir string) *config.Project {
	out := filepath.Join(dir, "out")
	db, web := sleeper("db", out), sleeper("web", out)
	web.DependsOn = []config.Dependency{{App: "db", Condition: config.Started}}
	return &config.Project{Name: "test", Dir: dir, Grace: time.Minute, Apps: []config.App{web, db}}
}

// running runs a supervisor until the test stops it.
func running(t *testing.T, p *config.Project, o Options) (s *Supervisor, end func() error) {
	t.Helper()
	leaktest.Check(t)
	if o.State == "" {
		o.State = t.TempDir()
	}
	s = New(p, o)
	return s, run(t, s)
}

// run runs a supervisor that was made, until the test stops it.
func run(t *testing.T, s *Supervisor) (end func() error) {
	t.Helper()
	failed := make(chan error, 1)
	go func() { failed <- s.Run(context.Background()) }()
	ended := false
	end = func() error {
		ended = true
		err := errors.Join(s.Down(context.Background()), <-failed)
		if s.waiting != 0 { // the loop is over: nobody waits for anything
			t.Errorf("%d instances are counted as waiting at the end", s.waiting)
		}
		return err
	}
	t.Cleanup(func() {
		if t.Failed() {
			for e := range s.Events(context.Background(), 0, false) {
				t.Logf("%s %s.%d %s %s %s", e.Time.Format(time.StampMilli), e.App, e.Replica, e.Kind, e.To, e.Cause)
			}
		}
		if !ended {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
	return end
}

func instanceOf(t *testing.T, s *Supervisor, app string) client.Instance {
	t.Helper()
	for _, a := range s.Status().Apps {
		if a.Name == app {
			return a.Instances[0]
		}
	}
	t.Fatalf("there is no %s", app)
	return client.Instance{}
}

func awaitState(t *testing.T, s *Supervisor, app string, want client.State) (i client.Instance) {
	t.Helper()
	defer func() {
		if i.State != want {
			t.Logf("%s is %s: %s (%+v)", app, i.State, i.Cause, i)
		}
	}()
	leaktest.Eventually(t, app+" is "+string(want), func() bool {
		i = instanceOf(t, s, app)
		return i.State == want
	})
	return i
}

func lines(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", ", ")
}

func TestApplicationsStartInOrderAndStopInTheReverse(t *testing.T) {
	dir := t.TempDir()
	p := sleepers(dir)
	p.Apps[1].Hooks.PostStart = []string{"/bin/sh", "-c", "exit 0"}
	s, end := running(t, p, Options{})
	out := filepath.Join(dir, "out")
	awaitState(t, s, "web", client.Running)
	leaktest.Eventually(t, "both have said so", func() bool { return strings.Count(lines(t, out), "start") == 2 })
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, out); !strings.HasSuffix(got, "stop web, stop db") {
		t.Errorf("%s", got)
	}
}

func TestWhatFailsIsStartedAgainUntilItsBound(t *testing.T) {
	app := script("crash", "exit 7")
	app.Restart.Policy, app.Restart.MaxRestarts = config.RestartOnFailure, 3
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	i := awaitState(t, s, "crash", client.Failed)
	if i.Restarts != 3 || i.Exit == nil || i.Exit.Code == nil || *i.Exit.Code != 7 {
		t.Errorf("%d restarts, %+v", i.Restarts, i.Exit)
	}
}

func TestAStartThatFailsIsToldAsOne(t *testing.T) {
	app := script("web", "")
	app.Command, app.Autostart = []string{"/no/such/program"}, false
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	err := s.Start(t.Context(), []client.Target{{App: "web"}})
	if failed, ok := errors.AsType[*client.FailedError](err); !ok || !strings.Contains(failed.Error(), "/no/such/program") {
		t.Errorf("%v", err)
	}
}

func TestALostStartScriptIsSeenAndARestartMakesNoSecondCopy(t *testing.T) {
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{script("java", "sleep 1000 & exit 0")}}, Options{})
	i := awaitState(t, s, "java", client.LeaderLost)
	if i.Members != 1 || !strings.Contains(i.Cause, "start script lost, application alive") {
		t.Errorf("%d members, %q", i.Members, i.Cause)
	}
	if err := s.Restart(t.Context(), []client.Target{{App: "java"}}); err != nil {
		t.Fatal(err)
	}
	if i = awaitState(t, s, "java", client.LeaderLost); i.Members != 1 || i.Restarts != 1 {
		t.Errorf("after the restart: %d members, %d restarts", i.Members, i.Restarts)
	}
	if err := s.Stop(t.Context(), []client.Target{{App: "java"}}); err != nil {
		t.Fatal(err)
	}
	if i = instanceOf(t, s, "java"); i.State != client.Stopped || i.Members != 0 {
		t.Errorf("after the stop: %s, %d members", i.State, i.Members)
	}
}

func TestAFailedHookIsAFailedStart(t *testing.T) {
	app := sleeper("web", filepath.Join(t.TempDir(), "out"))
	app.Hooks.PreStart = []string{"/bin/sh", "-c", "echo no database >&2; exit 1"}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	if i := awaitState(t, s, "web", client.Failed); !strings.Contains(i.Cause, "pre_start") || !strings.Contains(i.Cause, "no database") {
		t.Errorf("%q", i.Cause)
	}
}

func TestAnUnknownTargetIsAnError(t *testing.T) {
	s, _ := running(t, sleepers(t.TempDir()), Options{})
	for _, target := range []client.Target{{App: "wep"}, {App: "web", Replica: 2}} {
		if err := s.Stop(t.Context(), []client.Target{target}); !errors.Is(err, client.ErrUnknown) {
			t.Errorf("%+v: %v", target, err)
		}
	}
}

func TestAnUpdateTouchesOnlyWhatHasChanged(t *testing.T) {
	dir := t.TempDir()
	next := sleepers(dir)
	next.Apps[0].Description = "a description"
	next.Apps[1].Env = append(next.Apps[1].Env, "NEW=1")
	next.Apps = append(next.Apps, sleeper("more", filepath.Join(dir, "out")))
	s, _ := running(t, sleepers(dir), Options{Load: func() (*config.Project, error) { return next, nil }})
	before := awaitState(t, s, "web", client.Running)
	db := awaitState(t, s, "db", client.Running)
	changes, err := s.Update(t.Context(), true)
	if err != nil || fmt.Sprint(changes) != "[{web change [Description] 0 0} {db restart [Env] 0 0} {more start [] 0 0}]" {
		t.Fatalf("%v, %v", changes, err)
	}
	if _, err := s.Update(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "db was restarted", func() bool {
		i := instanceOf(t, s, "db")
		return i.State == client.Running && i.PID != db.PID
	})
	awaitState(t, s, "more", client.Running)
	if i := instanceOf(t, s, "web"); i.PID != before.PID || i.Restarts != 0 {
		t.Errorf("web was touched: %d was %d", i.PID, before.PID)
	}
}

// Killed with SIGKILL, a supervisor loses nothing and doubles nothing: the next one has
// the same processes.
func TestASupervisorThatWasKilledIsFollowedByOneThatTakesOver(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for range 3 {
		t.Log("another life")
		killSupervisor(t, dir, out)
	}
	s, end := running(t, sleepers(dir), Options{State: dir})
	for _, app := range []string{"db", "web"} {
		if i := awaitState(t, s, app, client.Running); !strings.HasPrefix(i.Cause, "taken over") {
			t.Errorf("%s: %q", app, i.Cause)
		}
	}
	if got := lines(t, out); strings.Count(got, "start") != 2 || strings.Contains(got, "stop") {
		t.Errorf("%s", got)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shims of the life that was killed
}

// killSupervisor runs a supervisor in a process of its own until both applications have
// run, and kills it.
func killSupervisor(t *testing.T, dir, out string) {
	t.Helper()
	endSupervisor(t, dir, out, syscall.SIGKILL)
}

// startSupervisor runs a supervisor in a process of its own.
func startSupervisor(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func endSupervisor(t *testing.T, dir, out string, by syscall.Signal) {
	t.Helper()
	cmd := startSupervisor(t, dir)
	leaktest.Eventually(t, "both run", func() bool { return strings.Count(lines(t, out), "start") == 2 })
	if err := cmd.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && by != syscall.SIGKILL {
		t.Error(err)
	}
}
