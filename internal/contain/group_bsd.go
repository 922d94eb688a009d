//go:build darwin || freebsd

package contain

import (
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// dieWithParent does nothing: these systems have no such signal, so a shim that
// is killed leaves the group to the owner's side.
func dieWithParent(*syscall.SysProcAttr) {}

func groupMembers(pgid int) ([]procfs.Stat, error) {
	pids, err := sys.GroupMembers(pgid)
	if err != nil {
		return nil, err
	}
	members := make([]procfs.Stat, len(pids))
	for i, pid := range pids {
		members[i] = procfs.Stat{PID: pid, PGID: pgid}
	}
	return members, nil
}
