package foster

import (
	"context"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// Tree is a run under way, or over: a leader and every process that descends from
// it. All methods may be called from any goroutine, also after its end. The zero Tree is
// no run: what can fail returns ErrNotStarted.
type Tree struct {
	id          string
	containment Containment
	leader      int
	shimPID     int
	shared      string // the cgroup, where the shim holds other trees as well
	started     time.Time
	log         *eventLog
	requests    chan request
	done        chan struct{}
	pipes       *pipes // nil: they aren't the caller's
	kept        atomic.Pointer[[]*os.File]
	letGo       atomic.Bool // some of its processes were released

	// Set before done is closed.
	exit    Exit
	err     error
	confirm func() // what ConfirmEnd does

	confirming sync.Once
}

// Process is one member of a tree, as it was when it was looked at.
type Process struct {
	PID     int // for this program; 0 for one of a PID namespace that had ended before it was looked for
	PPID    int
	PGID    int
	Session int
	State   string // R S D Z T and so on, as in ps(1)
	Started time.Time
	Name    string   // as the process set it, at most 15 bytes on Linux; may hold any byte
	Args    []string // nil where they can't be read
}

// ID names the tree: Cmd.ID, else a name of letters and digits that no other has. No
// two living trees of a user have the same.
func (t *Tree) ID() string { return t.id }

// Leader is the process that was started: its PID, as this program sees it. In a
// PID namespace it is 0 where the leader had ended before it could be asked for.
func (t *Tree) Leader() int { return t.leader }

// Shim is the process that holds the tree: its PID, as this program sees it. Where one
// holds many trees (see Share), they have the same.
func (t *Tree) Shim() int { return t.shimPID }

// Containment is the level that was reached.
func (t *Tree) Containment() Containment { return t.containment }

// Members lists the processes of the tree, zombies included but where one shim holds many
// trees (see Share): a cgroup doesn't list them. It is empty once the tree is. On macOS and FreeBSD only the PIDs are known.
func (t *Tree) Members() ([]Process, error) {
	members, err := t.members(&contain.Table{})
	for i := range members {
		members[i].Args = procfs.Cmdline(members[i].PID)
	}
	return members, err
}

// Members lists the processes of each of several trees, as [Tree.Members] does, but
// without their arguments, and by one look at the process table for all.
func Members(trees []*Tree) (list [][]Process, err error) {
	var table contain.Table
	for _, t := range trees {
		members, err := t.members(&table)
		if err != nil {
			return nil, err
		}
		list = append(list, members)
	}
	return list, nil
}

func (t *Tree) members(table *contain.Table) ([]Process, error) {
	if t.done == nil {
		return nil, ErrNotStarted
	}
	select {
	case <-t.done:
		return nil, nil
	default:
	}
	level, _, err := t.containment.level()
	if err != nil {
		return nil, err
	}
	stats, err := table.List(level, t.shimPID, t.leader, t.shared)
	if err != nil {
		return nil, err
	}
	if t.letGo.Load() {
		msg, err := t.request(request{kind: askStatus})
		if m, ok := msg.(*wire.Status); ok && err == nil {
			stats = contain.Without(stats, identities(m.LetGo))
		}
	}
	members := make([]Process, 0, len(stats))
	for _, s := range stats {
		members = append(members, process(s))
	}
	return members, nil
}

func process(s procfs.Stat) Process {
	p := Process{
		PID: s.PID, PPID: s.PPID, PGID: s.PGID, Session: s.Session,
		Started: s.StartTime(), Name: s.Comm,
	}
	if s.State != 0 {
		p.State = string(rune(s.State))
	}
	return p
}

// Signal sends a signal once, and nothing after it. Signal 0 only asks whether somebody is
// there to get one. The error is ErrEnded where the scope has nobody; it wraps syscall.EINVAL
// where there is no such signal, syscall.EPERM where all who are left belong to another user, and
// ErrNoAnswer where the shim hangs, as with all that is asked of a tree.
func (t *Tree) Signal(sig syscall.Signal, scope Scope) error {
	number, err := scope.number()
	if err == nil && sig != 0 {
		err = validSignal(sig)
	}
	if err != nil {
		return &fromLibrary{err}
	}
	return t.ask(request{kind: askSignal, signal: sig, scope: number})
}

// Stop stops the tree as Cmd.Stop says, and waits until the run is over. A stop
// that is under way is joined. The error is nil if nothing is left, also where the
// leader's status isn't 0; it is a *SurvivorsError where something is. When ctx is
// done before that, Stop returns its error, and the stop goes on. A stop waits for a shim that
// is itself stopped, by SIGSTOP say, until that is resumed: EventShimPaused tells of it.
func (t *Tree) Stop(ctx context.Context) (Exit, error) {
	return t.stop(ctx, request{kind: askStop})
}

// StopWith is Stop by another plan. It takes the place of a stop under way, which
// so can be cut short, unless SIGKILL was sent already.
func (t *Tree) StopWith(ctx context.Context, plan StopPlan) (Exit, error) {
	p, err := plan.plan()
	if err != nil {
		return Exit{}, &fromLibrary{err}
	}
	return t.stop(ctx, request{kind: askStop, plan: &p})
}

func (t *Tree) stop(ctx context.Context, r request) (Exit, error) {
	if t.done == nil {
		return Exit{}, ErrNotStarted
	}
	_ = t.ask(r) // that it has ended is what was wanted
	select {
	case <-t.done:
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
	if len(t.exit.Survivors) > 0 {
		return t.exit, &SurvivorsError{t.exit.Survivors}
	}
	return t.exit, nil
}

// Release lets go of the tree: its processes run on, and are no longer foster's.
// It is the way out for a deliberate daemon. The run is over then, and its Exit
// says so. The error is ErrNotReleasable where the kernel won't have it.
func (t *Tree) Release() error { return t.ask(request{kind: askRelease}) }

// ReleaseProcess lets go of one process of the tree, and of those below it at that moment: a
// server that is to outlive the tree that has started it. They run on when the tree is stopped,
// which doesn't wait for them, and nobody watches them from then on; they are returned, at most
// 64. The shim reaps them if they end before it does. In a process group only a process that
// has left the group can be released, and in a PID namespace none: ErrNotReleasable. The leader
// is released with the whole tree, by Release.
func (t *Tree) ReleaseProcess(pid int) ([]Process, error) {
	if pid <= 0 {
		return nil, &fromLibrary{fmt.Errorf("release process %d: %w", pid, syscall.EINVAL)}
	}
	msg, err := t.request(request{kind: askReleaseProcess, pid: pid})
	if m, ok := msg.(*wire.Replied); ok && err == nil {
		return processes(m.Processes), nil
	}
	return nil, err
}

// Wait waits until the run is over and returns what is known of it. The error is
// nil if the leader exited with 0 and all went well, else an *ExitError. It may be
// called any number of times.
func (t *Tree) Wait() (Exit, error) {
	if t.done == nil {
		return Exit{}, ErrNotStarted
	}
	<-t.done
	return t.exit, t.err
}

// Done is closed when the run is over.
func (t *Tree) Done() <-chan struct{} {
	if t.done == nil {
		return closedChannel // Wait says why
	}
	return t.done
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Events gives what happens to the tree, from its start, and ends after the last
// event, which is EventEnded, or when ctx is done. A reader that is slow holds up
// nobody: of what it didn't take, the newest 256 events are kept, and an
// EventMissed stands for the others. Each call reads from the beginning of what is
// kept.
func (t *Tree) Events(ctx context.Context) iter.Seq[Event] {
	if t.done == nil {
		return func(func(Event) bool) {}
	}
	return t.log.read(ctx)
}
