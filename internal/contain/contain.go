// Package contain holds the processes of a tree together, by one of four
// mechanisms, from weakest to strongest: a process group, a subreaper, a cgroup,
// a PID namespace. Each stands in a file of its own behind [Tree].
//
// All of a Tree's methods run in the shim, which is the parent of the leader;
// in all mechanisms but the group it is also the subreaper of the tree, and so
// its only way out. A process is signalled only where it is proven to belong to
// the tree: see proof_linux.go.
package contain

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
)

// Tree is the tree that a shim holds.
type Tree interface {
	// Prepare sets what the leader needs to be born into the tree.
	Prepare(*syscall.SysProcAttr)
	// Started tells of the leader, an unreaped child of this process.
	Started(leader int)
	// Members lists the living processes of the tree.
	Members() ([]procfs.Stat, error)
	// Signal signals the living members that pick wants.
	Signal(sig syscall.Signal, pick func(procfs.Stat) bool) (Sent, error)
	// Kill sends SIGKILL to all that it can find. While members fork, some may
	// get away: the caller calls again until the tree is empty.
	Kill() (Sent, error)
	// Empty says whether the tree has no living member, once this process has no
	// child left (in a group: once the leader has ended).
	Empty() (bool, error)
	// AwaitEmpty waits until Empty may have become true.
	AwaitEmpty() error
	// Release lets go of what is left of the tree; ErrNotReleasable where the
	// kernel won't have it.
	Release() error
	// ReleaseProcess lets go of one member and of those below it: from then on they are no
	// members. They are returned.
	ReleaseProcess(pid int) ([]procfs.Stat, error)
	// Released lists those of them that live, and what descends from them.
	Released() []procfs.Stat
	// OnlyReleased says whether all children of this process were let go, if none of them
	// has ended meanwhile.
	OnlyReleased() (bool, error)
	// Close gives back what the mechanism holds, when the tree is empty.
	Close() error
}

// ErrNotReleasable says that the members of a tree can't outlive their shim.
var ErrNotReleasable = fmt.Errorf("a PID namespace ends with its first process: %w", errors.ErrUnsupported)

// Sent is whom a signal reached.
type Sent struct {
	Reached []procfs.Stat
	Denied  []procfs.Stat // living members that this process may not signal
	Again   bool          // the signal went to one after the other: some may have forked meanwhile
}

// endedOf is those that SIGKILL was sent to, without who had ended before, and who is
// left.
func endedOf(killed, left []procfs.Stat) []procfs.Stat {
	alive := map[procfs.Identity]bool{}
	for _, s := range left {
		alive[s.Identity()] = true
	}
	return slices.DeleteFunc(killed, func(s procfs.Stat) bool { return s.Ended() || alive[s.Identity()] })
}

// addOthers adds those that aren't in it yet.
func (s *Sent) addOthers(more Sent) {
	known := map[procfs.Identity]bool{}
	for _, m := range append(slices.Clone(s.Reached), s.Denied...) {
		known[m.Identity()] = true
	}
	isKnown := func(m procfs.Stat) bool { return known[m.Identity()] }
	s.add(Sent{Reached: slices.DeleteFunc(more.Reached, isKnown), Denied: slices.DeleteFunc(more.Denied, isKnown)})
}

func (s *Sent) add(more Sent) {
	s.Reached = append(s.Reached, more.Reached...)
	s.Denied = append(s.Denied, more.Denied...)
}

// Without leaves out of a tree's members those that were released, and those below them.
func Without(members []procfs.Stat, released []procfs.Identity) (rest []procfs.Stat) {
	gone := map[int]bool{}
	for _, m := range members { // parents come before their children
		if gone[m.PPID] || slices.Contains(released, m.Identity()) {
			gone[m.PID] = true
		} else {
			rest = append(rest, m)
		}
	}
	return rest
}
