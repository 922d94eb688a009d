package supervise

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// quickly are the numbers of a probe in a test.
func quickly(p config.Probe) *config.Probe {
	p.Period, p.Timeout, p.SuccessThreshold, p.FailureThreshold = 5*time.Millisecond, 10*time.Second, 1, 1
	return &p
}

// isThere is a probe that succeeds as long as there is a file.
func isThere(path string) *config.Probe {
	return quickly(config.Probe{Exec: []string{"/bin/sh", "-c", `test -e "$1" || { echo no "$1" >&2; exit 1; }`, "sh", path}})
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestADependentWaitsUntilTheReadinessProbeSucceeds(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ready")
	p := sleepers(dir)
	p.Apps[0].DependsOn[0].Condition = config.Healthy
	p.Apps[1].Readiness = isThere(file)
	s, _ := running(t, p, Options{})
	told(t, s, "probe", "no "+file)
	db, web := instanceOf(t, s, "db"), instanceOf(t, s, "web")
	if db.State != client.Running || db.Ready || !strings.Contains(db.Health, "readiness probe failed: /bin/sh") {
		t.Errorf("db: %s, ready %v, %q", db.State, db.Ready, db.Health)
	}
	if web.State != client.Waiting || web.Cause != "waits for db (process_healthy)" {
		t.Errorf("web: %s, %q", web.State, web.Cause)
	}
	touch(t, file)
	awaitState(t, s, "web", client.Running)
	if db = instanceOf(t, s, "db"); !db.Ready || db.Health != "" {
		t.Errorf("db: ready %v, %q", db.Ready, db.Health)
	}
	remove(t, file)
	told(t, s, "unready", "no "+file)
	if db = instanceOf(t, s, "db"); db.Ready || db.State != client.Running || db.Restarts != 0 {
		t.Errorf("db: ready %v, %s, %d restarts", db.Ready, db.State, db.Restarts)
	}
	var counted bool
	_ = s.ask(func() {
		c := s.apps["db"].instances[0].probeCounters()["readiness"]
		counted = c.Successes > 0 && c.Failures > 1 && c.Seconds > 0 && c.Last > 0
	})
	if !counted {
		t.Error("the checks weren't counted")
	}
}

// Each change is told once, not each answer.
func TestAProbeThatGoesOnFailingIsToldOnce(t *testing.T) {
	app := sleeper("web", filepath.Join(t.TempDir(), "out"))
	app.Readiness = isThere("/no/such/file")
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	leaktest.Eventually(t, "it was asked five times", func() (often bool) {
		_ = s.ask(func() { often = s.apps["web"].instances[0].probes[readiness].counters.Failures >= 5 })
		return often
	})
	n := 0
	for e := range s.Events(t.Context(), 0, false) {
		if e.Kind == "probe" || e.Kind == "unready" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestAHungServerIsRestarted(t *testing.T) {
	var hangs atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if hangs.Load() {
			<-r.Context().Done()
		}
	}))
	app := sleeper("web", filepath.Join(t.TempDir(), "out"))
	app.Restart.Backoff.Initial = time.Hour // as long as it waits, the test may look
	app.Liveness = quickly(config.Probe{HTTP: &config.HTTPProbe{Port: server.Listener.Addr().(*net.TCPAddr).Port, Path: "/health"}})
	app.Liveness.Timeout = 3 * time.Second // a machine under load answers within
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	t.Cleanup(server.Close)
	before := awaitState(t, s, "web", client.Running)
	hangs.Store(true)
	i := awaitState(t, s, "web", client.Backoff)
	if !strings.HasPrefix(i.Cause, "liveness probe failed: GET http://127.0.0.1:") || !strings.HasSuffix(i.Cause, "/health: no answer in time") {
		t.Errorf("%q", i.Cause)
	}
	if i.Members != 0 || i.Due.IsZero() {
		t.Errorf("%d members, due %s", i.Members, i.Due)
	}
	hangs.Store(false)
	if err := s.Start(t.Context(), []client.Target{{App: "web"}}); err != nil {
		t.Fatal(err)
	}
	if i = awaitState(t, s, "web", client.Running); i.PID == before.PID {
		t.Error("it is the same process")
	}
}

// A liveness probe that fails counts as a failure, for the pause and the bound.
func TestWhatIsNeverWellHasFailedAtItsBound(t *testing.T) {
	app := sleeper("web", filepath.Join(t.TempDir(), "out"))
	app.Restart.MaxRestarts = 2
	app.Liveness = isThere("/no/such/file")
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	i := awaitState(t, s, "web", client.Failed)
	if i.Restarts != 2 || !strings.Contains(i.Cause, "liveness probe failed") || i.Members != 0 {
		t.Errorf("%d restarts, %q, %d members", i.Restarts, i.Cause, i.Members)
	}
}

// A check that hangs is ended as a whole tree: that nothing is left is proven at the end.
func TestACommandThatProbesIsEndedWhole(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	app := sleeper("web", out)
	app.Readiness = quickly(config.Probe{Exec: []string{"/bin/sh", "-c", "echo asks; setsid sleep 1000 & sleep 1000"}})
	app.Readiness.Timeout = time.Second
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	told(t, s, "probe", `/bin/sh took longer than 1s: "asks"`)
}

func TestAReadinessProbeMayBeALineOfOutput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "go")
	db := script("db", "echo will be listening on 80; until [ -e "+file+" ]; do sleep 0.01; done; echo listening on 80 >&2; sleep 1000 & wait")
	db.Readiness = &config.Probe{Log: `^listening on \d+`}
	web := sleeper("web", filepath.Join(dir, "out"))
	web.DependsOn = []config.Dependency{{App: "db", Condition: config.LogReady}}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{web, db}}, Options{})
	leaktest.Eventually(t, "the first line is kept", func() bool { return len(logged(t, s, client.LogQuery{})) == 1 })
	if i := instanceOf(t, s, "db"); i.Ready {
		t.Error("another line made it ready")
	}
	touch(t, file)
	awaitState(t, s, "web", client.Running)
	if i := instanceOf(t, s, "db"); !i.Ready {
		t.Error("it isn't ready")
	}
}

func init() {
	apps["notifier"] = func() {
		socket, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err == nil {
			_, err = socket.Write([]byte("READY=1\nSTATUS=warm"))
		}
		if err != nil {
			panic(err)
		}
		select {}
	}
	projects["notifier"] = func(dir string) *config.Project {
		out := filepath.Join(dir, "out")
		db, web := testApp("notifier"), sleeper("web", out)
		db.Readiness = &config.Probe{Notify: true}
		db.Stop.Signal, db.Stop.Timeout = syscall.SIGKILL, time.Second
		db.Hooks.PostStart = []string{"/bin/sh", "-c", "echo start db >> " + out}
		web.DependsOn = []config.Dependency{{App: "notifier", Condition: config.Healthy}}
		return &config.Project{Name: "test", Dir: dir, Grace: time.Minute, Apps: []config.App{web, db}}
	}
}

// What was said once, to a supervisor that was killed, is known to the next.
func TestReadinessOutlivesTheSupervisor(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(projectVariable, "notifier")
	endSupervisor(t, dir, filepath.Join(dir, "out"), syscall.SIGKILL)
	s, end := running(t, projects["notifier"](dir), Options{State: dir})
	if i := awaitState(t, s, "notifier", client.Running); !i.Ready || !strings.HasPrefix(i.Cause, "taken over") {
		t.Errorf("ready %v, %q", i.Ready, i.Cause)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shims of the life before
}

func TestAnUpdateOfAProbeCountsAtOnce(t *testing.T) {
	app := sleeper("web", filepath.Join(t.TempDir(), "out"))
	app.Readiness = isThere("/no/such/file")
	next := app
	next.Readiness = isThere("/")
	load := func() (*config.Project, error) {
		return &config.Project{Name: "test", Apps: []config.App{next}}, nil
	}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{Load: load})
	before := awaitState(t, s, "web", client.Running)
	if _, err := s.Update(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	told(t, s, "ready", "it is ready")
	if i := instanceOf(t, s, "web"); i.PID != before.PID {
		t.Error("it was restarted")
	}
}

// A hook after the end may take long: nobody is asked meanwhile, and what has ended isn't
// restarted because it doesn't answer.
func TestWhatHasEndedIsNotAskedWhileTheHookAfterItRuns(t *testing.T) {
	dir := t.TempDir()
	alive := filepath.Join(dir, "alive")
	touch(t, alive)
	app := script("job", fmt.Sprintf("echo start >> %[1]s/out; until [ -e %[1]s/end ]; do sleep 0.01; done", dir))
	app.Liveness, app.Readiness = isThere(alive), isThere(alive)
	app.Hooks.PostStop = []string{"/bin/sh", "-c", fmt.Sprintf("rm %[1]s/alive; touch %[1]s/stopping; until [ -e %[1]s/go ]; do sleep 0.01; done", dir)}
	s, _ := running(t, oneApp(app), Options{})
	leaktest.Eventually(t, "it is ready", func() bool { return instanceOf(t, s, "job").Ready })
	touch(t, dir+"/end")
	leaktest.Eventually(t, "the hook is under way", func() bool { return exists(dir + "/stopping") })
	var asked bool
	_ = s.ask(func() { asked = s.apps["job"].instances[0].probing != nil })
	if asked || instanceOf(t, s, "job").Ready {
		t.Errorf("asked %v, ready %v", asked, instanceOf(t, s, "job").Ready)
	}
	touch(t, dir+"/go")
	awaitState(t, s, "job", client.Completed)
	said(t, dir+"/out", "start")
}
