package contain

import (
	"os"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// subreaper holds what descends from this process. An orphan below it becomes
// its child (prctl(2), PR_SET_CHILD_SUBREAPER), whatever it did to its group,
// session or environment; so the tree is empty when wait4 says that this process
// has no child, which is the caller's to ask.
type subreaper struct {
	self int
}

// NewSubreaper makes this process the subreaper of a tree.
func NewSubreaper() (Tree, error) {
	if err := sys.BecomeSubreaper(); err != nil {
		return nil, err
	}
	t := subreaper{os.Getpid()}
	// Without /proc the members couldn't be found when it's time to end them.
	if _, err := procfs.Read(t.self); err != nil {
		return nil, err
	}
	return t, nil
}

func (subreaper) Prepare(*syscall.SysProcAttr) {}

func (subreaper) Started(int) {}

func (t subreaper) Members() ([]procfs.Stat, error) {
	found, _, err := descendants(t.self)
	defer release(found)
	members := make([]procfs.Stat, len(found))
	for i, h := range found {
		members[i] = h.stat
	}
	return members, err
}

func (t subreaper) Signal(sig syscall.Signal, pick func(procfs.Stat) bool) (Sent, error) {
	found, full, err := descendants(t.self)
	defer release(found)
	sent := signal(found, sig, pick)
	if err == nil && !full {
		err = syscall.EMFILE
	}
	return sent, err
}

// Kill may leave some for the next call where handles run out: each call makes
// room, since what it killed is gone by then.
func (t subreaper) Kill() (Sent, error) {
	found, _, err := descendants(t.self)
	defer release(found)
	sent := signal(found, syscall.SIGKILL, nil)
	sent.Again = true
	return sent, err
}

func (subreaper) Empty() (bool, error) { return true, nil }

func (subreaper) AwaitEmpty() error { return nil }

func (subreaper) Release() error { return nil }

func (subreaper) Close() error { return nil }
