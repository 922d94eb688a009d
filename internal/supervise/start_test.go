package supervise

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// daemon is an application that goes into the background when a file is there, and exits
// with a status then.
func daemon(dir, status string) config.App {
	app := script("db", `until [ -e `+dir+`/go ]; do sleep 0.01; done; setsid sleep 1000 & exit `+status)
	app.Forking = true
	return app
}

// withDependent is a project of an application, and of web, which waits until it is ready.
func withDependent(app config.App) *config.Project {
	web := script("web", "sleep 1000 & wait")
	web.DependsOn = []config.Dependency{{App: app.Name, Condition: config.Healthy}}
	return &config.Project{Name: "test", Grace: time.Minute, Apps: []config.App{web, app}}
}

func init() {
	projects["daemon"] = func(dir string) *config.Project {
		p := withDependent(daemon(dir, "0"))
		p.Apps[0].Command = sleeper("web", dir+"/out").Command
		return p
	}
}

func TestADaemonIsReadyWhenItsFirstProcessHasExited(t *testing.T) {
	dir := t.TempDir()
	s, _ := running(t, withDependent(daemon(dir, "0")), Options{})
	if db := awaitState(t, s, "db", client.Running); db.Ready || db.PID == 0 {
		t.Errorf("before: ready %v, pid %d", db.Ready, db.PID)
	}
	if web := instanceOf(t, s, "web"); web.State != client.Waiting {
		t.Errorf("web is %s before db is ready", web.State)
	}
	touch(t, dir+"/go")
	awaitState(t, s, "web", client.Running)
	told(t, s, "forked", "its first process exited with status 0; its daemon runs on")
	if db := instanceOf(t, s, "db"); db.State != client.Running || !db.Ready || db.PID != 0 {
		t.Errorf("after: %s, ready %v, pid %d", db.State, db.Ready, db.PID)
	}
}

// A daemon whose first process has failed has not started, though others of its tree live.
func TestADaemonWhoseFirstProcessFailsHasNotStarted(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/go")
	s, _ := running(t, withDependent(daemon(dir, "3")), Options{})
	db := awaitState(t, s, "db", client.Failed)
	if want := "its start has failed: its first process exited with status 3"; db.Cause != want || db.Members != 0 {
		t.Errorf("%q, %d members", db.Cause, db.Members)
	}
	if web := awaitState(t, s, "web", client.Failed); web.Cause != "db has failed" {
		t.Errorf("web: %q", web.Cause)
	}
}

// The next supervisor finds a daemon ready that has gone into the background before.
func TestADaemonStaysReadyInTheNextLife(t *testing.T) {
	dir := t.TempDir()
	touch(t, dir+"/go")
	t.Setenv(projectVariable, "daemon")
	cmd := startSupervisor(t, dir)
	leaktest.Eventually(t, "web is started", func() bool { return lines(t, dir+"/out") == "start web" })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	s, end := running(t, projects["daemon"](dir), Options{State: dir})
	leaktest.Eventually(t, "db is ready", func() bool { return instanceOf(t, s, "db").Ready })
	if db := instanceOf(t, s, "db"); db.State != client.Running || db.PID != 0 || db.Restarts != 0 {
		t.Errorf("%s, pid %d, %d restarts", db.State, db.PID, db.Restarts)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	clearAway(t)
}

func TestReadinessThatDoesntComeInTimeIsAFailure(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	app := script("db", "sleep 1000 & wait")
	app.StartTimeout = time.Second // in which a probe without a process answers often
	app.Readiness = quickly(config.Probe{TCP: &config.TCPProbe{Port: nobody.Addr().(*net.TCPAddr).Port}})
	app.Restart = config.Restart{Policy: config.RestartOnFailure, MaxRestarts: 1, Backoff: app.Restart.Backoff}
	s, _ := running(t, withDependent(app), Options{})
	db := awaitState(t, s, "db", client.Failed)
	if !strings.Contains(db.Cause, "its start has failed: it wasn't ready within 1s: readiness probe failed: ") || db.Restarts != 1 || db.Members != 0 {
		t.Errorf("%q, %d restarts, %d members", db.Cause, db.Restarts, db.Members)
	}
	if web := awaitState(t, s, "web", client.Failed); web.Cause != "db has failed" {
		t.Errorf("web: %q", web.Cause)
	}
}

// What was ready in time isn't bound any more, also where it isn't ready later.
func TestStartTimeoutBoundsOnlyTheStart(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/ready"
	touch(t, file)
	app := script("db", "sleep 1000 & wait")
	app.StartTimeout = 5 * time.Second
	app.Readiness = isThere(file)
	s, _ := running(t, withDependent(app), Options{State: dir})
	told(t, s, "ready", "it is ready")
	remove(t, file)
	told(t, s, "unready", "readiness probe failed")
	if err := s.ask(func() {
		i := s.apps["db"].instances[0]
		if i.patience != nil || !s.memory.Shown[i.treeID].Ready {
			t.Errorf("bound %v, noted %v", i.patience != nil, s.memory.Shown[i.treeID])
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// Before the first success, or the end of the start period, failures of the liveness probe
// don't count; from the first success on they do.
func TestLivenessFailuresDontCountBeforeTheFirstSuccess(t *testing.T) {
	file := t.TempDir() + "/alive"
	app := script("web", "sleep 1000 & wait")
	app.Liveness = isThere(file)
	app.Liveness.StartPeriod = time.Hour
	app.Restart.Backoff.Initial = time.Hour
	s, _ := running(t, oneApp(app), Options{})
	awaitFailures := func(n int) {
		t.Helper()
		leaktest.Eventually(t, "it was asked", func() (often bool) {
			_ = s.ask(func() { often = s.apps["web"].instances[0].probes[liveness].counters.Failures >= uint64(n) })
			return often
		})
	}
	awaitFailures(5)
	if i := instanceOf(t, s, "web"); i.State != client.Running || i.Restarts != 0 || i.Health != "" {
		t.Errorf("%s, %d restarts, %q", i.State, i.Restarts, i.Health)
	}
	touch(t, file)
	leaktest.Eventually(t, "it succeeds", func() (ok bool) {
		_ = s.ask(func() { ok = s.apps["web"].instances[0].probes[liveness].counters.Successes > 0 })
		return ok
	})
	remove(t, file)
	awaitState(t, s, "web", client.Backoff)
}

func TestLivenessFailuresCountAfterTheStartPeriod(t *testing.T) {
	app := script("web", "sleep 1000 & wait")
	app.Liveness = isThere("/no/such/file")
	app.Liveness.StartPeriod = 100 * time.Millisecond
	app.Restart.Backoff.Initial = time.Hour
	s, _ := running(t, oneApp(app), Options{})
	i := awaitState(t, s, "web", client.Backoff)
	if ran := i.Exit.Ended.Sub(i.Exit.Started); ran < 100*time.Millisecond {
		t.Errorf("it was restarted after %s", ran)
	}
}
