package contain

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// subreaper holds what descends from this process. An orphan below it becomes
// its child (prctl(2), PR_SET_CHILD_SUBREAPER), whatever it did to its group,
// session or environment; so the tree is empty when wait4 says that this process
// has no child, which is the caller's to ask.
type subreaper struct {
	self      int
	strangers map[int]procfs.Stat // found not to belong to the tree, while killing
	released  *released
}

var errNoProc = errors.New("/proc isn't mounted, or shows another PID namespace")

// NewSubreaper makes this process the subreaper of a tree.
func NewSubreaper() (Tree, error) {
	if err := sys.BecomeSubreaper(); err != nil {
		return nil, err
	}
	t := subreaper{os.Getpid(), map[int]procfs.Stat{}, newReleased()}
	// Without /proc the members couldn't be found when it's time to end them.
	if !procfs.Available() {
		return nil, errNoProc
	}
	return t, nil
}

func (subreaper) Prepare(*syscall.SysProcAttr) {}

func (subreaper) Started(int) {}

func (t subreaper) Members() ([]procfs.Stat, error) {
	found, _, err := t.proven()
	defer release(found)
	var members []procfs.Stat
	for _, h := range found {
		if !h.stat.Ended() {
			members = append(members, h.stat)
		}
	}
	return members, err
}

func (t subreaper) Signal(sig syscall.Signal, pick func(procfs.Stat) bool) (Sent, error) {
	found, full, err := t.proven()
	defer release(found)
	sent := signal(found, sig, pick)
	if err == nil && !full {
		err = syscall.EMFILE
	}
	return sent, err
}

// Kill is made for a tree that forks faster than /proc can be read: the children of this
// process come first; in /proc, the newest processes do, and who was found to be a stranger
// isn't read again before nobody else turns up. It may leave some for the next call.
func (t subreaper) Kill() (Sent, error) {
	if t.released.any() {
		return t.killBesideReleased()
	}
	children := killChildren(nil)
	sent, err := t.sweep()
	if err == nil && len(children.Reached)+len(sent.Reached) == 0 && len(t.strangers) > 0 {
		clear(t.strangers) // a stranger's number may have been given to a member since
		sent, err = t.sweep()
	}
	children.addOthers(sent)
	children.Again = true
	return children, err
}

// killBesideReleased looks before it kills, since those that were let go are among the
// descendants.
func (t subreaper) killBesideReleased() (Sent, error) {
	sent, err := t.Signal(syscall.SIGKILL, nil)
	sent.addOthers(killChildren(func(pid int) bool {
		s, err := procfs.Read(pid)
		return err != nil || t.released.has(s) // who can't be read has ended, or is for the next look
	}))
	sent.Again = true
	return sent, err
}

func (t subreaper) sweep() (sent Sent, err error) {
	pids, err := procfs.Pids()
	if err != nil {
		return sent, err
	}
	var others []procfs.Stat
	for _, pid := range slices.Backward(pids) {
		if _, stranger := t.strangers[pid]; stranger {
			continue
		}
		h, ok := child(t.self, pid)
		if !ok {
			if h.stat.PID != 0 {
				others = append(others, h.stat)
			}
			continue
		}
		sent.add(signal([]held{h}, syscall.SIGKILL, nil))
		release([]held{h})
	}
	// Those further down have become children by now, or are known by a parent that
	// couldn't be killed.
	denied := sent.Denied
	rest, _ := prove(t.self, append(others, denied...))
	sent.add(signal(rest, syscall.SIGKILL, func(s procfs.Stat) bool {
		return !slices.ContainsFunc(denied, func(d procfs.Stat) bool { return d.PID == s.PID })
	}))
	release(rest)
	// All that hangs together from the system's first process without a child of
	// this one is strangers.
	for _, s := range t.strangers {
		others = append(others, s)
	}
	for _, s := range procfs.Below(others, 0) {
		t.strangers[s.PID] = s
	}
	return sent, nil
}

func (subreaper) Empty() (bool, error) { return true, nil }

func (subreaper) AwaitEmpty() error { return nil }

func (subreaper) Release() error { return nil }

func (subreaper) Close() error { return nil }
