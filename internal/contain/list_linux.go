package contain

import (
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// List lists the members of a tree, zombies included, as the owner's side sees
// them: the descendants of the shim, or the leader's group, or, where the shim holds
// other trees as well, who is in the cgroup of this one, without zombies. It is for
// reading, not for signalling: it proves nothing.
func List(level wire.Containment, shim, leader int, shared string) ([]procfs.Stat, error) {
	if shared != "" {
		return (&Cgroup{Path: shared}).members()
	}
	all, err := procfs.Snapshot()
	if err != nil {
		return nil, err
	}
	if level != wire.Group {
		return procfs.Below(all, shim), nil
	}
	var members []procfs.Stat
	for _, s := range all {
		if s.PGID == leader {
			members = append(members, s)
		}
	}
	return members, nil
}
