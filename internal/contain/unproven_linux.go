package contain

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// unproven lists who may be of the tree though there is no proof: who is in a process group
// or a session that a member of the tree has made, where nobody is left in it who is proven.
//
// The kernel gives a number to no process as long as somebody has it as group or session. So
// such a group is the tree's unless all of it ended, the number was given to a stranger, and
// that one made a group of its own and ended. No fact tells the two cases apart: whoever was
// forked after the last call of the roll began after it in either.
//
// These are proven to be strangers, and left out: all of a group whose number is another
// process's by now, since the group was empty then, as one that leads a session of that number
// and is younger than a member that was in it; who is older than the group; who is in
// another session than the member that led the group, since a group is in one session.
//
// It is an error where there may be others whom /proc doesn't show.
//
// In a PID namespace nobody is left, and the numbers of its members are others' here.
func (r *remains) unproven() (list []Unproven, err error) {
	if r.lost.Containment == wire.PIDNS {
		return nil, nil
	}
	if r.hidden {
		return nil, fmt.Errorf("a process that was recorded: %w", ErrHidden)
	}
	spared, err := above()
	if err != nil {
		return nil, err
	}
	all, err := procfs.Snapshot()
	if err != nil {
		return nil, err
	}
	made := r.made(all)
	for _, s := range all {
		_, proven := r.byPid[s.PID]
		if proven || spared[s.PID] || s.Zombie() || s.Flags&pfKthread != 0 {
			continue
		}
		if in := r.sharedBy(s, made); in != "" {
			list = append(list, Unproven{s, in})
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, r.groupIsHidden(all)
}

// ledGroup is a process group that a recorded member led.
type ledGroup struct {
	since   uint64
	session int
	known   bool // its session is
}

// madeBy is what the members of the tree have made, by its number.
type madeBy struct {
	groups   map[int]ledGroup
	sessions map[int]uint64 // since when
}

// made gives the groups and sessions that members of the tree are known to have made, but
// for those whose number is another's by now.
func (r *remains) made(all []procfs.Stat) madeBy {
	m := madeBy{map[int]ledGroup{}, map[int]uint64{}}
	for i, one := range r.lost.Members {
		if one.PID <= 1 || one.Start == 0 {
			continue
		}
		if i == 0 || one.Group == one.PID { // the leader leads a group
			m.groups[one.PID] = ledGroup{one.Start, one.Session, one.SessionKnown()}
		}
		if one.Session == one.PID {
			m.sessions[one.PID] = one.Start
		}
	}
	for n := range r.sessions {
		if m.sessions[n] == 0 {
			m.sessions[n] = r.first
		}
	}
	for _, s := range all {
		starts, recorded := r.numbers[s.PID]
		if recorded && !slices.Contains(starts, s.Start) || !recorded && (s.Session != s.PID || r.olderIn(s)) {
			delete(m.groups, s.PID)
			delete(m.sessions, s.PID)
		}
	}
	return m
}

// olderIn says that a recorded member was in the session of this number before this process
// began. Then another process led that session: who is in one was forked by it, or below it.
func (r *remains) olderIn(s procfs.Stat) bool {
	return slices.ContainsFunc(r.lost.Members, func(m wire.Member) bool { return m.Session == s.PID && m.Start > 0 && m.Start < s.Start })
}

// sharedBy says what a process shares with the tree; "" if that is nothing.
func (r *remains) sharedBy(s procfs.Stat, made madeBy) string {
	if g, ok := made.groups[s.PGID]; ok && s.Start >= g.since && (!g.known || g.session == s.Session) {
		return fmt.Sprintf("process group %d", s.PGID)
	}
	if since, ok := made.sessions[s.Session]; ok && s.Start >= since {
		return fmt.Sprintf("session %d", s.Session)
	}
	if r.lost.Containment == wire.Cgroup && r.cgroup == nil {
		// Its path may be gone only here: in another mount namespace, say.
		name := filepath.Base(r.lost.CgroupPath)
		if slices.Contains(strings.Split(procfs.Cgroup(s.PID), "/"), name) {
			return "cgroup " + name
		}
	}
	return ""
}

// groupIsHidden is an error where the kernel says that the group of the leader has a member,
// and /proc shows none, nor a process that has its number.
func (r *remains) groupIsHidden(all []procfs.Stat) error {
	if r.lost.Containment != wire.Group || len(r.lost.Members) == 0 {
		return nil
	}
	leader := r.lost.Members[0].PID
	if leader <= 1 || slices.ContainsFunc(all, func(s procfs.Stat) bool { return s.PGID == leader || s.PID == leader }) {
		return nil
	}
	if err := sys.Kill(-leader, 0); errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("a member of the process group %d: %w", leader, ErrHidden)
}
