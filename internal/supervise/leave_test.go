package supervise

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/history"
	"github.com/foster-init/foster/internal/leaktest"
)

// leaveOnRequest has the supervisor of another process leave at SIGUSR1.
func leaveOnRequest(s *Supervisor) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		<-asked
		_ = s.Leave(context.Background())
	}()
}

// Who leaves stops nothing: the next supervisor has the same processes.
func TestASupervisorThatLeavesIsFollowedByOneThatTakesOver(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	endSupervisor(t, dir, out, syscall.SIGUSR1)
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
	leaktest.ReapOrphans(t) // the shims of the life before
}

// A supervisor that is only to end what was left stops it in the reverse order, with hooks
// and a history, and starts nothing: neither that, nor what had come to rest.
func TestASupervisorThatIsToEndOnlyStartsNothing(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	endSupervisor(t, dir, out, syscall.SIGKILL)
	p := sleepers(dir)
	p.Apps[1].Hooks.PostStop = []string{"/bin/sh", "-c", "echo after db >> " + out}
	p.Apps = append(p.Apps, sleeper("new", out))
	s := New(p, Options{State: dir, End: true})
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, out); strings.Count(got, "start") != 2 || !strings.HasSuffix(got, ", stop web, stop db, after db") {
		t.Errorf("%s", got)
	}
	kept, err := history.OpenLeft(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	runs, err := kept.Runs("db", 0, 10)
	if err != nil || len(runs) != 1 || runs[0].Exit == nil || runs[0].Exit.Cause != "stopped" {
		t.Errorf("%+v, %v", runs, err)
	}
	if m, _, err := remember(dir); err != nil || !m.Clean {
		t.Errorf("%+v, %v; want the end of a life that wasn't killed", m, err)
	}
	leaktest.ReapOrphans(t) // the shims of the life before
}

// Killed at once, nobody waits for who ignores SIGTERM, nor for a hook that hangs.
func TestKillWaitsForNobody(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	deaf := script("deaf", "trap '' TERM; echo start deaf >> "+out+"; sleep 1000 & wait; sleep 1000")
	deaf.Stop.Timeout = time.Hour
	hung := sleeper("hung", out)
	hung.Hooks = config.Hooks{PreStop: []string{"/bin/sh", "-c", "echo hook >> " + out + "; sleep 1000"}, Timeout: time.Hour}
	s, end := running(t, &config.Project{Name: "test", Apps: []config.App{deaf, hung}}, Options{})
	leaktest.Eventually(t, "both run", func() bool { return strings.Count(lines(t, out), "start") == 2 })
	down := make(chan error, 1)
	go func() { down <- s.Down(context.Background()) }()
	awaitState(t, s, "deaf", client.Stopping)
	leaktest.Eventually(t, "the hook hangs", func() bool { return strings.Contains(lines(t, out), "hook") })
	s.Kill()
	if err := <-down; err != nil {
		t.Error(err)
	}
	_ = end() // it has ended
}
