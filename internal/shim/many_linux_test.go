package shim

import (
	"os"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/procfs"
)

// TestWhoWasSignalledIsForgottenWhenGone: a tree that is signalled often, and whose processes
// its own members reap, must not make its shim grow.
func TestWhoWasSignalledIsForgottenWhenGone(t *testing.T) {
	self, err := procfs.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{many: &many{}, held: &holding{}}
	s.expect([]procfs.Stat{self})
	for n := range 10000 {
		s.expect([]procfs.Stat{{PID: 1<<30 + n, Start: 1}}) // of no process
	}
	if n := len(s.held.expected); n > 256 {
		t.Errorf("%d are remembered", n)
	}
	if _, ok := s.held.expected[self.PID]; !ok {
		t.Error("who lives was forgotten")
	}
}

// TestMemoryIsGivenBackAlsoWhileTreesStart: one start may follow the other for days.
func TestMemoryIsGivenBackAlsoWhileTreesStart(t *testing.T) {
	m := &many{loop: newLoop()}
	given := 0
	m.tidy = clock{loop: m.loop, due: func() { given++; m.giveBack() }}
	m.tidySoon(time.Now())
	m.untidy = m.untidy.Add(50*time.Millisecond - tidyAtLatest)
	starts := time.NewTicker(time.Millisecond)
	defer starts.Stop()
	stuck := time.After(20 * time.Second)
	for given == 0 {
		select {
		case <-starts.C:
			m.tidySoon(time.Now())
		case do := <-m.loop.work:
			do()
		case <-stuck:
			t.Fatal("memory isn't given back")
		}
	}
	if !m.untidy.IsZero() {
		t.Error("the next start isn't the first again")
	}
}
