package contain

import (
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// Table is one look at the process table, taken when it is first needed, in which the
// members of any number of trees are found. It is for reading, not for signalling: it
// proves nothing.
type Table struct{ index *procfs.Index }

// List lists the members of a tree, zombies included, as the owner's side sees
// them: the descendants of the shim, or the leader's group, or, where the shim holds
// other trees as well, who is in the cgroup of this one, without zombies.
func (t *Table) List(level wire.Containment, shim, leader int, shared string) ([]procfs.Stat, error) {
	if shared != "" {
		return (&Cgroup{Path: shared}).members()
	}
	if t.index == nil {
		all, err := procfs.Snapshot()
		if err != nil {
			return nil, err
		}
		t.index = procfs.NewIndex(all)
	}
	if level != wire.Group {
		return t.index.Below(shim), nil
	}
	var members []procfs.Stat
	for _, s := range t.index.Snapshot {
		if s.PGID == leader {
			members = append(members, s)
		}
	}
	return members, nil
}

// Outside finds the processes of a PID namespace, of which shim is the first, by the
// numbers that they have inside.
func (t *Table) Outside(shim int) map[int]procfs.Stat {
	depth := len(nsPids(shim))
	members, err := t.List(wire.PIDNS, shim, 0, "")
	if depth == 0 || err != nil {
		return nil
	}
	outside := map[int]procfs.Stat{}
	for _, s := range members {
		if pids := nsPids(s.PID); len(pids) >= depth {
			outside[pids[depth-1]] = s
		}
	}
	return outside
}

// nsPids is the numbers of a process, from this namespace down to its own.
func nsPids(pid int) []int {
	s, _ := procfs.ReadStatus(pid) // it has ended: none
	return s.NSPids
}
