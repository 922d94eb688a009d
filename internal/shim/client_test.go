package shim

import (
	"bytes"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// mute is a client that nothing is sent to: its queue only fills.
func mute(t *testing.T) *client {
	t.Helper()
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mine.Close(); theirs.Close() })
	return &client{conn: wire.NewConn(mine), out: make(chan *parcel, longestQueue), watching: true}
}

// sentAway says whether the connection was ended.
func sentAway(c *client) bool { return c.conn.Send(nil, &wire.Files{}) != nil }

func TestIdleTalkNeverFillsAQueue(t *testing.T) {
	side, watcher := mute(t), mute(t)
	s := &server{side: side, clients: map[*client]bool{side: true, watcher: true}}
	at := time.Now()
	for n := range 10 * longestQueue {
		s.spread([]wire.Message{&wire.Notified{At: at, MainPID: n}})
		s.spread([]wire.Message{&wire.Paused{At: at}})
		s.spread([]wire.Message{&wire.LeaseNews{At: at, Kind: wire.LeaseExtended}, &wire.LeaseNews{At: at, Kind: wire.LeaseEnding}})
		s.spread([]wire.Message{&wire.Signaled{At: at}})
	}
	last := []wire.Message{
		&wire.LeaseNews{At: at, Kind: wire.LeaseOver}, &wire.Stopping{At: at},
		&wire.LeaderEnded{At: at}, &wire.Ended{At: at},
	}
	for _, m := range last {
		s.spread([]wire.Message{m})
	}
	for _, c := range s.clientsOf() {
		if sentAway(c) {
			t.Fatal("a client that was slow with idle talk was sent away")
		}
		close(c.out)
		var got []byte
		for p := range c.out {
			got = append(got, p.frames...)
		}
		want, err := wire.Frames(last...)
		if err != nil || !bytes.HasSuffix(got, want) {
			t.Errorf("the queue doesn't end by %v, %v", last, err)
		}
	}
}

func (s *server) clientsOf() (list []*client) {
	for c := range s.clients {
		list = append(list, c)
	}
	return list
}

func TestAGuestWhoseQueueIsFullIsSentAwayAlone(t *testing.T) {
	side, guest := mute(t), mute(t)
	s := &server{side: side, clients: map[*client]bool{side: true, guest: true}}
	for n := range longestQueue + 1 {
		s.give(guest, nil, &wire.Replied{ID: uint64(n)}) // it asks, and doesn't read
	}
	if !sentAway(guest) || sentAway(side) {
		t.Error("the guest is still there, or the owner's side isn't")
	}
	fd, err := sys.Dup(int(0))
	if err != nil {
		t.Fatal(err)
	}
	s.give(guest, []int{fd}, &wire.Replied{})
	if err := syscall.Fsync(fd); err != syscall.EBADF {
		sys.Close(fd)
		t.Error("a descriptor for who was sent away stays open")
	}
}

func TestGuestsAreLetInAfterAnErrorThatPasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := sys.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	sys.Fault = func(op string) error {
		if op != "accept" || failures == 2 {
			return nil
		}
		failures++
		return syscall.EMFILE
	}
	s := &server{loop: newLoop()}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.accept(listener)
	}()
	guest, err := sys.Connect(path)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case arrived := <-s.loop.work:
		arrived() // there is no tree: the guest is sent away
	case <-closed:
		t.Error("who comes after it finds nobody")
	}
	guest.Close()
	listener.Close()
	<-closed
	sys.Fault = nil
}

func TestTheHistoryKeepsWhatMatters(t *testing.T) {
	var h terms
	at := time.Now()
	end, stop := &wire.LeaderEnded{At: at}, &wire.Stopping{At: at}
	h.remember([]wire.Message{stop, end})
	for n := range 3 * longestHistory {
		h.remember([]wire.Message{&wire.Notified{MainPID: n}, &wire.LeaseNews{Kind: wire.LeaseExtended}})
	}
	if len(h.history) != longestHistory || h.history[0] != stop || h.history[1] != end {
		t.Errorf("%d are kept, the first %v", len(h.history), h.history[:2])
	}
}
