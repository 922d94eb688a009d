package contain

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

var adopts atomic.Bool

// Adopt makes this process the subreaper above its shims, so that the tree of a
// shim that is killed falls to it. It is for a program whose only children are
// shims: whoever else falls to it is ended with such a tree.
func Adopt() error {
	if err := sys.BecomeSubreaper(); err != nil {
		return err
	}
	adopts.Store(true)
	return nil
}

// Adopts says whether Adopt was called.
func Adopts() bool { return adopts.Load() }

// EmptyAdopted ends and reaps all that descends from this process but the shims,
// which spare names, and what is below them. It returns who is left when the time
// is over, or when nobody is left whom this process may signal.
func EmptyAdopted(bound time.Duration, spare func(pid int) bool) (ended int, left []procfs.Stat, err error) {
	self := os.Getpid()
	over := time.After(bound)
	killed := map[int]bool{}
	for {
		found, _, err := descendants(self)
		if err != nil {
			return len(killed), nil, err
		}
		orphans := notBelow(found, spare)
		sent := signal(orphans, syscall.SIGKILL, nil)
		release(found)
		for _, s := range sent.Reached {
			killed[s.PID] = true
		}
		zombies, err := reapAdopted(self, spare)
		if err != nil {
			return len(killed), nil, err
		}
		if len(orphans) == 0 && zombies == 0 {
			return len(killed), nil, nil
		}
		if len(sent.Reached) == 0 && len(sent.Denied) > 0 {
			return len(killed), sent.Denied, nil
		}
		if zombies > 0 {
			continue // who was below is a child now
		}
		pending := sent.Reached
		if len(pending) == 0 { // they're about to end, and keep their children until then
			for _, h := range orphans {
				pending = append(pending, h.stat)
			}
		}
		gone := make(chan struct{})
		go func() {
			_ = sys.AwaitExit(pending[0].PID) // whatever it is, it's looked at again
			close(gone)
		}()
		select {
		case <-gone:
		case <-over:
			return len(killed), pending, nil
		}
	}
}

// notBelow leaves out those that spare names and all that descends from them; the
// list has parents before children.
func notBelow(found []held, spare func(pid int) bool) (rest []held) {
	spared := map[int]bool{}
	for _, h := range found {
		if spare(h.stat.PID) || spared[h.stat.PPID] {
			spared[h.stat.PID] = true
			continue
		}
		rest = append(rest, h)
	}
	return rest
}

// reapAdopted reaps the zombies among the children of this process that aren't
// shims.
func reapAdopted(self int, spare func(pid int) bool) (reaped int, err error) {
	all, err := procfs.Snapshot()
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if s.PPID != self || s.State != 'Z' || spare(s.PID) {
			continue
		}
		if w, err := sys.WaitPid(s.PID); err == nil && w.PID == s.PID {
			reaped++
		}
	}
	return reaped, nil
}
