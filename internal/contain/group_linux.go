package contain

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
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

// KillLostGroup ends a group whose shim was killed. It returns whom it has ended, and who
// is left when the time is over, or at once if they all deny it. The leader, whose number is the group's, may have been reaped since by
// who adopted it; so if that number is another process's by now, the group is not ours,
// and ours is empty.
func KillLostGroup(leader int, start uint64, bound time.Duration) (killed, left []procfs.Stat, err error) {
	deadline := time.Now().Add(bound)
	seen := map[procfs.Identity]bool{}
	for {
		members, err := groupMembers(leader)
		if err != nil || len(members) == 0 {
			return killed, nil, err
		}
		for _, m := range members {
			if m.PID == leader && m.Start != start || m.Start < start {
				return killed, nil, nil
			}
		}
		sent, err := (&group{leader}).send(syscall.SIGKILL, members)
		if err != nil {
			return killed, nil, err
		}
		for _, m := range sent.Reached {
			if !seen[m.Identity()] {
				seen[m.Identity()] = true
				killed = append(killed, m)
			}
		}
		wait := time.Until(deadline)
		if wait <= 0 || len(sent.Reached) == 0 && len(sent.Denied) > 0 {
			return endedOf(killed, members), members, nil
		}
		if err := awaitExitFor(members[0].PID, wait); err != nil {
			return killed, nil, err
		}
	}
}
