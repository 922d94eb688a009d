package contain

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// held is a process that was proven to descend from this one. The handle keeps
// the proof: it can mean no other process.
type held struct {
	stat  procfs.Stat
	pidfd int
}

// descendants finds the processes that descend from this process and proves each.
// A snapshot of /proc only says where to look: it isn't one moment, and a number
// in it may since have been given to a stranger. So, from the top down:
//
//   - a handle is opened on the process, and its line is read again behind it;
//   - it is a child of this process, which is there and can't have been replaced,
//     or of a process proven before;
//   - the handle still answers, so the line was this process's, and so does the
//     parent's, so the number in the line was that parent's.
//
// A process that can't be proven, since its parent ended meanwhile, will be found
// as a child of this process by the next call: this process is a subreaper.
//
// Where handles run out, what was proven is returned with full set to false.
// The caller closes with [release].
func descendants(self int) (found []held, full bool, err error) {
	all, whole, err := snapshot()
	if err != nil {
		return nil, false, err
	}
	found, full = prove(self, all)
	return found, full && whole, nil
}

// snapshot is procfs.Snapshot, and says whether handles have sufficed to read all.
func snapshot() (all []procfs.Stat, full bool, err error) {
	pids, err := procfs.Pids()
	if err != nil {
		return nil, false, err
	}
	all, full = make([]procfs.Stat, 0, len(pids)), true
	for _, pid := range pids {
		s, err := procfs.Read(pid)
		if err == nil {
			all = append(all, s)
		} else if exhausted(err) {
			full = false
		}
	}
	return all, full, nil
}

// prove picks out of a snapshot what is proven.
func prove(self int, snapshot []procfs.Stat) (found []held, full bool) {
	byPid := map[int]int{}
	for _, s := range procfs.Below(snapshot, self) {
		if s.Zombie() {
			continue // nothing descends from it any more
		}
		h, err := hold(s)
		if exhausted(err) {
			return found, false
		}
		if err != nil {
			continue // it has ended, or is another
		}
		parent, known := byPid[s.PPID]
		if h.stat.PPID != self && !(known && h.stat.PPID == s.PPID && answers(found[parent].pidfd)) {
			sys.Close(h.pidfd)
			continue
		}
		byPid[s.PID] = len(found)
		found = append(found, h)
	}
	return found, true
}

// hold opens a handle on a process, and reads its line behind it. It's an error where
// the number is another's than that of who was seen with it.
func hold(seen procfs.Stat) (held, error) {
	fd, err := sys.PidfdOpen(seen.PID)
	if err != nil {
		return held{}, err
	}
	now, err := procfs.Read(seen.PID)
	if err == nil && (now.Start != seen.Start || !answers(fd)) {
		err = unix.ESRCH
	}
	if err != nil {
		sys.Close(fd)
		return held{}, err
	}
	return held{now, fd}, nil
}

// child proves, by the same steps, that a process is a living child of this one.
// If it isn't, what was read of it comes back without a handle.
func child(self, pid int) (held, bool) {
	fd, err := sys.PidfdOpen(pid)
	if err != nil {
		return held{}, false // it has ended, or there are no handles left
	}
	s, err := procfs.Read(pid)
	if err == nil && s.PPID == self && !s.Ended() && answers(fd) {
		return held{s, fd}, true
	}
	sys.Close(fd)
	return held{stat: s}, false
}

// livingChild proves by waitid(2) that a process is a living child of this one, and gives
// a handle on it. Should it have been reaped in between and its number be another child's,
// the handle is of one that has ended.
func livingChild(pid int) (pidfd int, ok bool) {
	fd, err := sys.PidfdOpen(pid)
	if err != nil {
		return -1, false // it has ended, or there are no handles left
	}
	if !sys.IsLivingChild(pid) {
		sys.Close(fd)
		return -1, false
	}
	return fd, true
}

// exhausted says that handles or memory have run out.
func exhausted(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// answers says whether the process behind a handle wasn't reaped yet: until then
// its number is its own.
func answers(pidfd int) bool {
	return sys.PidfdSignal(pidfd, 0) != unix.ESRCH
}

func release(found []held) {
	for _, h := range found {
		sys.Close(h.pidfd)
	}
}

// signal signals those that pick wants (nil: all).
func signal(found []held, sig syscall.Signal, pick func(procfs.Stat) bool) (sent Sent) {
	for _, h := range found {
		if h.stat.Ended() || pick != nil && !pick(h.stat) {
			continue
		}
		switch sys.PidfdSignal(h.pidfd, sig) {
		case nil:
			sent.Reached = append(sent.Reached, h.stat)
		case unix.EPERM:
			sent.Denied = append(sent.Denied, h.stat)
		}
	}
	return sent
}
