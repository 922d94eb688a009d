package shim

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// deserted is a tree whose members have all ended: that is found as soon as it's looked for.
type deserted struct{ contain.Tree }

func (deserted) Signal(syscall.Signal, func(procfs.Stat) bool) (contain.Sent, error) {
	return contain.Sent{}, nil
}
func (deserted) Kill() (contain.Sent, error) { return contain.Sent{}, nil }
func (deserted) Empty() (bool, error)        { return true, nil }
func (deserted) Close() error                { return nil }

// zombie is the pid of a child that has ended, and wasn't reaped.
func zombie(t *testing.T) int {
	t.Helper()
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sys.PeekPid(pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// guestOf lets a guest in, and gives its end of the connection.
func guestOf(t *testing.T, s *server) (*client, *wire.Conn) {
	t.Helper()
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	far := wire.NewConn(theirs)
	t.Cleanup(func() { mine.Close(); far.Close() })
	c := &client{conn: wire.NewConn(mine), sent: make(chan struct{})}
	s.clients[c] = true
	return c, far
}

// TestWhoFindsTheEndOfATreeIsAnswered: a request of a guest is the first to find, by the
// reaping for many, that its tree is empty.
func TestWhoFindsTheEndOfATreeIsAnswered(t *testing.T) {
	for name, tt := range map[string]struct {
		machine Machine
		request wire.Message
		want    syscall.Errno
	}{
		"a signal":                     {Machine{State: Running}, &wire.Signal{ID: 7, Signal: syscall.SIGUSR1, Scope: wire.ScopeLeader}, syscall.ESRCH},
		"a stop":                       {Machine{State: Running}, &wire.Stop{ID: 7}, 0},
		"a signal, and nobody is left": {Machine{State: Killing, Alone: true, OwnerGone: true}, &wire.Signal{ID: 7, Signal: syscall.SIGUSR1, Scope: wire.ScopeLeader}, syscall.ESRCH},
		"a stop, and nobody is left":   {Machine{State: Waiting, Alone: true, OwnerGone: true}, &wire.Stop{ID: 7}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := &many{loop: newLoop(), servers: map[*server]bool{}, leaders: map[int]*server{}, cgroups: map[string]*server{}, look: make(chan struct{}, 1)}
			s := &server{loop: m.loop, many: m, machine: tt.machine, clients: map[*client]bool{}}
			s.terms = &terms{start: &wire.Start{}}
			s.held = &holding{tree: deserted{}, leader: zombie(t), killed: map[procfs.Identity]bool{}}
			m.servers[s], m.leaders[s.held.leader] = true, s
			c, far := guestOf(t, s)
			s.turn(func() { s.handle(received{from: c, msg: tt.request}) })
			m.partings.Wait()
			far.Expect(10 * time.Second)
			msg, err := far.Receive()
			reply, ok := msg.(*wire.Replied)
			if err != nil || !ok || reply.ID != 7 || reply.Errno != tt.want {
				t.Errorf("answered %+v, %v; want error %d", msg, err, tt.want)
			}
			if _, err := far.Receive(); !errors.Is(err, io.EOF) {
				t.Errorf("then %v", err)
			}
			if s.held != nil || s.terms != nil || m.servers[s] == s.done {
				t.Errorf("afterwards held %v, terms %v, done %v, served %v", s.held, s.terms, s.done, m.servers[s])
			}
		})
	}
}

// TestAReaderThatIsGoneHoldsUpNoOther: its end wasn't received yet.
func TestAReaderThatIsGoneHoldsUpNoOther(t *testing.T) {
	s := &server{loop: newLoop(), machine: Machine{State: Running}, clients: map[*client]bool{}, terms: &terms{start: &wire.Start{}}}
	before, far := guestOf(t, s)
	s.terms.reader = before
	next, _ := guestOf(t, s)
	if !s.terms.readByOther(next) || s.terms.readByOther(before) {
		t.Fatal("who reads isn't known")
	}
	far.Close()
	if s.terms.readByOther(next) {
		t.Error("it is refused")
	}
}

// TestWhoIsEndingAnywayIsNotGivenUp: who was killed with its cgroup has left that before it
// is a zombie, and may not be signalled by itself.
func TestWhoIsEndingAnywayIsNotGivenUp(t *testing.T) {
	leader := zombie(t)
	defer sys.WaitEnd(leader)
	living, err := procfs.Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ended, err := procfs.Read(leader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		denied procfs.Stat
		killed bool
		stays  bool
	}{
		"one that lives":             {living, false, true},
		"one of a killed cgroup":     {living, true, false},
		"one that ends by itself":    {ended, false, false},
		"one that has ended by then": {procfs.Stat{PID: living.PID, Start: living.Start + 1}, false, false},
	} {
		h := &holding{killed: map[procfs.Identity]bool{tt.denied.Identity(): tt.killed}}
		if got := h.stays(tt.denied); got != tt.stays {
			t.Errorf("%s stays: %v", name, got)
		}
	}
}

// TestALeaderThatIsAZombieGetsNoSignal: the watcher hasn't told of its end yet.
func TestALeaderThatIsAZombieGetsNoSignal(t *testing.T) {
	leader := zombie(t)
	defer sys.WaitEnd(leader)
	s := &server{loop: newLoop(), machine: Machine{State: Running}, held: &holding{tree: deserted{}, leader: leader, anchored: true}}
	if n, err := s.signal(syscall.SIGUSR1, wire.ScopeLeader); n != 0 || err != syscall.ESRCH {
		t.Errorf("sent to %d, %v", n, err)
	}
}

// TestNothingIsToldBehindTheEnd: who triggers the watchdog of a tree that is stopped at once
// may say more in the same datagram.
func TestNothingIsToldBehindTheEnd(t *testing.T) {
	runtime.LockOSThread() // whose priority is raised meanwhile
	defer runtime.UnlockOSThread()
	ended := &holding{tree: deserted{}, leaderDone: true, killed: map[procfs.Identity]bool{}}
	s := &server{loop: newLoop(), machine: Machine{State: Running}, held: ended, terms: &terms{start: &wire.Start{}}}
	s.listen(notice{pid: 1 << 30, uid: os.Getuid(), trigger: true, text: "x", hasText: true}, []int{os.Getuid()})
	if n := len(s.out); n == 0 || s.held != nil {
		t.Fatalf("held %v, told %v", s.held, s.out)
	}
	for i, m := range s.out {
		if _, end := m.(*wire.Ended); end != (i == len(s.out)-1) {
			t.Errorf("news %d of %d are %T", i, len(s.out), m)
		}
	}
}

// TestNothingIsLeftOfATreeThatEndsWithItsOwner: the tree is found to be empty before its
// shim reads that the owner's side is gone. Nobody can claim it: it has no grace.
func TestNothingIsLeftOfATreeThatEndsWithItsOwner(t *testing.T) {
	for name, tt := range map[string]struct{ gone, keep, replaced, socket, entry bool }{
		"the owner is there":    {socket: true, entry: true}, // and removes both
		"it is gone":            {gone: true},
		"its end is to be read": {gone: true, keep: true, entry: true},
		"the name is another's": {gone: true, replaced: true, socket: true, entry: true},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			create := func() *journal.Record {
				r, err := journal.Create(folder, &wire.Entry{ID: "db", Keep: tt.keep})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { r.Close() })
				return r
			}
			start := &wire.Start{ID: "db", Keep: tt.keep, SocketPath: filepath.Join(folder, "db.sock"), JournalPath: journal.Path(folder, "db")}
			if err := os.WriteFile(start.SocketPath, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s := &server{loop: newLoop(), machine: Machine{State: Running}, clients: map[*client]bool{}}
			mine := create()
			s.terms = &terms{start: start, record: newRecord(mine.File(), false)}
			s.held = &holding{tree: deserted{}, leaderDone: true}
			side, far := guestOf(t, s)
			if s.side = side; tt.gone {
				far.Close()
			}
			if tt.replaced {
				if err := mine.Remove(folder); err != nil {
					t.Fatal(err)
				}
				create()
			}
			s.turn(s.checkEmpty)
			if s.held != nil {
				t.Fatal("the tree isn't over")
			}
			for path, want := range map[string]bool{start.SocketPath: tt.socket, start.JournalPath: tt.entry} {
				if _, err := os.Lstat(path); (err == nil) != want {
					t.Errorf("%s is there: %v, want %v", filepath.Base(path), err == nil, want)
				}
			}
			if !tt.keep {
				return
			}
			found, err := journal.Find(folder, "db")
			if err != nil || found.State != journal.Ended || !found.Life.Done {
				t.Errorf("its end: %+v, %v", found, err)
			}
		})
	}
}

// TestTheEndOfALeaderThatIsTakenBeforeALookIsTold: the watcher saw nothing of it.
func TestTheEndOfALeaderThatIsTakenBeforeALookIsTold(t *testing.T) {
	s := &server{loop: newLoop(), machine: Machine{State: Running}, terms: &terms{start: &wire.Start{}}}
	s.recheck = s.newClock(s.awaited)
	s.held = &holding{tree: deserted{}, leader: zombie(t), killed: map[procfs.Identity]bool{}}
	s.turn(s.clearZombies)
	if s.held.leaderEnd == nil {
		t.Fatal("the leader wasn't taken")
	}
	select {
	case work := <-s.loop.work:
		work()
	case <-time.After(10 * time.Second):
	}
	if s.held != nil {
		t.Error("nobody has told of the leader's end")
	}
}
