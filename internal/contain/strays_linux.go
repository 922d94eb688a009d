package contain

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
)

// A stray is a process that somebody with the right to do so has moved out of the cgroup of
// its tree, one of several of this process. It still descends from this process, which is
// proven as in proof_linux.go; whose it is, other facts tell:
//
//   - it is the leader of a tree, or was seen in the cgroup of one;
//   - its parent is a member, or a stray, of a tree;
//   - its process group or session is that which the leader of a tree has made;
//   - only one tree is left.
//
// Who can't be told apart by these is nobody's until the last tree is left, and is ended with
// that. Who was released is in no tree's cgroup either, and may have had children since that
// lost their parent: so from then on only the first two of these facts count.

// treeTable has the trees of this process, each in a cgroup, and what was read of /proc to find
// strays.
type treeTable struct {
	mu    sync.Mutex
	trees map[string]*sharedCgroup // by the names of their folders
	gone  map[procfs.Identity]bool // were released, or seen below such a one; nil: nobody was
	read  map[int]readOnce         // by number, since a moment ago
	since time.Time
}

// readOnce is a process as it was read, and the folder of its tree; "": none.
type readOnce struct {
	procfs.Stat
	tree string
}

var sharedTrees = treeTable{trees: map[string]*sharedCgroup{}, read: map[int]readOnce{}}

// readFor is how long what was read of a process counts. A number isn't another's so soon;
// and who is taken for another by that is found a moment later.
const readFor = time.Second

func (h *treeTable) add(t *sharedCgroup, leader int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.leader, _ = procfs.Read(leader)
	h.trees[t.name()] = t
}

func (h *treeTable) remove(t *sharedCgroup) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.trees, t.name())
}

// letGo takes note of who is released.
func (h *treeTable) letGo(list []procfs.Stat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone == nil {
		h.gone = map[procfs.Identity]bool{}
	}
	for _, s := range list {
		h.gone[s.Identity()] = true
	}
}

// forgetGone forgets those that have ended.
func (h *treeTable) forgetGone() {
	for id := range h.gone {
		if s, err := procfs.Read(id.PID); err != nil && !exhausted(err) || err == nil && s.Start != id.Start {
			delete(h.gone, id)
		}
	}
}

// look holds the living strays of a tree, and takes note of them.
func (h *treeTable) look(t *sharedCgroup) (found []held, full bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was, suspects, err := h.suspects(t)
	if err != nil || len(suspects) == 0 {
		t.strays = nil
		return nil, true, err
	}
	proven, full := prove(os.Getpid(), suspects)
	// Who can't be proven has ended, or was orphaned meanwhile: then it is looked at again.
	for _, s := range suspects {
		if h.read[s.PID].tree == "" && !slices.ContainsFunc(proven, func(p held) bool { return p.stat.PID == s.PID }) {
			now, err := procfs.Read(s.PID)
			full = full && (err != nil && !exhausted(err) || err == nil && now.Zombie())
		}
	}
	h.forgetGone()
	owner, gone := map[int]*sharedCgroup{}, map[int]bool{}
	t.strays = map[procfs.Identity]procfs.Stat{}
	for _, p := range proven {
		if id := p.stat.Identity(); h.gone[id] || gone[p.stat.PPID] {
			h.gone[id], gone[p.stat.PID] = true, true
			release([]held{p})
			continue
		}
		in := h.trees[h.folder(p.stat.PID)]
		if in == nil {
			if in = h.owner(p.stat, owner); in == nil && was[p.stat.Identity()] {
				in = t
			}
			if in == t && !p.stat.Ended() && answers(p.pidfd) {
				t.strays[p.stat.Identity()] = p.stat
				found = append(found, p)
				owner[p.stat.PID] = t
				continue
			}
		}
		owner[p.stat.PID] = in
		release([]held{p})
	}
	return found, full, nil
}

// suspects reads who is new in /proc, and gives those below this process that are in no
// tree's cgroup, with those between; and who was known to be of this tree.
func (h *treeTable) suspects(t *sharedCgroup) (was map[procfs.Identity]bool, list []procfs.Stat, err error) {
	if time.Since(h.since) > readFor {
		clear(h.read)
		h.since = time.Now()
	}
	was = map[procfs.Identity]bool{}
	for id := range t.strays {
		was[id] = true
	}
	for pid, s := range h.read {
		if s.tree == t.name() {
			was[s.Identity()] = true
			delete(h.read, pid)
		}
	}
	pids, err := procfs.Pids()
	if err != nil {
		return nil, nil, err
	}
	all, present := make([]procfs.Stat, 0, len(pids)), map[int]bool{0: true}
	for _, pid := range pids {
		s, known := h.read[pid]
		if !known {
			if s.Stat, err = procfs.Read(pid); err != nil {
				continue
			}
			h.read[pid] = s
		}
		all, present[pid] = append(all, s.Stat), true
	}
	for i, s := range all {
		if present[s.PPID] {
			continue
		}
		if now, err := procfs.Read(s.PID); err == nil { // its parent has ended since
			all[i], h.read[s.PID] = now, readOnce{now, h.read[s.PID].tree}
		}
	}
	above := map[int]bool{}
	below := procfs.Below(all, os.Getpid())
	for _, s := range below {
		one := h.read[s.PID]
		if one.tree == "" {
			one.tree = h.folder(s.PID)
		}
		if one.tree != "" {
			h.read[s.PID] = one
			continue
		}
		// Its parent may be another by now.
		delete(h.read, s.PID)
		if now, err := procfs.Read(s.PID); err == nil && !now.Zombie() {
			list = append(list, now)
			above[now.PPID] = true
		}
	}
	for i := len(below) - 1; i >= 0 && len(list) > 0; i-- {
		if s := below[i]; above[s.PID] && h.read[s.PID].tree != "" {
			above[s.PPID] = true
			list = append(list, s)
		}
	}
	return was, list, nil
}

// folder is the name of the folder of the tree in whose cgroup a process is.
func (h *treeTable) folder(pid int) string {
	for part := range strings.SplitSeq(strings.TrimSuffix(procfs.Cgroup(pid), " (deleted)"), "/") {
		if h.trees[part] != nil {
			return part
		}
	}
	return ""
}

// owner says whose a process is that is in no tree's cgroup; nil: that isn't known.
func (h *treeTable) owner(s procfs.Stat, owner map[int]*sharedCgroup) *sharedCgroup {
	if t := owner[s.PPID]; t != nil {
		return t
	}
	var only *sharedCgroup
	for _, t := range h.trees {
		if _, own := t.strays[s.Identity()]; own || s.Identity() == t.leader.Identity() || h.gone == nil && t.made(s) {
			return t
		}
		only = t
	}
	if len(h.trees) == 1 && h.gone == nil {
		return only
	}
	return nil
}

// made says whether the leader has made the process group or the session that somebody is in:
// its number is the leader's, and no other process has that by now.
func (t *sharedCgroup) made(s procfs.Stat) bool {
	if n := t.leader.PID; n == 0 || s.PGID != n && s.Session != n || s.Start < t.leader.Start {
		return false
	}
	now, err := procfs.Read(t.leader.PID)
	return err != nil && !exhausted(err) || err == nil && now.Start == t.leader.Start
}

// signalStrays signals the strays of the tree.
func (t *sharedCgroup) signalStrays(sig syscall.Signal, pick func(procfs.Stat) bool) (Sent, error) {
	found, full, err := sharedTrees.look(t)
	defer release(found)
	sent := signal(found, sig, pick)
	if err == nil && !full {
		err = syscall.EMFILE
	}
	return sent, err
}

// hasStrays says whether a stray of the tree lives.
func (t *sharedCgroup) hasStrays() (bool, error) {
	found, full, err := sharedTrees.look(t)
	release(found)
	if err == nil && !full {
		err = syscall.EMFILE
	}
	return len(found) > 0, err
}

// knownStrays are those that the last look has found.
func (t *sharedCgroup) knownStrays() (list []procfs.Stat) {
	sharedTrees.mu.Lock()
	defer sharedTrees.mu.Unlock()
	for _, s := range t.strays {
		list = append(list, s)
	}
	return list
}

// Strays is how many of the tree the last look has found outside of its cgroup.
func (t *sharedCgroup) Strays() int {
	sharedTrees.mu.Lock()
	defer sharedTrees.mu.Unlock()
	return len(t.strays)
}

// IsStray says whether a process was moved out of the cgroup of this tree.
func (t *sharedCgroup) IsStray(pid int) bool {
	sharedTrees.mu.Lock()
	defer sharedTrees.mu.Unlock()
	for id := range t.strays {
		if id.PID == pid {
			return true
		}
	}
	return false
}

func (t *sharedCgroup) Started(leader int) { sharedTrees.add(t, leader) }

func (t *sharedCgroup) Empty() (bool, error) {
	empty, err := t.cgroup.Empty()
	if !empty || err != nil {
		return empty, err
	}
	strays, err := t.hasStrays()
	return !strays && err == nil, err
}

// AwaitEmpty waits for the cgroup, and then for the strays, one after the other.
func (t *sharedCgroup) AwaitEmpty() error {
	if err := t.cgroup.AwaitEmpty(); err != nil {
		return err
	}
	for _, s := range t.knownStrays() {
		h, err := hold(s)
		if err != nil {
			if exhausted(err) {
				return err
			}
			continue
		}
		release([]held{h})
		return awaitExitFor(s.PID, lastLook)
	}
	return nil
}

// Release lets go of the strays, too: they are in no cgroup of a tree.
func (t *sharedCgroup) Release() error {
	members, err := t.Members()
	if err == nil {
		err = t.cgroup.Release()
	}
	if err == nil {
		sharedTrees.letGo(members)
		sharedTrees.remove(t)
	}
	return err
}

func (t *sharedCgroup) Close() error {
	sharedTrees.remove(t)
	return t.cgroup.Close()
}

func (t *sharedCgroup) name() string { return filepath.Base(t.dir.Path) }
