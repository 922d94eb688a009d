package contain

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// remains is what was proven to be left of a lost tree. A handle keeps its proof, also
// when that by which it was found is gone; so handles are held until their process
// has ended.
//
// These are proven, from the journal's facts:
//
//   - a recorded member: its number and its start time are those of the journal, by
//     the line that was read behind a handle;
//   - the members of the tree's cgroup, which is known by its inode;
//   - where this process was the subreaper above its shim, the children that fell to it;
//   - who descends from a proven one, by the same steps as in proof_linux.go;
//   - who shares a session or a process group with a proven one, where a member of the
//     tree has made it: its number is that of a recorded member, which may itself be
//     dead, or it is the session of a recorded member and not that in which the leader
//     was started. (Not so in a cgroup: its members may have been moved into it.)
//     Sessions and groups are inherited, or entered from within. As long as one is in it
//     that was proven, the number can't have been given to another process (the kernel
//     doesn't give it out), so it's still the one that a member of the tree made. A
//     recorded member that is a zombie proves that as well.
//
// Who is in such a session or group beside nobody that is proven may be of the tree, or of
// a stranger that was given the number since: see [remains.unproven]. Whose parent ended
// before it was seen, and who left cgroup, session and group, is found by none of these.
type remains struct {
	lost     Lost
	cgroup   *os.Root // nil: none, or gone
	recorded bool     // the recorded members were looked for
	hidden   bool     // a recorded member may live that /proc doesn't show
	numbers  map[int][]uint64
	sessions map[int]bool // those that members have made, by their numbers
	first    uint64       // when the leader began
	anchors  []held       // recorded members that are zombies
	found    []held
	byPid    map[int]int
	seen     map[procfs.Identity]procfs.Stat
	looks    int                      // of the last scan
	growing  bool                     // the last scan came to its bound, and found others until then
	full     bool                     // handles didn't run out in the last scan
	moved    bool                     // processes ended during the last look
	zombies  map[procfs.Identity]bool // seen in the last look
	others   map[int]bool             // who, by number, is none of them as far as is known: see look
}

func newRemains(l Lost) (*remains, error) {
	switch l.Containment {
	case wire.Group, wire.Subreaper, wire.Cgroup, wire.PIDNS:
	default:
		return nil, fmt.Errorf("containment %d: %w", l.Containment, ErrNotATree)
	}
	// A cgroup is its own proof. Its shim may live, and hold others: the start of this one
	// never came to it, or failed, or else it held the lock.
	if l.Containment != wire.Cgroup {
		if err := awaitShim(l.Shim); err != nil {
			return nil, err
		}
	}
	r := &remains{lost: l, byPid: map[int]int{}, numbers: map[int][]uint64{}, sessions: map[int]bool{}, seen: map[procfs.Identity]procfs.Stat{}, others: map[int]bool{}}
	if l.Containment == wire.PIDNS {
		return r, nil // the kernel ended all with the shim; the members' numbers mean nothing here
	}
	for _, m := range l.Members {
		if m.PID == 1 {
			return nil, ErrInside // above all others
		}
		if m.PID > 1 && m.Start > 0 {
			r.numbers[m.PID] = append(r.numbers[m.PID], m.Start)
		}
		// Anybody may have been moved into a cgroup, from a session of their own.
		if leader := l.Members[0]; l.Containment != wire.Cgroup && leader.SessionKnown() && m.Session != 0 && (m.Session != leader.Session || leader.Session == leader.PID) {
			r.sessions[m.Session] = true
		}
	}
	if len(l.Members) > 0 {
		r.first = l.Members[0].Start
	}
	if l.Containment == wire.Cgroup {
		var err error
		if r.cgroup, err = openLostCgroup(l.CgroupPath, l.CgroupInode); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *remains) close() {
	release(r.found)
	release(r.anchors)
	if r.cgroup != nil {
		r.cgroup.Close()
	}
}

// living lists who hasn't ended.
func (r *remains) living() (list []procfs.Stat) {
	for _, h := range r.found {
		if !h.stat.Zombie() {
			list = append(list, h.stat)
		}
	}
	return list
}

// ended lists who was seen living and isn't any more.
func (r *remains) ended() (list []procfs.Stat) {
	living := map[procfs.Identity]bool{}
	for _, s := range r.living() {
		living[s.Identity()] = true
	}
	for id, s := range r.seen {
		if !living[id] {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b procfs.Stat) int { return a.PID - b.PID })
	return list
}

// empty says that nobody is left, by what the last scan found.
func (r *remains) empty() (bool, error) {
	if len(r.living()) > 0 || !r.full {
		return false, nil
	}
	events, err := r.cgroupEvents()
	if events == nil {
		return err == nil, err
	}
	defer events.Close()
	p, err := populated(events)
	return !p && err == nil, err
}

// refresh reads those again that are held, and lets go of who has ended.
func (r *remains) refresh() {
	before := r.found
	r.found = nil
	clear(r.byPid)
	for _, h := range before {
		now, err := procfs.Read(h.stat.PID)
		switch {
		case exhausted(err):
			r.full = false
			now = h.stat
		case err != nil || now.Start != h.stat.Start || now.Zombie() || !answers(h.pidfd):
			release([]held{h})
			continue
		}
		h.stat = now
		r.add(h)
	}
}

const (
	pfKthread = 0x00200000 // PF_KTHREAD of the kernel's sched.h
	mostSeen  = 1 << 16    // a storm isn't remembered whole
)

func (r *remains) add(h held) {
	r.byPid[h.stat.PID] = len(r.found)
	r.found = append(r.found, h)
	if len(r.seen) < mostSeen {
		r.seen[h.stat.Identity()] = h.stat
	}
}

// try holds a process as it was seen, and adds it where proven says so of the line
// that was read behind the handle.
func (r *remains) try(seen procfs.Stat, proven func(now procfs.Stat) bool) {
	if _, known := r.byPid[seen.PID]; known || seen.Zombie() || seen.Flags&pfKthread != 0 {
		return
	}
	delete(r.others, seen.PID)
	if IsEarlier(seen) {
		return // not the tree's, or released from it
	}
	h, err := hold(seen)
	if exhausted(err) {
		r.full = false
	}
	if err != nil {
		r.moved = true
		return
	}
	if h.stat.Zombie() || h.stat.Flags&pfKthread != 0 || !proven(h.stat) {
		r.moved = true
		release([]held{h})
		return
	}
	r.add(h)
}

func (r *remains) addRecorded() {
	for pid, starts := range r.numbers {
		for _, start := range starts {
			seen := procfs.Stat{PID: pid, Start: start, State: '?'}
			r.try(seen, func(procfs.Stat) bool { return true })
			if _, lives := r.byPid[pid]; !lives {
				r.addAnchor(seen)
			}
		}
	}
}

// addAnchor holds a recorded member that is a zombie: its number is its own until it is
// reaped.
func (r *remains) addAnchor(seen procfs.Stat) {
	h, err := hold(seen)
	switch {
	case err == nil && h.stat.Zombie():
		r.anchors = append(r.anchors, h)
	case err == nil:
		release([]held{h})
	case isGone(err) && errors.Is(sys.Kill(seen.PID, 0), unix.EPERM):
		_, err := procfs.Read(seen.PID)
		r.hidden = r.hidden || isGone(err)
	}
}

// addAdopted adds the children of this process that have fallen to it with their shim.
func (r *remains) addAdopted(snapshot []procfs.Stat) {
	if r.lost.Adopted == nil {
		return
	}
	self := os.Getpid()
	for _, s := range snapshot {
		if s.PPID != self || IsEarlier(s) {
			continue
		}
		r.try(s, func(now procfs.Stat) bool {
			return now.PPID == self && !r.lost.Adopted(now.PID) && !inOwnCgroup(now.PID)
		})
	}
}

// addBelow adds who descends from those that are held, from the top down: the list
// grows while it's gone through.
func (r *remains) addBelow(snapshot []procfs.Stat) {
	children := map[int][]procfs.Stat{}
	for _, s := range snapshot {
		children[s.PPID] = append(children[s.PPID], s)
	}
	for i := 0; i < len(r.found); i++ {
		parent := r.found[i]
		for _, s := range children[parent.stat.PID] {
			r.try(s, func(now procfs.Stat) bool {
				return now.PPID == parent.stat.PID && answers(parent.pidfd)
			})
		}
	}
}

// addSharing adds who is in a session or a group of the tree's own.
func (r *remains) addSharing(snapshot []procfs.Stat) {
	for _, share := range shares {
		witnesses := r.witnesses(snapshot, share)
		for _, s := range snapshot {
			n := share.of(s)
			w, ok := witnesses[n]
			if since, own := share.since(r, n); !ok || !own || s.Start < since {
				continue // who is older than the one that made it can't be of the tree
			}
			r.try(s, func(now procfs.Stat) bool {
				// The witness is read last: it was there before and after, so the
				// number was that of one session or group all the while.
				then, err := procfs.Read(w.stat.PID)
				return share.of(now) == n && err == nil && share.of(then) == n &&
					then.Start == w.stat.Start && answers(w.pidfd)
			})
		}
	}
}

// known are those by which others can be proven: see witnesses.
func (r *remains) known() map[procfs.Identity]bool {
	those := map[procfs.Identity]bool{}
	for _, share := range shares {
		for _, h := range r.witnesses(nil, share) {
			those[h.stat.Identity()] = true
		}
	}
	return those
}

// share is what processes of a tree have in common: a session or a process group. since
// says whether a member of the tree has made the one of that number, and since when there
// can be somebody of the tree in it.
type share struct {
	of    func(procfs.Stat) int
	since func(*remains, int) (uint64, bool)
}

var shares = []share{
	{func(s procfs.Stat) int { return s.Session }, func(r *remains, n int) (uint64, bool) {
		if r.sessions[n] && len(r.numbers[n]) == 0 {
			return r.first, true
		}
		return r.began(n)
	}},
	{func(s procfs.Stat) int { return s.PGID }, (*remains).began},
}

// began is when the recorded member of a number began, the first where there were more.
func (r *remains) began(n int) (uint64, bool) {
	starts := r.numbers[n]
	if len(starts) == 0 {
		return 0, false
	}
	return slices.Min(starts), true
}

// witnesses gives one proven process for each session or group of the tree's own.
func (r *remains) witnesses(snapshot []procfs.Stat, share share) map[int]held {
	found := map[int]held{}
	for _, h := range slices.Concat(r.found, r.anchors) {
		n := share.of(h.stat)
		_, known := found[n]
		if _, own := share.since(r, n); known || !own || !answers(h.pidfd) {
			continue
		}
		found[n] = h // the first: who came later, in a storm, goes sooner
	}
	for _, s := range snapshot {
		if starts, recorded := r.numbers[s.PID]; recorded && !slices.Contains(starts, s.Start) {
			delete(found, s.PID) // the number is another's
		}
	}
	return found
}
