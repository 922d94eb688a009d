//go:build linux || darwin || freebsd

package contain

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// group holds the process group that the leader leads. It loses what leaves the
// group, and it can't be told of an orphan's end, since another process adopts
// it.
//
// The group's number belongs to it for as long as its leader wasn't reaped, so
// the caller leaves the leader a zombie until Empty says that no other member is
// left: only so may the group be signalled without ever meeting a stranger.
type group struct {
	leader int
}

// NewGroup holds a tree by its process group alone.
func NewGroup() (Tree, error) { return &group{}, nil }

func (g *group) Prepare(attr *syscall.SysProcAttr) { dieWithParent(attr) }

func (g *group) Started(leader int) { g.leader = leader }

func (g *group) Members() ([]procfs.Stat, error) { return groupMembers(g.leader) }

// Signal signals the whole group, or the leader alone where pick wants nobody else: by a
// number, no other member can be told from a stranger.
func (g *group) Signal(sig syscall.Signal, pick func(procfs.Stat) bool) (Sent, error) {
	members, err := groupMembers(g.leader)
	if err != nil {
		return Sent{}, err
	}
	picked := slices.DeleteFunc(slices.Clone(members), func(s procfs.Stat) bool { return pick != nil && !pick(s) })
	switch {
	case len(picked) == 0:
		return Sent{}, nil
	case len(picked) == 1 && len(members) > 1 && picked[0].PID == g.leader:
		return g.sendLeader(sig, picked)
	}
	return g.send(sig, members)
}

// sendLeader signals the leader alone, an unreaped child.
func (g *group) sendLeader(sig syscall.Signal, leader []procfs.Stat) (Sent, error) {
	err := sys.Kill(g.leader, sig)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return Sent{}, nil
	case errors.Is(err, syscall.EPERM):
		return Sent{Denied: leader}, nil
	}
	return Sent{Reached: leader}, err
}

// send signals the whole group in one call, which misses nobody who is being forked.
// kill(2) succeeds where it reached any member, be it the leader that is a zombie by
// now; whom it couldn't reach, each member has to be asked for.
func (g *group) send(sig syscall.Signal, members []procfs.Stat) (sent Sent, err error) {
	err = sys.Kill(-g.leader, sig)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return Sent{}, nil
	case errors.Is(err, syscall.EPERM):
		return Sent{Denied: members}, nil
	}
	for _, m := range members {
		if deniesSignals(m) {
			sent.Denied = append(sent.Denied, m)
		} else {
			sent.Reached = append(sent.Reached, m)
		}
	}
	return sent, err
}

func (g *group) Kill() (Sent, error) {
	members, err := groupMembers(g.leader)
	sent, kerr := g.send(syscall.SIGKILL, members)
	return sent, errors.Join(err, kerr)
}

func (g *group) Empty() (bool, error) {
	members, err := groupMembers(g.leader)
	return err == nil && len(members) == 0, err
}

// AwaitEmpty waits for the end of one member after the other: who joined the group
// meanwhile stands in the next list. No kernel tells that a member has left its group
// and lives on, as one does that is a daemon in a moment; so it's looked at again, soon
// at first.
func (g *group) AwaitEmpty() error {
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		members, err := groupMembers(g.leader)
		if err != nil || len(members) == 0 {
			return err
		}
		if err := awaitExitFor(members[0].PID, wait); err != nil {
			return err
		}
	}
}

const (
	firstLook = 10 * time.Millisecond
	lastLook  = 2 * time.Second
)

func (g *group) Release() error { return nil }

func (g *group) Close() error { return nil }
