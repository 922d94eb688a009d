package supervise

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// A thousand applications are started, told of, restarted and stopped, and nothing of a
// restart is left: not a descriptor, not a goroutine. Where there is no cgroup, each has a
// shim of its own, which are too many for a test.
func TestAThousandApplications(t *testing.T) {
	count := 1000
	try := foster.Command("true")
	if try.Containment = foster.Cgroup; try.Run() != nil {
		count = 50
	}
	app := script("idle", "exec sleep 1000")
	app.Replicas, app.Restart.Policy = count, config.RestartAlways
	s, end := running(t, oneApp(app), Options{})
	wait := func(what string) { // as long as there is progress
		t.Helper()
		for n := count / 10; n < count; n += count / 10 {
			leaktest.Eventually(t, what, func() bool { return countRunning(s) >= n })
		}
		leaktest.Eventually(t, what, func() bool { return countRunning(s) == count })
	}
	wait("all run")
	goroutines, descriptors := runtime.NumGoroutine(), openFiles(t)
	var some []client.Target
	for n := 1; n <= count; n += 10 {
		some = append(some, client.Target{App: "idle", Replica: n})
	}
	for range 3 {
		if err := s.Restart(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
	wait("all run again")
	leaktest.Eventually(t, "what the restarts took was given back", func() bool {
		return runtime.NumGoroutine() <= goroutines+10 && openFiles(t) <= descriptors+10
	})
	begun := time.Now()
	if err := end(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d applications were stopped in %s", count, time.Since(begun).Round(time.Millisecond))
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(fmt.Errorf("descriptors can't be counted: %w", err))
	}
	return len(open)
}
