package contain

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
)

// released is what was let go of one tree, while this process is still its subreaper. A
// process was let go if
//
//   - it was released itself, or was seen below one that was;
//   - it is below one that was let go, by proven parents;
//   - it is in a session or a process group of which, at some look, all members had been let
//     go: both are inherited, so an orphan in it was born of one of them;
//   - it is in the cgroup to which they were moved.
//
// Who was never seen, made a session of its own and lost its parent isn't told apart from the
// tree's own processes: it is ended with the tree.
type released struct {
	known    map[procfs.Identity]bool
	sessions map[int]bool
	groups   map[int]bool
	folder   string // the cgroup; "": they weren't moved
}

func newReleased() *released { return &released{known: map[procfs.Identity]bool{}} }

// any says whether somebody may have been let go. Of those that are known, all may have ended,
// and orphans of theirs live.
func (r *released) any() bool {
	return r != nil && (r.folder != "" || len(r.known)+len(r.sessions)+len(r.groups) > 0)
}

// has says whether a process was let go, without its parents.
func (r *released) has(s procfs.Stat) bool {
	switch {
	case r.known[s.Identity()]:
		return true
	case r.sessions[s.Session] && s.PID != s.Session, r.groups[s.PGID] && s.PID != s.PGID:
		return true // who leads one and isn't known has made it anew
	}
	return r.folder != "" && procfs.Cgroup(s.PID) == r.folder
}

// look finds what descends from this process, and tells who is held from who was let go. The
// caller closes both with [release].
func (r *released) look(self int) (ours, gone []held, children []procfs.Stat, full bool, err error) {
	all, whole, err := snapshot()
	if err != nil {
		return nil, nil, nil, false, err
	}
	found, full := prove(self, all)
	full = full && whole
	for _, s := range all {
		if s.PPID == self {
			children = append(children, s)
		}
	}
	below := map[int]bool{}
	for _, h := range found { // parents come before their children
		if r.has(h.stat) || below[h.stat.PPID] {
			below[h.stat.PID] = true
			r.known[h.stat.Identity()] = true
			gone = append(gone, h)
		} else {
			ours = append(ours, h)
		}
	}
	ended := r.forgetEnded()
	if full {
		// What they forked just before their end may have been missed: the next look sees it.
		sessions, groups := r.sessions, r.groups
		r.sessions = r.onlyTheirs(all, self, r.sessions, func(s procfs.Stat) int { return s.Session })
		r.groups = r.onlyTheirs(all, self, r.groups, func(s procfs.Stat) int { return s.PGID })
		if ended {
			maps.Copy(r.sessions, sessions)
			maps.Copy(r.groups, groups)
		}
	}
	return ours, gone, children, full, nil
}

// forgetEnded forgets those that have ended. One that a look has missed is still there.
func (r *released) forgetEnded() (some bool) {
	for id := range r.known {
		if s, err := procfs.Read(id.PID); err != nil && !exhausted(err) || err == nil && (s.Start != id.Start || s.Zombie()) {
			delete(r.known, id)
			some = true
		}
	}
	return some
}

// onlyTheirs gives the sessions, or the groups, that have no member but those let go, and
// those that were so before: as long as somebody is in one, the kernel gives its number to no
// other.
func (r *released) onlyTheirs(all []procfs.Stat, self int, before map[int]bool, of func(procfs.Stat) int) map[int]bool {
	theirs := map[int]bool{}
	for _, s := range all {
		if n := of(s); r.known[s.Identity()] || before[n] {
			theirs[n] = true
		}
	}
	for _, s := range all {
		n := of(s)
		switch {
		case s.PID == self:
			delete(theirs, n)
		case !theirs[n] || r.known[s.Identity()] || before[n] && s.PID != n || s.Zombie():
		default:
			if now, err := procfs.Read(s.PID); err != nil && !exhausted(err) || err == nil && (now.Start != s.Start || now.Zombie()) {
				continue // it has ended since, before it could be proven
			}
			delete(theirs, n)
		}
	}
	return theirs
}

// pick finds a process that is held, and those below it.
func pick(ours []held, pid int) (below []held) {
	in := map[int]bool{pid: true}
	for _, h := range ours {
		if h.stat.PID == pid || in[h.stat.PPID] {
			in[h.stat.PID] = true
			below = append(below, h)
		}
	}
	if !slices.ContainsFunc(below, func(h held) bool { return h.stat.PID == pid }) {
		return nil
	}
	return below
}

func living(list []held) (s []procfs.Stat) {
	for _, h := range list {
		if !h.stat.Ended() {
			s = append(s, h.stat)
		}
	}
	return s
}

// proven finds who is held: what descends from this process, but for those let go.
func (t subreaper) proven() (found []held, full bool, err error) {
	if !t.released.any() {
		return descendants(t.self)
	}
	ours, gone, _, full, err := t.released.look(t.self)
	release(gone)
	return ours, full, err
}

func (t subreaper) ReleaseProcess(pid int) ([]procfs.Stat, error) {
	return t.letGo(pid, func([]held) error { return nil })
}

// letGo lets go of one process and of those below it, those included that are forked
// meanwhile; move is called with all that were let go of the tree, until it is twice with the same.
func (t subreaper) letGo(pid int, move func([]held) error) ([]procfs.Stat, error) {
	r := t.released
	ours, gone, _, full, err := r.look(t.self)
	defer release(ours)
	release(gone)
	if err == nil && !full {
		err = syscall.EMFILE
	}
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(gone, func(h held) bool { return h.stat.PID == pid }) {
		return nil, fmt.Errorf("process %d was released before", pid)
	}
	picked := pick(ours, pid)
	if len(picked) == 0 {
		return nil, notMember(pid)
	}
	before := map[procfs.Identity]bool{}
	for _, h := range gone {
		before[h.stat.Identity()] = true
	}
	for _, h := range picked {
		r.known[h.stat.Identity()] = true
	}
	var list []procfs.Stat
	for range 100 { // members may fork meanwhile
		seen := len(list)
		rest, gone, _, _, err := r.look(t.self)
		release(rest)
		if err == nil {
			err = move(gone)
		}
		list = slices.DeleteFunc(living(gone), func(s procfs.Stat) bool { return before[s.Identity()] })
		release(gone)
		if err != nil {
			for _, s := range list {
				delete(r.known, s.Identity())
			}
			return nil, err
		}
		if len(list) == seen {
			break
		}
	}
	if len(list) == 0 {
		return nil, notMember(pid) // it has ended
	}
	return list, nil
}

func (t subreaper) Released() []procfs.Stat {
	if !t.released.any() {
		return nil
	}
	ours, gone, _, _, _ := t.released.look(t.self)
	defer release(ours)
	defer release(gone)
	return living(gone)
}

// OnlyReleased is proven by the children of this process: what is held descends from a child
// that is held.
func (t subreaper) OnlyReleased() (bool, error) {
	if !t.released.any() {
		return false, nil
	}
	ours, gone, children, full, err := t.released.look(t.self)
	defer release(ours)
	defer release(gone)
	if err != nil || !full || len(ours) > 0 {
		return false, err
	}
	for _, s := range children {
		if !t.released.known[s.Identity()] {
			return false, nil
		}
	}
	return true, nil
}

// ReleaseProcess moves them to the cgroup above as well, where they would be without foster.
func (t *cgroup) ReleaseProcess(pid int) ([]procfs.Stat, error) {
	folder, list, err := t.moveOut(pid)
	if err == nil {
		t.released.folder = folder
	}
	return list, err
}

// moveOut lets go of them, and gives the cgroup that they are in.
func (t *cgroup) moveOut(pid int) (folder string, list []procfs.Stat, err error) {
	own := procfs.Cgroup(pid)
	moved := map[procfs.Identity]bool{}
	list, err = t.letGo(pid, func(all []held) error {
		for _, h := range all {
			if moved[h.stat.Identity()] || h.stat.Ended() {
				continue
			}
			for _, to := range t.above() {
				err := enter(to, h.stat.PID)
				if err != nil && answers(h.pidfd) {
					return fmt.Errorf("can't be moved out of the cgroup of the tree: %w", err)
				}
			}
			moved[h.stat.Identity()] = true
		}
		return nil
	})
	if err != nil {
		for id := range moved {
			if s, rerr := procfs.Read(id.PID); rerr == nil && s.Start == id.Start {
				for _, back := range append(slices.Clone(t.dir.Groups), t.dir.Path) {
					_ = enter(back, id.PID) // where it was; it is held as a descendant all the same
				}
			}
		}
		return "", nil, err
	}
	if folder = procfs.Cgroup(pid); folder == own {
		folder = ""
	}
	return folder, list, nil
}

// above gives the cgroups above those of the tree.
func (t *cgroup) above() (folders []string) {
	above := filepath.Dir(t.dir.Path)
	leaf := filepath.Join(above, ownLeaf)
	if _, err := os.Stat(leaf); err == nil {
		above = leaf // where it has controllers, it can have no process
	}
	for _, g := range t.dir.Groups {
		folders = append(folders, filepath.Dir(g))
	}
	return append(folders, above)
}

func enter(folder string, pid int) error {
	err := os.WriteFile(filepath.Join(folder, enterFile), []byte(strconv.Itoa(pid)), 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// ReleaseProcess lets go of who is in the cgroup of this tree: others descend from this
// process, too.
func (t *sharedCgroup) ReleaseProcess(pid int) ([]procfs.Stat, error) {
	root, err := os.OpenRoot(t.dir.Path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if !allProcs(root)[pid] {
		return nil, notMember(pid)
	}
	_, list, err := t.moveOut(pid)
	sharedTrees.letGo(list)
	return list, err
}

// OnlyReleased isn't asked: those let go aren't in the cgroup any more.
func (t *sharedCgroup) OnlyReleased() (bool, error) { return false, nil }

func (pidns) ReleaseProcess(int) ([]procfs.Stat, error) { return nil, ErrNotReleasable }

func (pidns) Released() []procfs.Stat { return nil }

func (pidns) OnlyReleased() (bool, error) { return false, nil }

// ReleaseProcess finds one that has left the group, and descends from the leader still. It
// isn't held anyway.
func (g *group) ReleaseProcess(pid int) ([]procfs.Stat, error) {
	s, err := procfs.Read(pid)
	if err != nil {
		return nil, notMember(pid)
	}
	if s.PGID == g.leader {
		return nil, errInGroup(s)
	}
	found, _, err := descendants(g.leader)
	defer release(found)
	if err != nil {
		return nil, err
	}
	list := living(pick(found, pid))
	if len(list) == 0 {
		return nil, notMember(pid)
	}
	for _, s := range list {
		if s.PGID == g.leader {
			return nil, errInGroup(s)
		}
	}
	return list, nil
}

func errInGroup(s procfs.Stat) error {
	return fmt.Errorf("process %d (%s) is in the process group of the tree, which is ended as a whole: start it with setsid, or the tree with --contain subreaper: %w",
		s.PID, s.Comm, errors.ErrUnsupported)
}

func (g *group) Released() []procfs.Stat { return nil }

func (g *group) OnlyReleased() (bool, error) { return false, nil }

func notMember(pid int) error { return fmt.Errorf("process %d is not of this tree", pid) }

// SpareReleased has those spared that were let go of a tree whose shim may be killed: they
// fall to this process then, if it adopts.
func SpareReleased(list []procfs.Identity) {
	adoption.Lock()
	defer adoption.Unlock()
	if !adoption.adopts {
		return
	}
	for _, id := range list {
		adoption.earlier[id] = true
	}
}
