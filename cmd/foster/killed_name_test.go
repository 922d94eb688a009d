package main

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/leaktest"
)

// A foster that was killed may take a moment to end. Whoever starts another of its name then
// waits for the end of what its shim stops.
func TestRunWaitsForTheNameOfAKilledFoster(t *testing.T) {
	hosttest.NeedFreezer(t)
	leaktest.Check(t)
	for _, policy := range []string{"continue", "stop"} {
		t.Run(policy, func(t *testing.T) {
			first := start(t, "--id", "named", "--on-leader-loss", policy, "--stop-timeout", "1s", "--", "sh", "-c",
				`trap '' TERM; sh -c 'trap "" TERM; echo up $$; while :; do sleep 0.1; done' & wait`)
			rest := first.out.pid(`^up (\d+)$`)
			tree := inspected(t, "named")
			thaw := hosttest.Freeze(t, tree.Owner.PID) // it doesn't end before it is thawed
			for _, pid := range []int{tree.Owner.PID, tree.Leader.PID} {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			thawing := time.AfterFunc(300*time.Millisecond, thaw)
			defer thawing.Stop()
			second := begin(t, "foster", "run", "--id", "named", "--", "sh", "-c",
				fmt.Sprintf("kill -0 %d 2>/dev/null && echo two of them; echo second", rest))
			second.err.next(`^foster: named: its foster was killed, and its shim is stopping it: waiting for its end$`)
			if got := second.out.rest(); !slices.Equal(got, []string{"second"}) {
				t.Errorf("it says %q", got)
			}
			second.ends(0)
			_ = first.cmd.Wait()
			leaktest.ReapOrphans(t)
		})
	}
	forgotten(t)
}
