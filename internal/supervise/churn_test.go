package supervise

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// What a supervisor is asked for again and again leaves nothing in it: not a goroutine, not a
// descriptor, no entry of a table, and no memory but for what it keeps on purpose.
func TestMixedChurnLeavesNothing(t *testing.T) {
	project := func(round int) *config.Project {
		talks := script("talks", fmt.Sprintf("echo round %d; sleep 1000 & wait", round))
		seat := script("seat", "echo here; sleep 1000 & wait")
		seat.Terminal = true
		job := script("job", "echo done")
		job.Restart.Policy = config.RestartAlways
		gone := script(fmt.Sprintf("gone-%d", round), "echo hello; sleep 1000 & wait") // of another name each time
		gone.Readiness = &config.Probe{Log: "hello"}
		return &config.Project{Name: "test", Apps: []config.App{talks, seat, job, gone}}
	}
	round := 0
	s, end := running(t, project(0), Options{Load: func() (*config.Project, error) { return project(round), nil }})
	churn := func() {
		t.Helper()
		round++
		if _, err := s.Update(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("gone-%d", round)
		leaktest.Eventually(t, name+" is ready", func() bool { return instanceOf(t, s, name).Ready })
		if err := s.Scale(t.Context(), "talks", 1+round%3); err != nil {
			t.Fatal(err)
		}
		awaitState(t, s, "seat", client.Running)
		for range 3 {
			v, err := s.Terminal("seat", 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Restart(t.Context(), []client.Target{{App: "talks"}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range s.Logs(ctx, client.LogQuery{Newest: 10, Follow: true}) {
			cancel()
		}
		cancel()
		for range s.Events(t.Context(), 0, false) {
		}
		_, _ = s.Environment("talks", 1)
		_ = s.Signal([]client.Target{{App: "talks"}}, syscall.SIGURG, "") // nobody heeds it
		s.Status()
		s.Counters()
	}
	count := func() (tables int) {
		if err := s.ask(func() {
			m := s.memory
			tables = len(s.apps) + len(s.leaving) + len(s.requests) + len(s.problems) +
				len(m.Rests) + len(m.Shown) + len(m.Leaving) + len(m.Begun) + len(m.Owed) + len(m.Tries)
		}); err != nil {
			t.Fatal(err)
		}
		return tables + s.logs.Number()
	}
	for range 8 {
		churn()
	}
	tables, goroutines, descriptors, heap := count(), runtime.NumGoroutine(), openFiles(t), heapInUse()
	const rounds = 30
	for range rounds {
		churn()
	}
	leaktest.Eventually(t, "nothing is left of the rounds", func() bool {
		return count() <= tables+2 && runtime.NumGoroutine() <= goroutines+10 && openFiles(t) <= descriptors+10
	})
	grown := int64(heapInUse()) - int64(heap)
	const kept = 40 << 10 // of a round: its events, as many as are kept
	if grown > rounds*kept {
		t.Errorf("%d bytes a round are left", grown/rounds)
	}
	t.Logf("%d bytes a round; %d goroutines of %d, %d descriptors of %d, %d entries of %d", grown/rounds, runtime.NumGoroutine(), goroutines, openFiles(t), descriptors, count(), tables)
	if err := end(); err != nil {
		t.Error(err)
	}
}

func heapInUse() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
