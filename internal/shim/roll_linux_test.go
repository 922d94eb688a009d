package shim

import (
	"testing"
	"time"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

func TestTheRollIsCalledLessOftenTheLongerNothingHappens(t *testing.T) {
	looks := 0
	wait := firstRoll
	for past := time.Duration(0); past < time.Hour; past += wait {
		looks++
		wait = nextRoll(wait, false)
	}
	if wait != idleRoll || looks > 30 {
		t.Errorf("%d looks in the first hour of an idle tree, then one each %v", looks, wait)
	}
	if wait = nextRoll(wait, true); wait != restRoll {
		t.Errorf("%v after others were found, want %v", wait, restRoll)
	}
	if wait = nextRoll(firstRoll, true); wait != 2*firstRoll {
		t.Errorf("%v after others were found early, want %v", wait, 2*firstRoll)
	}
}

// familiar is a tree of which each look finds the same.
type familiar struct{ deserted }

func (familiar) Members() ([]procfs.Stat, error) { return []procfs.Stat{{PID: 7, Start: 8}}, nil }

// TestTheRollOfAnIdleTree: that of a cgroup isn't called at all, and news of the others
// have it called soon.
func TestTheRollOfAnIdleTree(t *testing.T) {
	for level, called := range map[wire.Containment]bool{
		wire.Group: true, wire.Subreaper: true, wire.Cgroup: false, wire.PIDNS: false,
	} {
		t.Run(level.String(), func(t *testing.T) {
			entry, err := journal.Create(t.TempDir(), &wire.Entry{ID: "db"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { entry.Close() })
			s := &server{loop: newLoop(), machine: Machine{State: Running}, held: &holding{tree: familiar{}}}
			s.roll = s.newClock(s.callRoll)
			s.terms = &terms{start: &wire.Start{Containment: level}, record: newRecord(entry.File(), false)}
			defer s.roll.Stop()
			if s.noteStart(); (s.roll.timer != nil) != called {
				t.Fatalf("it will be called: %v, want %v", s.roll.timer != nil, called)
			}
			s.tell(&wire.Paused{})
			if (s.roll.timer != nil) != called {
				t.Fatalf("it will be called after news: %v, want %v", s.roll.timer != nil, called)
			}
			if !called {
				return
			}
			for range 20 {
				s.callRoll()
			}
			if s.terms.record.wait != idleRoll {
				t.Errorf("the next after %v, want %v", s.terms.record.wait, idleRoll)
			}
			s.tell(&wire.Paused{})
			if s.terms.record.wait != restRoll {
				t.Errorf("the next after %v, once something has happened; want %v", s.terms.record.wait, restRoll)
			}
		})
	}
}
