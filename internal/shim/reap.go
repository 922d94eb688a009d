package shim

import (
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// lookAgain asks the watcher to wait for what a child has to tell. It's asked
// once at a time, and again only after what it saw was collected.
func (s *server) lookAgain() {
	switch {
	case s.held == nil && !s.outlived:
	case s.many != nil:
		s.many.lookAgain()
	case !s.looking:
		s.looking = true
		if s.held != nil && s.held.anchored {
			s.look <- s.held.leader
		} else {
			s.look <- 0
		}
	}
}

// collect takes what children have to tell. In a group it is the watcher that
// tells of the leader, the only child.
func (s *server) collect(w sys.Wait) {
	switch {
	case s.held == nil && s.outlived:
		s.reapReleased()
	case s.held == nil:
	case s.held.anchored:
		s.collectLeader(w)
	default:
		s.reap()
	}
}

// reap reaps all that has ended, leader and adopted alike, and finds out whether
// that was all.
func (s *server) reap() {
	if s.many != nil {
		s.many.reap()
		s.settle()
		return
	}
	if s.takeEnded() {
		s.toldLeaderEnd(false)
		s.checkEmpty()
		return
	}
	s.toldLeaderEnd(true)
	if s.leftAreReleased() {
		if s.checkEmpty(); s.held == nil {
			return
		}
	}
	s.lookAgain()
}

// reapReleased reaps those that were let go of a tree that is over, until this process ends.
func (s *server) reapReleased() {
	for {
		w, err := sys.WaitAny()
		if err != nil {
			s.outlived = false // ECHILD
			return
		}
		if w.PID == 0 {
			s.lookAgain()
			return
		}
	}
}

// mostTaken bounds how many of a storm are reaped before others have their turn.
const mostTaken = 1 << 10

// takeEnded takes what children have to tell, up to a bound. It is true where there is no
// child.
func (s *server) takeEnded() bool {
	for range mostTaken {
		name := s.held.orphanName()
		w, err := sys.WaitAny()
		if err != nil {
			return true // ECHILD
		}
		if w.PID == 0 {
			break
		}
		s.took(w, name)
	}
	return false
}

// clearZombies reaps what has ended, before /proc is read, in which zombies are as many as a
// storm forks while nobody reaps. What follows from an end is left to reap, as if the
// watcher's news came a little later; of a leader that is taken here the watcher may have
// seen nothing.
func (s *server) clearZombies() {
	if s.many != nil || s.held.anchored {
		return
	}
	if s.takeEnded(); s.held.leaderEnd != nil {
		s.recheck.Reset(0)
	}
}

// took takes what was learned of one child of the tree, and its name where it was read.
func (s *server) took(w sys.Wait, name procfs.Stat) {
	if w.Status.Stopped() || w.Status.Continued() {
		s.paused(w)
		return
	}
	h := s.held
	h.count(w, s.machine.State)
	s.stir()
	delete(h.expected, w.PID)
	if s.reaped != nil && w.PID != h.leader {
		s.reaped(w.PID)
	}
	if w.PID == h.leader && !h.leaderDone {
		h.leaderEnd = leaderMessage(w)
	} else if name.PID == w.PID {
		h.orphans = append(h.orphans, wire.Orphan{PID: w.PID, Name: name.Comm, Status: w.Status, At: time.Now()})
	}
}

// toldLeaderEnd tells of the leader's end, if it was reaped.
func (s *server) toldLeaderEnd(others bool) {
	end := s.held.leaderEnd
	s.held.leaderEnd = nil
	s.leaderEnded(end, others)
}

// orphanName reads the name of the zombie that will be reaped next, while it can
// be read, for the first few that aren't the leader.
func (h *holding) orphanName() procfs.Stat {
	if len(h.orphans) >= maxNamed {
		return procfs.Stat{} // nor is it asked for
	}
	return h.nameOf(sys.NextZombie())
}

func (h *holding) nameOf(pid int) procfs.Stat {
	if pid == 0 || pid == h.leader || len(h.orphans) >= maxNamed {
		return procfs.Stat{}
	}
	stat, _ := procfs.Read(pid) // unreadable: without a name
	return stat
}

func (h *holding) count(w sys.Wait, state State) {
	h.reaped++
	if h.anchored {
		if h.usage == (wire.Usage{}) { // where a look at the zombie doesn't tell it
			h.usage = usage(w.Usage)
		}
		return
	}
	if w.PID != h.leader {
		h.adopted++
	}
	if (state == Killing || state == Stuck) && w.Status.Signaled() && w.Status.Signal() == syscall.SIGKILL {
		h.endedByUs++
	}
	u := usage(w.Usage)
	h.usage.User += u.User
	h.usage.System += u.System
	h.usage.MaxRSS = max(h.usage.MaxRSS, u.MaxRSS)
}

// countKilled is how many were ended by SIGKILL. Of a group, only the leader is reaped, so
// it is who got the signal and isn't there any more.
func (h *holding) countKilled() int {
	if !h.anchored || len(h.killed) == 0 {
		return h.endedByUs
	}
	left, _ := h.tree.Members() // unseen: they are told as survivors
	ended := len(h.killed)
	for _, s := range left {
		if h.killed[s.Identity()] {
			ended--
		}
	}
	return ended
}

func usage(r syscall.Rusage) wire.Usage {
	return wire.Usage{
		User:   time.Duration(r.Utime.Nano()),
		System: time.Duration(r.Stime.Nano()),
		MaxRSS: sys.MaxRSSBytes(r),
	}
}

func leaderMessage(w sys.Wait) *wire.LeaderEnded {
	return &wire.LeaderEnded{Status: w.Status, Usage: usage(w.Usage), At: time.Now()}
}

// paused tells of a leader that was stopped or continued, for job control.
func (s *server) paused(w sys.Wait) {
	if w.PID != s.held.leader {
		return
	}
	told := &wire.Paused{At: time.Now()}
	if w.Status.Stopped() {
		told.Signal = w.Status.StopSignal()
	}
	s.tell(told)
}

// leaderEnded tells of the leader's end, and whether others live on without it.
func (s *server) leaderEnded(told *wire.LeaderEnded, others bool) {
	if told == nil {
		return
	}
	s.held.leaderDone = true
	if others {
		told.Left = s.alive()
		told.Lost = len(told.Left) > 0
	}
	s.tell(told)
	s.noteLeaderEnd(told)
	s.step(LeaderEnded, wire.Plan{})
	if cause := s.terms.start.AfterLeader; told.Lost && cause != "" && s.unstopped() {
		s.stop(cause, nil)
	}
}

// alive names the members that go on living. Who was reached by the same fatal
// signal as the leader, and has only not ended yet, isn't one.
func (s *server) alive() []wire.Member {
	s.clearZombies()
	members, err := s.held.tree.Members()
	if err != nil {
		return nil
	}
	var left []wire.Member
	for _, m := range members {
		if m.PID != s.held.leader && !procfs.Dying(m) {
			left = append(left, member(m))
		}
	}
	return bounded(left)
}

// collectLeader is for a group, whose leader is the only child and stays a zombie
// until the rest of the group is gone.
func (s *server) collectLeader(w sys.Wait) {
	h := s.held
	if w.PID != h.leader {
		// It may have ended since, and must not be reaped here.
		if w := sys.TakePause(h.leader); w.PID != 0 {
			s.paused(w)
		}
		s.lookAgain()
		return
	}
	h.usage = usage(w.Usage)
	s.leaderEnded(leaderMessage(w), true)
	s.checkEmpty()
}

// checkEmpty ends the tree where the mechanism, too, says that nobody is left, and
// else waits until that may have changed.
func (s *server) checkEmpty() {
	h := s.held
	if h == nil {
		return
	}
	if h.anchored && !h.leaderDone {
		return
	}
	s.takeEmpty(h.tree.Empty())
}

// takeEmpty is checkEmpty, with what the mechanism has said of a tree whose leader has ended.
func (s *server) takeEmpty(empty bool, err error) {
	h := s.held
	if err == nil && empty && h.dying() {
		s.recheck.Reset(longestPause) // that it was reaped is told, unless it isn't ours any more
		return
	}
	if err == nil && empty {
		if h.anchored {
			if w, err := sys.WaitPid(h.leader); err == nil && w.PID == h.leader {
				h.count(w, s.machine.State)
			}
		}
		if r := s.terms.record; r != nil {
			r.life.Done = true
			if s.machine.State == Stuck { // its end was told, with those who have ended now
				r.write()
			}
		}
		s.noticeSide()
		s.step(Empty, wire.Plan{})
		return
	}
	s.sendToStrays()
	if h.awaiting {
		return
	}
	h.awaiting = true
	go func() {
		if h.tree.AwaitEmpty() != nil {
			time.Sleep(longestPause) // polls: there may be no descriptor to wait with
		}
		s.post(s.awaited) // whatever it is, the loop asks again
	}()
}

// awaited looks again, from the beginning: the news may be of an earlier tree.
func (s *server) awaited() {
	switch h := s.held; {
	case h == nil:
	case h.anchored:
		h.awaiting = false
		s.checkEmpty()
	default:
		h.awaiting = false
		s.reap()
	}
}

// tellEnded tells how the tree ended, and forgets it.
func (s *server) tellEnded(m *wire.Ended) {
	h := s.held
	s.clock.Stop()
	s.sweep.Stop()
	m.At, m.Usage = time.Now(), h.usage
	m.Reaped, m.Adopted, m.Killed = h.reaped, h.adopted, h.countKilled()
	m.OwnerGone, m.Orphans, m.Read = s.machine.OwnerGone, h.orphans, s.terms.reader != nil
	m.OOMKills = oomKills(h.tree)
	if h.letGo {
		m.LetGo = members(h.tree.Released(), 0)
		s.outlived = s.many == nil && !h.anchored
	}
	_ = h.tree.Close() // a folder that's left is removed by the owner's side
	s.tell(m)
	s.noteEnd(m)
	if s.many != nil {
		s.many.letGo(s.terms)
	}
	s.held = nil
	if s.outlived {
		s.lookAgain()
	}
}

// tellSurvivors tells who is left, and goes on holding them.
func (s *server) tellSurvivors() {
	h := s.held
	m := &wire.Ended{
		At: time.Now(), Usage: h.usage, OwnerGone: s.machine.OwnerGone,
		Reaped: h.reaped, Adopted: h.adopted, Killed: h.countKilled(),
		Survivors: s.survivors(), Orphans: h.orphans, OOMKills: oomKills(h.tree),
	}
	s.tell(m)
	s.noteEnd(m)
}

// maxNamed bounds how many processes one message names.
const maxNamed = 64

func bounded(m []wire.Member) []wire.Member { return m[:min(len(m), maxNamed)] }

func member(s procfs.Stat) wire.Member {
	return wire.Member{PID: s.PID, Start: s.Start, Name: s.Comm, State: s.State}
}

func members(list []procfs.Stat, err syscall.Errno) []wire.Member {
	named := make([]wire.Member, 0, min(len(list), maxNamed))
	for _, s := range list[:min(len(list), maxNamed)] {
		m := member(s)
		m.Error = err
		named = append(named, m)
	}
	return named
}

// survivors names who is left in spite of SIGKILL, and why where that is known.
func (s *server) survivors() []wire.Member {
	sent, err := s.held.tree.Kill()
	if err != nil && len(sent.Denied)+len(sent.Reached) == 0 {
		return []wire.Member{{Name: "unknown", Error: errno(err)}}
	}
	left := append(members(sent.Denied, unix.EPERM), members(sent.Reached, 0)...)
	named := map[int]bool{}
	left = slices.DeleteFunc(left, func(m wire.Member) bool { // who was met twice
		met := named[m.PID]
		named[m.PID] = true
		return met
	})
	if len(left) == 0 {
		// Not to be seen, but there: wait4 says so.
		return []wire.Member{{Name: "unknown"}}
	}
	return bounded(left)
}
