package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// A start script that ends each time, and leaves its application alive, isn't restarted
// in a rush: it counts as a failure.
func TestARestartForALostLeaderHasItsBound(t *testing.T) {
	app := script("java", "sleep 1000 & exit 0")
	app.OnLeaderLoss, app.Restart.MaxRestarts = config.LossRestart, 2
	s, _ := running(t, oneApp(app), Options{})
	i := awaitState(t, s, "java", client.Failed)
	if i.Restarts != 2 || i.Members != 0 || !strings.Contains(i.Cause, "start script lost") {
		t.Errorf("%d restarts, %d members, %q", i.Restarts, i.Members, i.Cause)
	}
}

// What an application that dies at once for hours costs doesn't grow.
func TestAnApplicationThatDiesAtOnceLeavesNothingBehind(t *testing.T) {
	app := script("crash", "exit 1")
	app.Restart = config.Restart{Policy: config.RestartAlways, Backoff: config.Backoff{Initial: time.Microsecond, Factor: 1, Max: time.Microsecond}}
	s, _ := running(t, oneApp(app), Options{})
	held := func(after int) (goroutines, descriptors int, heap uint64) {
		leaktest.Eventually(t, fmt.Sprintf("%d restarts", after), func() bool { return instanceOf(t, s, "crash").Restarts >= after })
		if err := s.Stop(t.Context(), []client.Target{{App: "crash"}}); err != nil {
			t.Fatal(err)
		}
		open, err := os.ReadDir("/proc/self/fd")
		leaktest.Need(t, "/proc, to count descriptors", err)
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		if err := s.Start(t.Context(), []client.Target{{App: "crash"}}); err != nil {
			t.Log(err) // it has failed again
		}
		return runtime.NumGoroutine(), len(open), memory.HeapAlloc
	}
	g1, d1, h1 := held(20)
	g2, d2, h2 := held(100)
	if g2 > g1+5 || d2 > d1+5 || h2 > h1+1<<20 {
		t.Errorf("after 80 restarts more: %d goroutines, were %d; %d descriptors, were %d; %d bytes, were %d", g2, g1, d2, d1, h2, h1)
	}
}

// Hooks that wait for another application don't keep it from being started, however many
// they are.
func TestHooksThatWaitHoldUpNobody(t *testing.T) {
	dir := t.TempDir()
	p := &config.Project{Name: "test"}
	for n := range startsAtOnce + 1 {
		app := script(fmt.Sprintf("w%d", n), "sleep 1000 & wait")
		app.Hooks.PreStart = []string{"/bin/sh", "-c", "until [ -e " + dir + "/db ]; do sleep 0.01; done"}
		p.Apps = append(p.Apps, app)
	}
	p.Apps = append(p.Apps, script("db", "touch "+dir+"/db; sleep 1000 & wait"))
	s, _ := running(t, p, Options{})
	for _, app := range p.Apps {
		awaitState(t, s, app.Name, client.Running)
	}
}

func TestAHookThatFailsAfterTheEndIsTold(t *testing.T) {
	app := script("web", "exit 0")
	app.Hooks.PostStop = []string{"/bin/sh", "-c", "echo no backup >&2; exit 3"}
	s, _ := running(t, oneApp(app), Options{})
	told(t, s, "hook", `hook post_stop: /bin/sh: exit status 3: "no backup"`)
	awaitState(t, s, "web", client.Completed)
}

func TestOnlyTheEndOfWhatAHookWritesIsKept(t *testing.T) {
	var out tail
	for n := range 1000 {
		fmt.Fprintf(&out, "line %d\n", n)
	}
	if got := out.String(); len(got) > lastWords+len("…") || !strings.HasPrefix(got, "…") || !strings.HasSuffix(got, "line 999") {
		t.Errorf("%q", got)
	}
}

// remembered is the state folder of a supervisor that was killed.
func remembered(t *testing.T, p *config.Project, rests map[string]restNote) (dir string) {
	t.Helper()
	dir = t.TempDir()
	m, _, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Rests = rests
	m.saveProject(p)
	if m.save(); m.broken != nil {
		t.Fatal(m.broken)
	}
	return dir
}

func TestWhatHadComeToRestStaysSoInTheNextLife(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	p := &config.Project{Name: "test"}
	rests := map[string]restNote{}
	for _, c := range []struct {
		name   string
		policy config.RestartPolicy
		state  client.State
		want   client.State
	}{
		{"stopped", config.RestartUnlessStopped, client.Stopped, client.Stopped},
		{"stopped-always", config.RestartAlways, client.Stopped, client.Running},
		{"stopped-once", config.RestartNo, client.Stopped, client.Stopped},
		{"completed", config.RestartOnFailure, client.Completed, client.Completed},
		{"failed", config.RestartAlways, client.Failed, client.Failed},
		{"ran", config.RestartNo, "", client.Running}, // and its tree is gone
	} {
		app := sleeper(c.name, out)
		app.Restart.Policy, app.Description = c.policy, string(c.want)
		p.Apps = append(p.Apps, app)
		if c.state != "" {
			rests[treeID("test", c.name, 1)] = restNote{State: c.state, Cause: "before", Since: time.Now()}
		}
	}
	after := sleeper("after", out) // what a job has done before is done
	after.Description = string(client.Running)
	after.DependsOn = []config.Dependency{{App: "completed", Condition: config.Completed}, {App: "completed", Condition: config.Started}}
	p.Apps = append(p.Apps, after)
	s, _ := running(t, p, Options{State: remembered(t, p, rests)})
	for _, app := range p.Apps {
		i := awaitState(t, s, app.Name, client.State(app.Description))
		if i.State != client.Running && i.Cause != "before" {
			t.Errorf("%s: %q", app.Name, i.Cause)
		}
	}
}

// The supervisor is killed while it stops all: that says of none that it is to stay so.
func TestAnEndThatIsCutShortLeavesNobodyStopped(t *testing.T) {
	dir := t.TempDir()
	p := sleepers(dir)
	p.Apps[1].Hooks.PreStop = []string{"/bin/sh", "-c", "until [ -e " + dir + "/go ]; do sleep 0.01; done"}
	s, end := running(t, p, Options{State: dir})
	awaitState(t, s, "web", client.Running)
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	awaitState(t, s, "web", client.Stopped)
	awaitState(t, s, "db", client.Stopping)
	m, last, err := remember(dir)
	if err != nil || last == nil || m.Clean || len(m.Rests) > 0 {
		t.Errorf("%v, clean %v, at rest: %v", err, m.Clean, m.Rests)
	}
	touch(t, dir+"/go")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The supervisor is killed while it stops one by hand: the next one stops it.
func TestAStopThatIsCutShortIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	endSupervisor(t, dir, out, syscall.SIGKILL)
	m, _, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.rest(treeID("test", "web", 1), &restNote{State: client.Stopped, Cause: "asked to stop"})
	p := sleepers(dir)
	p.Apps[0].Env = append(p.Apps[0].Env, "NEW=1") // another configuration restarts who runs
	s, end := running(t, p, Options{State: dir})
	awaitState(t, s, "web", client.Stopped)
	if i := awaitState(t, s, "db", client.Running); !strings.HasPrefix(i.Cause, "taken over") {
		t.Errorf("db: %q", i.Cause)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, out); strings.Count(got, "start") != 2 {
		t.Errorf("%s", got)
	}
	leaktest.ReapOrphans(t) // the shims of the life before
}
