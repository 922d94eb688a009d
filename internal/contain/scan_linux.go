package contain

import (
	"os"

	"github.com/foster-init/foster/internal/procfs"
)

// scan looks for who is left, until a look at all of /proc was complete and found nobody
// more. What act does with who was found, between two looks, says whether anybody was new;
// nil: nothing is done.
//
// Lines of processes may outrun a look, each forking the next and ending: then the next
// is not in the list, and who forked it is gone, or a zombie, when its line is read. So
// a look in which somebody has ended isn't taken for complete. The looks behind it are
// short ones, which can keep up with the lines, until nobody more turns up.
func (r *remains) scan(act func() bool) error {
	r.full = true
	r.refresh()
	spared, err := above()
	if err != nil {
		return err
	}
	if !r.recorded {
		r.recorded = true
		r.addRecorded()
	}
	all, most, quiet := true, r.mostLooks(), 0
	for r.looks = 0; r.looks < most; r.looks++ {
		before := len(r.seen)
		more, err := r.glance(all, spared)
		if err != nil {
			return err
		}
		if quiet++; len(r.seen) > before {
			quiet = 0
		}
		if act != nil && act() {
			more = true
		}
		if all && !more {
			break
		}
		all = !more || r.looks == most-2
	}
	r.growing = r.looks == most && quiet < most/2
	return nil
}

// glance is one look, and says whether another may find more. Nobody of those who are spared
// may be found.
func (r *remains) glance(all bool, spared map[int]bool) (more bool, err error) {
	before := len(r.found)
	r.moved = false
	r.addCgroup()
	if r.lost.InCgroup {
		return len(r.found) > before, nil
	}
	snapshot, err := r.look(all)
	if err != nil {
		return false, err
	}
	r.addAdopted(snapshot)
	r.addBelow(snapshot)
	r.addSharing(snapshot)
	for _, h := range r.found {
		if spared[h.stat.PID] {
			return false, ErrInside
		}
	}
	return len(r.found) > before || r.moved, nil
}

// mostLooks bounds the looks of one scan: of a storm, the rest is found by the next. On a
// host where somebody ends all the time, each scan comes to this bound. What is in a
// cgroup, the kernel lists, tells of and ends by itself, so there it's only about who has
// left it, and a few looks are enough.
func (r *remains) mostLooks() int {
	if r.cgroup != nil {
		return 4
	}
	return 64
}

// look reads all processes, and notes whether one has ended meanwhile. Where not all are
// asked for, it leaves out those that were read before and had nothing to do with the tree.
func (r *remains) look(all bool) ([]procfs.Stat, error) {
	pids, err := procfs.Pids()
	if err != nil {
		return nil, err
	}
	if all {
		clear(r.others)
	}
	zombies := map[procfs.Identity]bool{}
	read := make([]procfs.Stat, 0, len(pids))
	for _, pid := range pids {
		if r.others[pid] {
			continue
		}
		s, err := procfs.Read(pid)
		switch {
		case isGone(err):
			r.moved = true
		case exhausted(err):
			r.full = false
		case err == nil && s.Ended():
			zombies[s.Identity()] = true
			r.moved = r.moved || !r.zombies[s.Identity()]
		}
		if err != nil {
			continue
		}
		read = append(read, s)
		if _, recorded := r.numbers[pid]; !recorded && !s.Ended() {
			r.others[pid] = true // until it's tried
		}
	}
	r.zombies = zombies
	return read, nil
}

// above gives this process and those above it, which are never ended, as far as /proc
// shows them.
func above() (map[int]bool, error) {
	self := os.Getpid()
	s, err := procfs.Read(self)
	if err != nil {
		return nil, err
	}
	pids := map[int]bool{1: true, self: true}
	for s.PPID > 1 && !pids[s.PPID] {
		pids[s.PPID] = true
		if s, err = procfs.Read(s.PPID); err != nil {
			break // it has ended, or is another user's and hidden
		}
	}
	return pids, nil
}
