package shim

import (
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// signal sends a signal once, to whom the scope says.
func (s *server) signal(sig syscall.Signal, scope wire.Scope) (count int, err error) {
	h := s.held
	if h == nil {
		return 0, unix.ESRCH
	}
	if sig < 0 || sig > sys.LastSignal {
		return 0, unix.EINVAL // else nobody would get it, as if all had ended
	}
	toLeader := scope == wire.ScopeLeader || scope == wire.ScopeGroup && !h.anchored
	if toLeader && !h.anchored {
		// A zombie takes a signal, and nobody would get it.
		if s.reap(); s.held != h {
			return 0, unix.ESRCH
		}
	}
	if scope == wire.ScopeLeader {
		if h.leaderDone || h.anchored && ended(h.leader) {
			return 0, unix.ESRCH
		}
		return 1, sys.Kill(h.leader, sig) // an unreaped child
	}
	if toLeader && !h.leaderDone {
		// Of an unreaped child: the kernel misses nobody who is being forked.
		return 1, sys.Kill(-h.leader, sig)
	}
	sent, err := h.tree.Signal(sig, s.within(scope))
	s.expect(sent.Reached)
	switch {
	case err != nil:
		return len(sent.Reached), err
	case len(sent.Reached) > 0:
		return len(sent.Reached), nil
	case len(sent.Denied) > 0:
		return 0, unix.EPERM
	}
	return 0, unix.ESRCH
}

// ended says whether an unreaped child is a zombie, where that can be seen: of the leader
// that anchors a group the watcher's news may come later.
func ended(child int) bool {
	stat, err := procfs.Read(child)
	return err == nil && stat.Ended()
}

// within gives the members that a scope means; nil is all.
func (s *server) within(scope wire.Scope) func(procfs.Stat) bool {
	leader := s.held.leader
	switch scope {
	case wire.ScopeGroup:
		return func(m procfs.Stat) bool { return m.PGID == leader }
	case wire.ScopeLeader, wire.ScopeLeaderFirst:
		return func(m procfs.Stat) bool { return m.PID == leader }
	}
	return nil
}

// passes bounds how often a step looks for members that were forked while it was
// sent. Who is missed by all of them is ended by SIGKILL at the latest.
const passes = 3

// sendStep sends the signal of a step, once to each member, and then continues those
// that are stopped: they would act on it only then. A step that finds nobody is sent to
// the whole tree.
func (s *server) sendStep(step wire.Step) {
	told := &wire.Signaled{At: time.Now(), Signal: step.Signal, Scope: step.Scope}
	for range passes {
		sent := s.sendOnce(step)
		told.Count += len(sent.Reached)
		told.Names = append(told.Names, members(sent.Denied, unix.EPERM)...)
		if len(sent.Reached) == 0 {
			break
		}
		if step.Scope == wire.ScopeLeader || step.Scope == wire.ScopeLeaderFirst || s.held.anchored {
			break // nobody can have joined, or the group was signalled in one call
		}
	}
	if told.Count == 0 && step.Scope != wire.ScopeTree {
		step.Scope = wire.ScopeTree
		s.sendStep(step)
		return
	}
	told.Names = bounded(told.Names)
	told.Left = s.leftOfPlan(step)
	s.tell(told)
}

// leftOfPlan is what is left of the plan under way, in which this step was just sent.
func (s *server) leftOfPlan(step wire.Step) wire.Plan {
	left := s.machine.Plan
	if s.machine.Step < len(left.Steps) {
		left.Steps = slices.Clone(left.Steps[s.machine.Step:])
		step.Wait = max(time.Until(s.stepOver), 0)
		left.Steps[0] = step
	}
	return left
}

func (s *server) sendOnce(step wire.Step) contain.Sent {
	wanted := s.within(step.Scope)
	fresh := func(m procfs.Stat) bool {
		return !s.held.signaled[m.Identity()] && (wanted == nil || wanted(m))
	}
	defer s.hurry()()
	s.clearZombies()
	sent, _ := s.held.tree.Signal(step.Signal, fresh) // what it couldn't reach, SIGKILL will
	s.expect(sent.Reached)
	reached := map[procfs.Identity]bool{}
	for _, m := range sent.Reached {
		reached[m.Identity()] = true
		s.held.signaled[m.Identity()] = true
	}
	if len(reached) > 0 && step.Signal != syscall.SIGCONT && step.Signal != syscall.SIGSTOP {
		_, _ = s.held.tree.Signal(syscall.SIGCONT, func(m procfs.Stat) bool { return reached[m.Identity()] && procfs.MayBeStopped(m.PID) })
	}
	return sent
}

// How long after SIGKILL it's looked for what was missed. While new members turn
// up that could get away, it's done without a pause.
const (
	firstPause   = 2 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// kill sends SIGKILL to all that can be found, and sets the time of the next
// look.
func (s *server) kill() {
	h := s.held
	if h == nil {
		return
	}
	defer s.hurry()()
	s.clearZombies()
	sent, _ := h.tree.Kill() // what it couldn't find, the next sweep may
	s.expect(sent.Reached)
	fresh := s.noteKilled(sent.Reached)
	// An owner's side that doesn't read isn't told of each sweep of a storm.
	const mostTold = 32
	if s.sweeps++; len(fresh) > 0 && s.sweeps <= mostTold {
		s.tell(&wire.Signaled{
			At: time.Now(), Signal: syscall.SIGKILL, Scope: wire.ScopeTree,
			Count: len(fresh), Names: members(fresh, 0),
		})
	}
	if !h.anchored {
		if s.reap(); s.held != h {
			return // that was the last
		}
	}
	if len(sent.Reached) == 0 && slices.ContainsFunc(sent.Denied, h.stays) && s.machine.State == Killing {
		s.step(GiveUp, wire.Plan{}) // waiting won't give the right to signal them
	}
	if len(fresh) > 0 && sent.Again {
		s.pause = 0
		s.progress()
	}
	s.sweep.Reset(s.pause)
	s.pause = max(firstPause, min(2*s.pause, longestPause))
}

// stays says whether a member that may not be signalled isn't ending all the same: by itself,
// or by its cgroup, whose list it leaves before it is a zombie.
func (h *holding) stays(m procfs.Stat) bool {
	if h.killed[m.Identity()] {
		return false
	}
	now, err := procfs.Read(m.PID)
	return err == nil && now.Start == m.Start && !procfs.Dying(now)
}

// progress puts off the time to give up, since members that were found only now
// were killed; for a storm that is faster than that, not for ever.
func (s *server) progress() {
	const most = 10
	if wait := s.machine.Plan.GiveUp; wait > 0 && s.machine.State == Killing && time.Since(s.killing) < most*wait {
		s.clock.Reset(wait)
	}
}

// noteKilled picks those that SIGKILL was sent to for the first time.
func (s *server) noteKilled(reached []procfs.Stat) (fresh []procfs.Stat) {
	const most = 1 << 16 // a storm isn't remembered whole
	killed := s.held.killed
	if len(killed) > most {
		clear(killed)
	}
	for _, m := range reached {
		if id := m.Identity(); !killed[id] {
			killed[id] = true
			fresh = append(fresh, m)
		}
	}
	return fresh
}
