package main

import (
	"os"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
)

// A group loses what leaves it, and foster run is the subreaper above it: so it can
// at least reap and name who was lost.

// fallen lists what descends from foster and from none of its shims, nor of the
// children that it was given by exec.
func fallen() (orphans []procfs.Stat) {
	all, err := procfs.Snapshot()
	if err != nil {
		return nil // without /proc there is no subreaper either
	}
	below := map[int]bool{}
	for _, s := range procfs.Below(all, os.Getpid()) {
		if shim.IsShim(s.PID) || contain.IsEarlier(s) || below[s.PPID] {
			below[s.PID] = true
			continue
		}
		orphans = append(orphans, s)
	}
	return orphans
}

// reapOrphans reaps the zombies among those that a group has lost, and gives those who
// live outside of it: who is in it is held, and named as a survivor.
func (r *runner) reapOrphans() (living []foster.Process) {
	if r.tree.Containment() != foster.Group {
		return nil
	}
	for _, s := range fallen() {
		switch {
		case !s.Zombie() && s.PGID != r.tree.Leader():
			living = append(living, foster.Process{PID: s.PID, Name: s.Comm})
		case s.Zombie() && s.PPID == os.Getpid():
			_, _ = sys.WaitPid(s.PID) // it was reaped meanwhile: as wanted
		}
	}
	return living
}
