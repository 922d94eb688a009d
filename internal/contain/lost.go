package contain

import (
	"context"
	"errors"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// Lost is a tree whose both sides are gone, as the journal tells of it. What it says
// is of this boot and this PID namespace, which is the journal's to see to. Even so it
// only says where to look: each process is proven before it's signalled.
type Lost struct {
	Containment wire.Containment
	CgroupPath  string
	CgroupInode uint64
	Groups      []string      // of version 1, for its limits
	Members     []wire.Member // who was seen in the tree, living or not
	Shim        wire.Member   // zero where its number isn't known here
}

// Errors of a tree that isn't to be ended from here.
var (
	// ErrInside says that this process, or one above it, is in the tree.
	ErrInside = errors.New("this process runs in that tree itself: run it from elsewhere")
	// ErrShimLives says that the tree isn't lost. It isn't said of a cgroup's.
	ErrShimLives = errors.New("the shim of that tree lives")
	// ErrNotATree says that what the journal names can't be a tree's.
	ErrNotATree = errors.New("not what foster makes for a tree")
)

// NewLost takes from the journal what ending a tree needs; life may be nil.
func NewLost(e *wire.Entry, life *wire.Life) Lost {
	l := Lost{Containment: e.Containment, CgroupPath: e.CgroupPath, CgroupInode: e.CgroupInode, Groups: e.Groups}
	if !e.ShimSelf {
		l.Shim = e.Shim
	}
	if life != nil {
		l.Members = append([]wire.Member{life.Leader}, life.Members...)
	}
	return l
}

// Find lists what is proven to be left of the tree, and signals nobody.
func (l Lost) Find() ([]procfs.Stat, error) { return findLost(l) }

// End ends what is proven to be left of the tree: by the steps of the plan in turn,
// each sent to all that are left, whatever its scope, and then by SIGKILL, until the
// tree is empty or it's time to give up. It returns whom it saw end, and who is left.
// When the context is done, it leaves at once who is left then.
func (l Lost) End(ctx context.Context, plan wire.Plan) (ended, left []procfs.Stat, err error) {
	return endLost(ctx, l, plan)
}
