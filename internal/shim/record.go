package shim

import (
	"os"
	"slices"
	"time"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
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

// newRecord takes over the entry of a tree that is about to be started, or that was started by a
// stub.
func newRecord(file *os.File, began bool) *record {
	r := &record{wait: firstRoll}
	if !began {
		r.entry = journal.Adopt(file)
		return r
	}
	var life *wire.Life
	if r.entry, life = journal.Resume(file); life != nil {
		r.life = *life
	}
	return r
}

// How long after its start a tree's members are looked for, and how long at most between
// two such looks: as long as something happens, and in a tree that is idle.
const (
	firstRoll = 20 * time.Millisecond
	restRoll  = 10 * time.Second
	idleRoll  = 5 * time.Minute
)

// nextRoll is the time between the next two looks, after one that has found others than
// before, or the same.
func nextRoll(wait time.Duration, others bool) time.Duration {
	if others {
		return min(2*wait, restRoll)
	}
	return min(2*wait, idleRoll)
}

// stir has an idle tree looked at soon, since something has happened in it.
func (s *server) stir() {
	if s.terms == nil || s.terms.record == nil {
		return
	}
	if r := s.terms.record; r.wait > restRoll {
		r.wait = restRoll
		s.roll.Reset(r.wait)
	}
}

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
	if r.life.Leader.PID == s.terms.leader.PID {
		s.terms.leader = r.life.Leader // it may have ended since
	} else {
		r.life.Leader = s.terms.leader
		r.life.Members = []wire.Member{s.terms.leader}
		r.write()
	}
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
	list, err := s.held.tree.Members()
	s.roll.Reset(r.call(list, err))
	if r.wait > restRoll {
		sys.GiveBackMemory() // a look at all of /proc takes some MiB
	}
}

// call writes down who is there, if others are than before, and gives the time until the next
// look.
func (r *record) call(list []procfs.Stat, err error) time.Duration {
	others := false
	if err == nil {
		found := r.life.Members[:0:0]
		for _, m := range list {
			found = append(found, wire.Member{PID: m.PID, Start: m.Start, Group: m.PGID, Session: m.Session})
		}
		if others = !slices.Equal(found, r.life.Members); others {
			r.life.Members = found
			r.write()
		}
	}
	r.wait = nextRoll(r.wait, others)
	return r.wait
}

// Roll is what the owner's side writes to the journal as long as the shim is parked.
type Roll struct{ record }

// NewRoll writes down the leader and the shim. The next look at who is there is due after
// FirstRoll.
func NewRoll(entry *journal.Record, shim, leader wire.Member) *Roll {
	r := &Roll{record{entry: entry, wait: firstRoll}}
	r.life = wire.Life{Shim: shim, Leader: leader, Members: []wire.Member{leader}}
	r.write()
	return r
}

// FirstRoll is how long after a start it is looked first who is there.
const FirstRoll = firstRoll

// Call writes down who is there, and gives the time until the next look.
func (r *Roll) Call(list []procfs.Stat, err error) time.Duration { return r.call(list, err) }

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
		if s.side == nil || s.terms.deserted || s.terms.claimed || s.terms.start.Keep || !r.life.Done || m.Released || s.machine.State == Told {
			r.write() // else the owner's side is about to remove it
		}
	}
}
