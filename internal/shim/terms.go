package shim

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// terms are on whose behalf a tree is held, and for how long; and what is kept of it
// for others than the owner's side. They outlive the tree where its end is kept.
type terms struct {
	start      *wire.Start
	owner      wire.Member
	ownerPidfd *os.File // of an owner with a name; nil: the owner is the owner's side
	graceUntil time.Time
	listener   *os.File
	outputs    map[uint8]int // the reading ends of pipes that are kept
	reader     *client       // who has them, too
	kept       []int         // what is only held, for the next owner's side
	leader     wire.Member
	cause      string // of a stop
	claimed    bool   // its owner's side isn't the one that started it
	deserted   bool   // its owner's side was gone before the end was told
	history    []wire.Message
	record     *record // in the journal; nil: there is none

	lease      lease
	leaseAlarm *sys.Alarm
	watchdog   *sys.Alarm
	notify     *os.File
	ready      bool
	text       string
	mainPID    int
}

// agree makes what a start asks for beside the leader. On failure nothing is left.
func (s *server) agree(m *wire.Start, f *forker) (*terms, *failure) {
	t := &terms{start: m, owner: m.Owner, outputs: map[uint8]int{}}
	for i, stream := range m.Outputs {
		t.outputs[stream] = f.outputs[i]
	}
	t.kept = f.kept
	f.outputs, f.kept = nil, nil
	if m.Read {
		t.reader = s.side
	}
	stage, err := StageProtocol, t.open(m, f)
	switch {
	case err != nil:
	case f.notify >= 0:
		stage = StageNotify
		t.notify, err = f.take(&f.notify, "notify")
	case m.Notify != "":
		stage = StageNotify
		t.notify, err = sys.ListenNotify(m.Notify)
	}
	if err != nil {
		t.close()
		return nil, &failure{stage, err}
	}
	return t, nil
}

func (t *terms) open(m *wire.Start, f *forker) (err error) {
	if f.listener >= 0 {
		if t.listener, err = f.take(&f.listener, "listener"); err != nil {
			return err
		}
	}
	if f.owner >= 0 {
		if t.ownerPidfd, err = f.take(&f.owner, "owner"); err != nil {
			return err
		}
	}
	if f.journal >= 0 {
		file, err := f.take(&f.journal, "journal")
		if err != nil {
			return err
		}
		t.record = newRecord(file, m.Began > 0)
	}
	if m.Lease.Time > 0 {
		if t.leaseAlarm, err = sys.NewAlarm(m.Lease.Suspend); err != nil {
			return err
		}
	}
	if m.Notify != "" {
		t.watchdog, err = sys.NewAlarm(false)
	}
	return err
}

// begin sets the clocks, and opens the doors.
func (s *server) begin(t *terms, leader wire.Member) {
	s.terms = t
	t.leader = leader
	if t.listener != nil {
		go s.accept(t.listener)
	}
	if t.ownerPidfd != nil {
		s.watchOwner(t.ownerPidfd)
	}
	if t.notify != nil {
		go s.hear(t.notify, t.users())
		go s.ringing(t.watchdog)
		if t.start.Watchdog > 0 {
			_ = t.watchdog.Set(t.start.Watchdog - s.age()) // the call that made it has worked
		}
	}
	if t.leaseAlarm != nil {
		t.lease = newLease(t.start.Lease, t.now()-s.age())
		go s.ringing(t.leaseAlarm)
		s.setLease()
	}
	s.noteStart()
}

// age is how long ago the leader was started, where that was by a stub.
func (s *server) age() time.Duration {
	if began := s.terms.start.Began; began > 0 {
		return s.terms.now() - began
	}
	return 0
}

func (t *terms) now() time.Duration { return sys.Now(t.start.Lease.Suspend) }

func (s *server) ringing(a *sys.Alarm) {
	for a.Wait() == nil && s.post(func() { s.rang(a) }) {
	}
}

func (s *server) setLease() {
	t := s.terms
	_ = t.leaseAlarm.Set(t.lease.next() - t.now())
}

// rang acts on a clock. A tree that has ended has no time to run out of.
func (s *server) rang(a *sys.Alarm) {
	t := s.terms
	switch {
	case t == nil || !s.unstopped():
	case a == t.watchdog:
		s.watchdogOver()
	case a == t.leaseAlarm:
		s.leaseDue()
	}
}

func (s *server) watchdogOver() {
	s.tell(&wire.LeaseNews{At: time.Now(), Kind: wire.WatchdogOver})
	s.stop(CauseWatchdog, nil)
}

func (s *server) leaseDue() {
	t := s.terms
	now := t.now()
	var what leaseEvent
	t.lease, what = t.lease.due(now)
	switch what {
	case endingDue:
		s.tell(&wire.LeaseNews{At: time.Now(), Kind: wire.LeaseEnding, Left: t.lease.left(now)})
		if sig := t.start.Lease.Signal; sig > 0 {
			_, _ = s.signal(sig, wire.ScopeLeader) // a leader that has ended needs no warning
			if s.held == nil {
				return // by that it was found that the tree is over
			}
		}
	case overDue:
		s.tell(&wire.LeaseNews{At: time.Now(), Kind: wire.LeaseOver})
		s.stop(CauseExpired, nil)
		return
	}
	s.setLease()
}

// unstopped says whether the tree runs, and nobody has asked for its end.
func (s *server) unstopped() bool {
	return s.machine.State == Running || s.machine.State == Waiting
}

// The causes of a stop that the shim finds by itself.
const (
	CauseExpired   = "expired"
	CauseWatchdog  = "watchdog"
	CauseOwnerGone = "owner-gone"
	CauseStopped   = "stopped"
)

// stop stops the tree, by the plan that came with its start where none is given.
func (s *server) stop(cause string, plan *wire.Plan) {
	p := s.machine.OnOwnerGone
	if plan != nil {
		p = *plan
	}
	s.noteStop(cause)
	s.step(Stop, p)
}

// noteStop tells the first cause of a stop.
func (s *server) noteStop(cause string) {
	if s.terms == nil || s.terms.cause != "" || s.held == nil {
		return
	}
	s.terms.cause = cause
	s.tell(&wire.Stopping{At: time.Now(), Cause: cause})
}

// users are those whose processes the tree is known to have.
func (t *terms) users() []int {
	users := []int{0, os.Getuid()}
	if c := t.start.Credential; c.Set {
		users = append(users, int(c.UID))
	}
	return users
}

// listen takes note of what the application tells of itself. It is false where a stranger
// has told it.
func (s *server) listen(n notice, users []int) bool {
	t := s.terms
	if t == nil || s.held == nil || n.socket != t.notify {
		return true // it is of a tree that has ended
	}
	may := mayNotify
	if s.many != nil {
		may = s.memberMayNotify
	}
	if !may(n.pid, n.uid, users) {
		return false
	}
	s.heed(n)
	return true
}

// heed acts on what the application tells of itself.
func (s *server) heed(n notice) {
	t := s.terms
	if n.watchdog > 0 && t.start.Watchdog > 0 {
		t.start.Watchdog = n.watchdog
		n.alive = true
	}
	if n.alive && t.start.Watchdog > 0 {
		_ = t.watchdog.Set(t.start.Watchdog)
	}
	if n.trigger && s.unstopped() {
		s.watchdogOver()
	}
	if s.held == nil {
		return // by that it has ended at once: no news may follow those of its end
	}
	if n.extend > 0 && t.lease.exists() && s.unstopped() {
		s.lengthen(t.lease.stretch(t.now(), n.extend))
	}
	news := n.ready && !t.ready || n.hasText && n.text != t.text || n.mainPID > 0 && n.mainPID != t.mainPID
	t.ready = t.ready || n.ready
	if n.hasText {
		t.text = n.text
	}
	if n.mainPID > 0 {
		t.mainPID = n.mainPID
	}
	if news {
		s.tell(&wire.Notified{At: time.Now(), Ready: t.ready, Text: t.text, MainPID: t.mainPID})
	}
}

// lengthen takes a longer lease.
func (s *server) lengthen(longer lease) {
	t := s.terms
	if longer == t.lease {
		return
	}
	t.lease = longer
	s.setLease()
	s.tell(&wire.LeaseNews{At: time.Now(), Kind: wire.LeaseExtended, Left: longer.left(t.now())})
}

// longestHistory bounds what is kept for who comes later.
const longestHistory = 256

// remember keeps news. Where there are too many, idle talk goes first.
func (t *terms) remember(news []wire.Message) {
	t.history = append(t.history, news...)
	for len(t.history) > longestHistory {
		i := slices.IndexFunc(t.history, idleTalk)
		if i < 0 {
			i = slices.IndexFunc(t.history, func(m wire.Message) bool {
				_, end := m.(*wire.LeaderEnded)
				return !end
			})
		}
		t.history = slices.Delete(t.history, i, i+1)
	}
}

// unregister removes what others find the tree by, which the owner's side does that
// has made it. It is done while the entry's lock is held: the name isn't another's yet,
// unless the entry was removed before.
func (t *terms) unregister() {
	if t.record == nil || !t.record.entry.At(t.start.JournalPath) {
		return
	}
	if t.start.SocketPath != "" {
		_ = os.Remove(t.start.SocketPath) // who comes now finds nothing
	}
	if t.record.life.Done && !t.start.Keep {
		_ = os.Remove(t.start.JournalPath) // else it's pruned
	}
}

// saveOutput keeps what nobody has read of a tree whose end is kept, where its owner's
// side, which else does that, is gone or isn't the one that started it.
func (t *terms) saveOutput() {
	if t.reader != nil || !t.start.Keep || t.record == nil || !t.record.life.Done || t.record.life.End.Released {
		return
	}
	folder := filepath.Dir(t.start.JournalPath)
	for stream, fd := range t.outputs {
		out, err := sys.OpenPassed(fd, "output")
		if err != nil {
			continue // closed with the rest
		}
		delete(t.outputs, stream)
		_ = journal.SaveOutput(folder, t.start.ID, int(stream), out) // there is nobody to be told
		out.Close()
	}
}

// close gives back all that the terms hold.
func (t *terms) close() {
	for _, f := range []*os.File{t.ownerPidfd, t.listener, t.notify} {
		if f != nil {
			f.Close()
		}
	}
	for _, fd := range t.outputs {
		sys.Close(fd)
	}
	sys.CloseAll(t.kept)
	for _, a := range []*sys.Alarm{t.leaseAlarm, t.watchdog} {
		if a != nil {
			a.Close()
		}
	}
	if t.record != nil {
		t.record.entry.Close()
	}
}
