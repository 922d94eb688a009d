package contain

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// rounds bounds how often the children are looked at before all of /proc is again.
const rounds = 64

// killChildren kills the children of this process but those that spare names (nil: none),
// and whoever becomes its child by that, until all have ended that it killed. A storm, in
// which one process forks the next and ends, moves on faster than all of /proc can be read,
// the more so on a busy host; but each of its processes is for a moment a child of the
// subreaper above it. The kernel has lists of children, and waitid(2) is the proof of each.
// Whoever is missed here, /proc shows.
func killChildren(spare func(pid int) bool) (sent Sent) {
	threads, err := procfs.OpenThreads()
	if err != nil {
		return sent
	}
	defer threads.Close()
	k := childKiller{spare: spare, met: map[int]bool{}}
	for range rounds {
		pids, err := threads.Children()
		if err != nil || !k.round(pids) {
			break
		}
	}
	return k.sent
}

// childKiller is one killChildren under way.
type childKiller struct {
	spare func(pid int) bool
	met   map[int]bool // children by number, and whether their end is awaited
	sent  Sent
}

// round kills the children that it hasn't met, and says whether another round may find more.
func (k *childKiller) round(pids []int) (more bool) {
	var fresh []int
	for _, pid := range pids {
		awaited, met := k.met[pid]
		switch {
		case met && awaited:
			k.met[pid] = sys.IsLivingChild(pid)
			more = more || k.met[pid]
		case !met:
			k.met[pid] = false
			if k.spare == nil || !k.spare(pid) {
				fresh = append(fresh, pid)
			}
		}
	}
	for _, pid := range fresh {
		more = k.kill(pid) || more
	}
	return more
}

// kill kills one, and then takes note of who it was: that takes as long as to fork.
func (k *childKiller) kill(pid int) bool {
	fd, ok := livingChild(pid)
	if !ok {
		return false
	}
	defer sys.Close(fd)
	err := sys.PidfdSignal(fd, syscall.SIGKILL)
	stat, rerr := procfs.Read(pid)
	if rerr != nil {
		return false // it can't be reaped yet, so the reason is another: /proc will show it
	}
	switch err {
	case nil:
		k.sent.Reached = append(k.sent.Reached, stat)
	case unix.EPERM:
		k.sent.Denied = append(k.sent.Denied, stat)
	}
	k.met[pid] = err == nil
	return err == nil
}
