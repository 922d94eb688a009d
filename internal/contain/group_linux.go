package contain

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// dieWithParent has the kernel end the leader when the shim is killed. That is
// tied to the thread that forks (prctl(2), PR_SET_PDEATHSIG), which in a shim is
// the main thread, and lives as long as the shim.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

func groupMembers(pgid int) ([]procfs.Stat, error) {
	all, err := procfs.Snapshot()
	if err != nil {
		return nil, err
	}
	var members []procfs.Stat
	for _, s := range all {
		if s.PGID == pgid && !s.Zombie() {
			members = append(members, s)
		}
	}
	return members, nil
}

// deniesSignals says whether this process may not signal another, as it was seen.
func deniesSignals(seen procfs.Stat) bool {
	h, err := hold(seen)
	if err != nil {
		return false // it has ended; or there are no handles left, and the next look tells
	}
	defer sys.Close(h.pidfd)
	return sys.PidfdSignal(h.pidfd, 0) == unix.EPERM
}

// awaitExitFor waits until a process has ended, or for as long as that.
func awaitExitFor(pid int, wait time.Duration) error {
	fd, err := sys.PidfdOpen(pid)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return err
	}
	defer sys.Close(fd)
	return sys.PollAny([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, wait)
}

// GroupNow gives the leader of a group whose shim was killed a moment ago, and who is in the
// group. The leader, whose number is the group's, may have been reaped since by who adopted
// it; so if that number is another process's by now, the group is not ours, and ours is empty.
func GroupNow(leader int, start uint64) ([]wire.Member, error) {
	members, err := groupMembers(leader)
	if err != nil {
		return nil, err
	}
	ours := []wire.Member{{PID: leader, Start: start}}
	for _, m := range members {
		if m.PID == leader && m.Start != start || m.Start < start {
			return ours, nil
		}
	}
	for _, m := range members {
		if m.PID != leader {
			ours = append(ours, wire.Member{PID: m.PID, Start: m.Start, Name: m.Comm})
		}
	}
	return ours, nil
}
