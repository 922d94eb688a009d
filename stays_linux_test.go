package foster_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/proc"
)

// TestASharedShimKeepsNothingOfTreesThatEnded counts what is there after many starts and ends:
// memory, threads and open files of the shim.
func TestASharedShimKeepsNothingOfTreesThatEnded(t *testing.T) {
	tree := shared(t, 1, "block", "block")[0]
	shim := shimOf(t, tree)
	look := func() (rss uint64, threads, files int) {
		p, err := proc.Read(shim, 0)
		if err != nil {
			t.Fatal(err)
		}
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", shim)) // the pattern is valid
		return p.Resident, p.Threads, len(open)
	}
	run := func(times int) {
		for n := range times {
			cmd := foster.Command("true")
			cmd.Containment, cmd.Notify = foster.Cgroup, n%2 == 0
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _, idle := look()
	run(500) // until the runtime has what it needs
	rss, threads, _ := look()
	run(1000)
	more, now, _ := look()
	if more > rss+rss/10+2<<20 || now > threads+4 { // the tenth is for the race detector, whose own memory is three times the shim's
		t.Errorf("%d KiB and %d threads became %d KiB and %d", rss>>10, threads, more>>10, now)
	}
	leaktest.Eventually(t, "as many files are open as before", func() bool {
		_, _, files := look()
		return files <= idle+1 // the runtime's own
	})
	stop(t, tree)
}
