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
