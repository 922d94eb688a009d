package contain

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
)

// sharedCgroup holds one of several trees of this process. Descent doesn't tell them
// apart, so who belongs to it is who is in its cgroup, or in one below it. That is exact
// but for its strays: see strays_linux.go.
type sharedCgroup struct {
	cgroup
	leader procfs.Stat
	strays map[procfs.Identity]procfs.Stat // found by the last look
}

// NewSharedCgroupTree is NewCgroupTree in a process that holds other trees as well.
func NewSharedCgroupTree(path string, fd int) (Tree, error) {
	if err := subreaperOnce(); err != nil {
		return nil, err
	}
	own := subreaper{self: os.Getpid(), released: newReleased()}
	return &sharedCgroup{cgroup: cgroup{subreaper: own, dir: &Cgroup{Path: path}, fd: fd}}, nil
}

// subreaperOnce makes this process a subreaper before its first tree.
var subreaperOnce = sync.OnceValue(func() error {
	_, err := NewSubreaper()
	return err
})

func (t *sharedCgroup) Members() ([]procfs.Stat, error) {
	members, err := t.dir.members()
	members = append(members, t.knownStrays()...)
	return slices.DeleteFunc(members, procfs.Stat.Ended), err
}

// members lists who is in the cgroup, or in one below it.
func (c *Cgroup) members() (list []procfs.Stat, err error) {
	root, err := os.OpenRoot(c.Path)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, pid := range slices.Sorted(maps.Keys(allProcs(root))) {
		if s, err := procfs.Read(pid); err == nil {
			list = append(list, s)
		}
	}
	return list, nil
}

// Signal signals who is proven to be a member, as those of a lost tree are.
func (t *sharedCgroup) Signal(sig syscall.Signal, pick func(procfs.Stat) bool) (Sent, error) {
	strays, serr := t.signalStrays(sig, pick) // first: a parent that ends hides whose they are
	root, err := os.OpenRoot(t.dir.Path)
	if isGone(err) {
		return strays, serr
	}
	if err != nil {
		return strays, err
	}
	defer root.Close()
	found, full := heldIn(root, func(int) bool { return false })
	defer release(found)
	sent := signal(found, sig, pick)
	if !full {
		err = syscall.EMFILE
	}
	sent.addOthers(strays)
	return sent, errors.Join(err, serr)
}

func (t *sharedCgroup) Kill() (Sent, error) {
	members, err := t.dir.members()
	if err != nil {
		return Sent{}, err
	}
	strays, serr := t.signalStrays(syscall.SIGKILL, nil)
	sent, err := t.dir.kill()
	sent.addOthers(Sent{Reached: slices.DeleteFunc(members, procfs.Stat.Ended)})
	sent.addOthers(strays)
	sent.Again = sent.Again || len(strays.Reached) > 0
	return sent, errors.Join(err, serr)
}

// heldIn proves who is a member of a cgroup, but for those that skip leaves out. The
// list is read again behind the handles: who stands in both is a member, and no other
// that was given its number. The oldest come first, so that a parent hears of a signal
// before it sees its children end by it. Where handles run out, full is false.
func heldIn(root *os.Root, skip func(pid int) bool) (found []held, full bool) {
	full = true
	var fresh []held
	for pid := range allProcs(root) {
		if skip(pid) {
			continue
		}
		s, err := procfs.Read(pid)
		if err == nil && !s.Zombie() {
			var h held
			if h, err = hold(s); err == nil {
				fresh = append(fresh, h)
			}
		}
		if exhausted(err) {
			full = false
		}
	}
	if len(fresh) == 0 {
		return nil, full
	}
	again := allProcs(root)
	for _, h := range fresh {
		if again[h.stat.PID] && answers(h.pidfd) && h.stat.Flags&pfKthread == 0 {
			found = append(found, h)
		} else {
			release([]held{h})
		}
	}
	slices.SortFunc(found, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.stat.Start, b.stat.Start), a.stat.PID-b.stat.PID)
	})
	return found, full
}

// allProcs lists the members of a cgroup and of those below it. A member whose number
// isn't known in this PID namespace stands in it as 0, and is left out.
func allProcs(root *os.Root) map[int]bool {
	pids := map[int]bool{}
	// What can't be read is gone, or is a cgroup of threads, whose processes stand in
	// the one above.
	_ = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		b, _ := root.ReadFile(path.Join(name, "cgroup.procs"))
		for line := range strings.Lines(string(b)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
		return nil
	})
	return pids
}
