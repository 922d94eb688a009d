package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// many holds several trees in one process. Each is in a cgroup of its own, by which the
// children of this process are told apart: the kernel shows that of a zombie, too, until
// it is reaped (cgroups(7)). Each tree has a server, a connection to its owner's side and
// a socket, as if it were alone; the loop and the reaping are common.
type many struct {
	loop     *loop
	servers  map[*server]bool
	leaders  map[int]*server    // that weren't reaped
	cgroups  map[string]*server // of the trees that are held, by the name of their folder
	closed   bool               // nobody asks for another tree
	look     chan struct{}
	looking  bool
	tidy     clock          // when to give back the memory that starts have taken
	untidy   time.Time      // since when they take it; zero: it was given back
	partings sync.WaitGroup // last words under way
}

// tidyAfter is how long after the last start of several that is; tidyAtLatest, where one
// start follows the other, how long after the first.
const (
	tidyAfter    = time.Second
	tidyAtLatest = 30 * time.Second
)

// serveMany serves who asks for trees, until it is gone and all trees are over.
func serveMany(conn *wire.Conn) {
	m := &many{
		loop: newLoop(), servers: map[*server]bool{}, leaders: map[int]*server{}, cgroups: map[string]*server{},
		look: make(chan struct{}, 1),
	}
	m.tidy = clock{loop: m.loop, due: m.giveBack}
	go m.watch()
	go m.receive(conn)
	go m.run() // not on the main thread: who wakes it would have to wake that thread as well
	<-m.loop.over
}

func (m *many) run() {
	for !m.closed || len(m.servers) > 0 {
		(<-m.loop.work)()
	}
	m.partings.Wait() // before this process ends
	close(m.loop.over)
}

// receive passes on who asks for a tree. Each gets a connection of its own.
func (m *many) receive(conn *wire.Conn) {
	for {
		msg, err := conn.Receive()
		if _, ok := msg.(*wire.Open); err == nil && !ok {
			err = errNonsense
		}
		var fds []int
		if err == nil {
			fds, err = conn.Claim(1)
		}
		m.loop.post(func() {
			if err != nil {
				m.closed = true
			} else {
				m.open(fds[0])
			}
		})
		if err != nil {
			conn.Close()
			return
		}
	}
}

// open serves another owner's side. What can't be adopted is closed, which that side
// sees.
func (m *many) open(fd int) {
	pid, uid, err := sys.Peer(fd)
	if err != nil || uid != os.Getuid() {
		sys.Close(fd)
		return
	}
	sock, err := sys.AdoptSocket(fd)
	if err != nil {
		sys.Close(fd)
		return
	}
	s := newServer(m.loop, wire.NewConn(sock), pid)
	s.many = m
	m.servers[s] = true
}

// leave forgets a server that is done. Its last words are sent without holding up others.
func (m *many) leave(s *server) {
	if !m.servers[s] {
		return
	}
	delete(m.servers, s)
	s.forget()
	m.partings.Go(s.farewell)
}

// hold takes note of a tree whose leader was started.
func (m *many) hold(s *server) {
	m.leaders[s.held.leader] = s
	m.cgroups[filepath.Base(s.terms.start.CgroupPath)] = s
	m.tidySoon(time.Now())
}

// tidySoon has the memory given back that a start takes.
func (m *many) tidySoon(now time.Time) {
	if m.untidy.IsZero() {
		m.untidy = now
	}
	if left := m.untidy.Add(tidyAtLatest).Sub(now); left > 0 {
		m.tidy.Reset(min(tidyAfter, left))
	}
}

func (m *many) giveBack() {
	m.untidy = time.Time{}
	sys.GiveBackMemory()
}

// letGo forgets a tree that is over. Who is left of one that was released is reaped, and
// told to nobody.
func (m *many) letGo(t *terms) { delete(m.cgroups, filepath.Base(t.start.CgroupPath)) }

// watch waits until a child has something to tell, without reaping.
func (m *many) watch() {
	for range m.look {
		_ = sys.PeekAny() // why it no longer waits, the loop finds out: a child may have been forked since
		m.loop.post(func() {
			m.looking = false
			m.reap()
		})
	}
}

func (m *many) lookAgain() {
	if !m.looking {
		m.looking = true
		m.look <- struct{}{}
	}
}

// reap reaps all that has ended, for the trees that they belong to, and finds out which
// of these are empty by that.
func (m *many) reap() {
	const most = 256 // then it's the others' turn: one tree may make orphans faster than they are reaped
	touched := map[*server]bool{}
	for n := 0; ; n++ {
		if n == most {
			m.lookAgain()
			break
		}
		pid, err := sys.NextChild()
		if err != nil || pid == 0 {
			if err == nil {
				m.lookAgain()
			}
			break
		}
		s := m.whose(pid)
		var name procfs.Stat
		if s != nil {
			name = s.held.nameOf(pid)
		}
		w, err := sys.WaitPid(pid)
		if err != nil || w.PID != pid {
			continue // it is looked at again
		}
		if !w.Status.Stopped() && !w.Status.Continued() {
			delete(m.leaders, pid)
		}
		if s != nil {
			s.took(w, name)
			touched[s] = true
		}
	}
	for s := range touched {
		s.turn(s.settle)
	}
}

// whose says to which tree a child belongs that has something to tell. A path has the
// cgroups that a tree made for itself behind that of the tree.
func (m *many) whose(pid int) *server {
	if s := m.leaders[pid]; s != nil {
		return m.holding(s)
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(procfs.Cgroup(pid), " (deleted)"), "/") {
		if s := m.cgroups[part]; s != nil {
			return m.holding(s)
		}
	}
	for _, s := range m.cgroups {
		if m.holding(s) != nil && s.isStray(pid) {
			return s
		}
	}
	return nil
}

// strayer is the tree of one of many, as contain has it.
type strayer interface {
	IsStray(pid int) bool
	Strays() int
}

// isStray says whether a process was moved out of the cgroup of this tree.
func (s *server) isStray(pid int) bool {
	t, ok := s.held.tree.(strayer)
	return ok && t.IsStray(pid)
}

// sendToStrays sends the step of a stop that is under way to those that were found to be of
// the tree only now.
func (s *server) sendToStrays() {
	t, ok := s.held.tree.(strayer)
	if !ok || t.Strays() == 0 || s.machine.State != Stopping {
		return
	}
	step := s.machine.Plan.Steps[s.machine.Step]
	sent, _ := t.(contain.Tree).Signal(step.Signal, func(m procfs.Stat) bool {
		return !s.held.signaled[m.Identity()] && t.IsStray(m.PID)
	}) // whom it couldn't reach, SIGKILL will
	s.expect(sent.Reached)
	for _, m := range sent.Reached {
		s.held.signaled[m.Identity()] = true
	}
}

func (m *many) holding(s *server) *server {
	if s.held == nil {
		return nil
	}
	return s
}

// settle acts on what was reaped of a tree among many: wait4 doesn't say when that was
// all, but its cgroup does.
func (s *server) settle() {
	if s.held == nil {
		return
	}
	empty, err := s.held.tree.Empty()
	s.toldLeaderEnd(err != nil || !empty)
	switch h := s.held; {
	case h == nil || !h.leaderDone:
	case err == nil && empty:
		s.takeEmpty(empty, nil) // all of /proc was read for that
	default:
		s.checkEmpty()
	}
}

// expect takes note of who was signalled, in a process that holds many trees.
func (s *server) expect(reached []procfs.Stat) {
	const most = 1 << 16 // a storm isn't remembered whole
	h := s.held
	if s.many == nil || len(h.expected)+len(reached) > most {
		return
	}
	if h.expected == nil {
		h.expected = map[int]procfs.Stat{}
	}
	for _, m := range reached {
		h.expected[m.PID] = m
	}
	if len(h.expected) >= h.tooMany() {
		h.forgetReaped()
	}
}

// tooMany is how many are expected when it is time to forget those that are gone: who has a
// parent in the tree isn't reaped here.
func (h *holding) tooMany() int { return max(256, 2*h.keptExpected) }

func (h *holding) forgetReaped() {
	for pid, seen := range h.expected {
		if now, err := procfs.Read(pid); err != nil || now.Start != seen.Start {
			delete(h.expected, pid)
		}
	}
	h.keptExpected = len(h.expected)
}

// dying says, of a tree whose cgroup is empty, whether somebody who was signalled is
// about to be reaped here: who ends leaves the cgroup a moment before it can be waited for.
func (h *holding) dying() bool {
	for pid, seen := range h.expected {
		now, err := procfs.Read(pid)
		if err == nil && now.Start == seen.Start && now.Exiting() {
			parent, err := procfs.Read(now.PPID)
			if now.PPID == os.Getpid() || err == nil && parent.Exiting() {
				return true
			}
		}
		delete(h.expected, pid)
	}
	return false
}

// admitTree says what a start asks for that can't be had among many.
func (m *many) admitTree(start *wire.Start) *failure {
	if start.Containment != wire.Cgroup {
		return &failure{StageProtocol, fmt.Errorf("one shim holds many trees in cgroups alone: %w", syscall.EINVAL)}
	}
	return nil
}
