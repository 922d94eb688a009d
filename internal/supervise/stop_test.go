package supervise

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

// What is asked for is for one stop. The next one is again as the configuration says.
func TestAStopMayBeAnotherThisOnce(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	s, _ := running(t, oneApp(script("web", `for s in TERM INT HUP; do trap "echo $s >> `+out+`; exit 0" $s; done
echo start >> `+out+`; while :; do sleep 0.01; done`)), Options{})
	began := 0
	runs := func() {
		began++
		leaktest.Eventually(t, "it runs", func() bool { return strings.Count(lines(t, out), "start") == began })
	}
	for _, ask := range []func() error{
		func() error { return s.RestartWith(t.Context(), nil, foster.StopPlan{Signal: syscall.SIGINT}) },
		func() error { return s.Restart(t.Context(), nil) },
		func() error {
			return s.StopWith(t.Context(), nil, foster.StopPlan{Signal: syscall.SIGHUP, Scope: foster.ScopeLeader})
		},
		func() error { return s.Start(t.Context(), nil) },
	} {
		if i := instanceOf(t, s, "web"); i.State != client.Stopped {
			runs()
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	runs()
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, out); got != "start, INT, start, TERM, start, HUP, start, TERM" {
		t.Errorf("%s", got)
	}
}

// A stop at once takes the place of one under way: in its hook, and behind its signal.
func TestAStopAtOnceCutsAnotherShort(t *testing.T) {
	for _, where := range []string{"hook", "command", "signal"} {
		t.Run(where, func(t *testing.T) {
			dir := t.TempDir()
			p := slowToStop(dir)
			switch app := &p.Apps[0]; where {
			case "hook":
				app.Hooks.PreStop, app.Hooks.Timeout = untilGo(dir), time.Hour
			case "command":
				app.Stop.Command = untilGo(dir)
			}
			p.Apps[0].Stop.Timeout = time.Hour
			s, _ := running(t, p, Options{})
			leaktest.Eventually(t, "it runs", func() bool { return lines(t, dir+"/out") == "start web" })
			awaitState(t, s, "web", client.Running)
			first := make(chan error, 1)
			go func() { first <- s.Stop(context.Background(), nil) }()
			leaktest.Eventually(t, "the first stop is under way", func() bool { return exists(dir + "/stopping") })
			if err := s.StopWith(t.Context(), nil, foster.KillAtOnce()); err != nil {
				t.Error(err)
			}
			if err := <-first; err != nil {
				t.Error(err)
			}
			if i := instanceOf(t, s, "web"); i.State != client.Stopped || i.Exit == nil || i.Exit.Signal != "SIGKILL" {
				t.Errorf("%s, %+v", i.State, i.Exit)
			}
		})
	}
}

// At once, no hook is run that the end would have to wait for.
func TestAStopAtOnceRunsNoHook(t *testing.T) {
	dir := t.TempDir()
	app := sleeper("web", dir+"/out")
	app.Hooks.PreStop, app.Stop.Command = untilGo(dir), untilGo(dir)
	s, _ := running(t, oneApp(app), Options{})
	awaitState(t, s, "web", client.Running)
	if err := s.StopWith(t.Context(), nil, foster.KillAtOnce()); err != nil {
		t.Error(err)
	}
	if exists(dir + "/stopping") {
		t.Error("a hook was run")
	}
}

// How a tree is stopped that was taken over is what the supervisor before had said last, which
// its shim may have been told nothing of.
func TestATreeThatWasTakenOverIsStoppedAsItsLastConfigurationSays(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	killSupervisor(t, dir, out)
	p := sleepers(dir)
	p.Apps[0].Stop.Signal = syscall.SIGUSR1
	m, _, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.saveProject(p) // as if it had applied that
	s, end := running(t, p, Options{State: dir})
	awaitState(t, s, "web", client.Running)
	if err := s.Stop(t.Context(), []client.Target{{App: "web"}}); err != nil {
		t.Fatal(err)
	}
	if i := instanceOf(t, s, "web"); i.Exit == nil || i.Exit.Signal != "SIGUSR1" {
		t.Errorf("%+v", i.Exit)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shims of the life before
}
