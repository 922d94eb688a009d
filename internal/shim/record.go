package shim

import (
	"os"
	"slices"
	"time"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/wire"
)

// record is what this process writes to the journal's entry of its tree, for the case
// that it is killed, and its owner's side as well. The entry's lock, which it holds as
// long as it has the file, says that it lives.
type record struct {
	entry *journal.Record
	life  wire.Life
	wait  time.Duration // until the next look at who is there
}

func newRecord(file *os.File) *record {
	return &record{entry: journal.Adopt(file), wait: firstRoll}
}

// How long after its start a tree's members are looked for, and how long at most
// between two such looks.
const (
	firstRoll = 20 * time.Millisecond
	restRoll  = 10 * time.Second
)

// write writes it anew. Where that fails, the tree isn't harmed: only who recovers it
// would know less.
func (r *record) write() { _ = r.entry.Write(&r.life) }

// noteStart writes down the leader. Where only a process that is known can be found
// again, it begins to call the roll; a cgroup knows its members, and a PID namespace
// leaves none.
func (s *server) noteStart() {
	r := s.terms.record
	if r == nil {
		return
	}
	r.life.Leader = s.terms.leader
	r.life.Members = []wire.Member{s.terms.leader}
	r.write()
	if c := s.terms.start.Containment; c == wire.Subreaper || c == wire.Group {
		s.roll.Reset(r.wait)
	}
}

// callRoll writes down who is there, if others are than before.
func (s *server) callRoll() {
	if s.held == nil || s.terms == nil || s.terms.record == nil {
		return
	}
	r := s.terms.record
	if list, err := s.held.tree.Members(); err == nil {
		found := r.life.Members[:0:0]
		for _, m := range list {
			found = append(found, wire.Member{PID: m.PID, Start: m.Start})
		}
		if !slices.Equal(found, r.life.Members) {
			r.life.Members = found
			r.write()
		}
	}
	r.wait = min(2*r.wait, restRoll)
	s.roll.Reset(r.wait)
}

func (s *server) noteLeaderEnd(m *wire.LeaderEnded) {
	if r := s.terms.record; r != nil {
		r.life.LeaderDone, r.life.LeaderEnd = true, *m
		if m.Lost {
			r.write() // else its end follows
		}
	}
}

// noteEnd writes down how the tree ended.
func (s *server) noteEnd(m *wire.Ended) {
	if r := s.terms.record; r != nil {
		r.life.Done, r.life.End, r.life.Cause = len(m.Survivors) == 0, *m, s.terms.cause
		if s.side == nil || s.terms.deserted || s.terms.claimed || s.terms.start.Keep || !r.life.Done || s.machine.State == Told {
			r.write() // else the owner's side is about to remove it
		}
	}
}
