package shim

import (
	"os"
	"testing"

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
