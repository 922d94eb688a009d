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
	Members     []wire.Member // who was seen in the tree, living or not; the leader comes first
	Shim        wire.Member

	// Of a tree whose owner's side lives, which was its shim's parent:
	Adopted   func(pid int) bool // set: the children of this process are of the tree, but for those that it spares
	InCgroup  bool               // who isn't in the cgroup isn't looked for
	Signalled wire.Member        // who has had the signal of the plan's first step
}

// Emptied is what came of ending a tree.
type Emptied struct {
	Ended    []procfs.Stat // whom it saw end
	Killed   []procfs.Stat // of these, whom SIGKILL was sent to
	Left     []procfs.Stat
	Unproven []Unproven // who else may be of the tree, and isn't signalled
}

// Unproven is a process that may be of a lost tree, and for which there is no proof.
type Unproven struct {
	procfs.Stat
	In string // what it shares with the tree: "process group 4101"
}

// Errors of a tree that isn't to be ended from here.
var (
	// ErrInside says that this process, or one above it, is in the tree.
	ErrInside = errors.New("this process runs in that tree itself: run it from elsewhere")
	// ErrShimLives says that the tree isn't lost. It isn't said of a cgroup's.
	ErrShimLives = errors.New("the shim of that tree lives")
	// ErrNotATree says that what the journal names can't be a tree's.
	ErrNotATree = errors.New("not what foster makes for a tree")
	// ErrHidden says that something of the tree may live that /proc doesn't show.
	ErrHidden = errors.New("/proc doesn't show it to this user (see hidepid in proc(5)): recover it as root")
)

// NewLost takes from the journal what ending a tree needs; life may be nil.
func NewLost(e *wire.Entry, life *wire.Life) Lost {
	l := Lost{Containment: e.Containment, CgroupPath: e.CgroupPath, CgroupInode: e.CgroupInode, Groups: e.Groups, Shim: e.Shim}
	if life != nil {
		l.Members = append([]wire.Member{life.Leader}, life.Members...)
	}
	return l
}

// Find lists what is proven to be left of the tree, and who else may be of it. It signals
// nobody.
func (l Lost) Find() (left []procfs.Stat, unproven []Unproven, err error) { return findLost(l) }

// End ends what is proven to be left of the tree: by the steps of the plan in turn,
// each sent to all that are left, whatever its scope, and then by SIGKILL, until the
// tree is empty or it's time to give up. It returns whom it saw end, who is left, and who
// else may be of the tree: those it doesn't signal.
// When the context is done, it leaves at once who is left then.
func (l Lost) End(ctx context.Context, plan wire.Plan) (ended, left []procfs.Stat, unproven []Unproven, err error) {
	e, err := endLost(ctx, l, plan)
	return e.Ended, e.Left, e.Unproven, err
}

// Empty is [Lost.End] for a tree whose shim alone was killed.
func (l Lost) Empty(ctx context.Context, plan wire.Plan) (Emptied, error) {
	return emptyLost(ctx, l, plan)
}
