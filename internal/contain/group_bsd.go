//go:build darwin || freebsd

package contain

import (
	"syscall"
	"time"

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

// deniesSignals says whether this process may not signal another, as it was seen.
func deniesSignals(seen procfs.Stat) bool {
	return sys.Kill(seen.PID, 0) == syscall.EPERM // no signal is sent
}

// awaitExitFor waits until a process has ended, or for as long as that.
func awaitExitFor(pid int, wait time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- sys.AwaitExit(pid) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(wait):
		return nil
	}
}

func (g *group) ReleaseProcess(int) ([]procfs.Stat, error) {
	return nil, notHere("release of one process")
}

func (g *group) Released() []procfs.Stat { return nil }

func (g *group) OnlyReleased() (bool, error) { return false, nil }

func SpareReleased([]procfs.Identity) {}
