package shim

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/foster-init/foster/internal/wire"
)

// treeWorld is what the acts of a tree's machine do, and from which its events come.
type treeWorld struct {
	m Machine

	alive  bool // a process of the tree
	leader bool // its leader
	owner  bool
	side   bool // the owner's side is connected
	killed bool // SIGKILL was sent to all
	grace  bool // its clock runs
	plan   wire.Plan
	sent   []wire.Step // of the plan
	told   int
	exited bool
}

// apply makes one transition, and does its actions.
func (w *treeWorld) apply(t *rapid.T, e Event, plan wire.Plan) {
	from := w.m
	m, actions, err := w.m.next(e, plan)
	if err != nil {
		t.Fatalf("event %d is refused in %+v", e, from)
	}
	if m.State == Stopping && (from.State != Stopping || e == Stop) || m.State == Killing && e == Stop {
		w.plan, w.sent = m.Plan, nil
	}
	w.m = m
	for _, a := range actions {
		switch a.Act {
		case SendStep, SendToRest, KillAll:
			if !w.alive {
				t.Fatalf("event %d in %+v signals a tree that is empty", e, from)
			}
			if w.killed && a.Act != KillAll {
				t.Fatalf("event %d in %+v sends a step after SIGKILL", e, from)
			}
		}
		switch a.Act {
		case SendStep:
			w.sent = append(w.sent, a.Step)
		case KillAll:
			w.killed = true
		case StartGrace:
			w.grace = true
		case StopGrace:
			w.grace = false
		case TellEnded, TellSurvivors, TellReleased:
			w.told++
		case Exit:
			if w.alive && e != Released {
				t.Fatalf("event %d in %+v: the shim leaves a tree that lives", e, from)
			}
			w.exited = true
		}
	}
	if w.alive && (m.State == Idle || m.State == Done && e != Released || m.State == Kept || m.State == Told) {
		t.Fatalf("event %d leads to state %d, and the tree lives", e, m.State)
	}
}

// possible are the events that can come now.
func (w *treeWorld) possible() (list []Event) {
	if w.exited {
		return nil
	}
	s := w.m.State
	if w.side {
		if s == Idle {
			list = append(list, Started)
		}
		if s == Running {
			list = append(list, Released)
		}
		if s == Told {
			list = append(list, Confirmed)
		}
		list = append(list, SideGone)
	}
	if w.owner {
		list = append(list, OwnerGone)
	}
	list = append(list, Stop)
	if w.alive {
		if w.leader {
			list = append(list, LeaderEnded)
		} else {
			list = append(list, Empty)
		}
		if s == Stopping {
			list = append(list, StepOver)
		}
		if s == Killing {
			list = append(list, GiveUp)
		}
	}
	if w.grace {
		list = append(list, GraceOver)
	}
	if !w.owner && !w.side && (s == Waiting || s == Kept) {
		list = append(list, Claimed)
	}
	// That somebody is gone may change nothing any more.
	return slices.DeleteFunc(list, func(e Event) bool { return table[s][e] == nil && (e == SideGone || e == OwnerGone || e == GraceOver) })
}

func (w *treeWorld) happen(t *rapid.T, e Event, plan wire.Plan) {
	switch e {
	case Started:
		*w = treeWorld{m: w.m, alive: true, leader: true, owner: w.owner, side: w.side}
	case LeaderEnded:
		w.leader = false
	case Empty, Released:
		w.alive = false
	case OwnerGone:
		w.owner = false
	case SideGone:
		w.side = false
	case GraceOver:
		w.grace = false
	case Claimed:
		w.owner, w.side = true, true
	}
	w.apply(t, e, plan)
}

func drawPlan(t *rapid.T) (p wire.Plan) {
	for range rapid.IntRange(0, 4).Draw(t, "steps of the plan") {
		p.Steps = append(p.Steps, wire.Step{
			Signal: 15, Wait: time.Second,
			Scope: rapid.SampledFrom([]wire.Scope{wire.ScopeTree, wire.ScopeGroup, wire.ScopeLeader, wire.ScopeLeaderFirst}).Draw(t, "scope"),
		})
	}
	return p
}

// reach walks to some state of the world.
func reach(t *rapid.T) *treeWorld {
	w := &treeWorld{m: Machine{State: Idle, Confirm: rapid.Bool().Draw(t, "confirms")}, owner: true, side: true}
	if rapid.Bool().Draw(t, "has a grace") {
		w.m.Grace = time.Minute
	}
	for range rapid.IntRange(0, 40).Draw(t, "events") {
		events := w.possible()
		if len(events) == 0 {
			break
		}
		w.happen(t, rapid.SampledFrom(events).Draw(t, "event"), drawPlan(t))
	}
	return w
}

// Whatever comes, nobody is signalled once the tree is empty, no step follows SIGKILL, the
// end is told once, and the shim stays for as long as a process of the tree lives.
func TestATreeIsHeldUntilItIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := reach(t)
		if w.told > 1 {
			t.Fatalf("the end was told %d times: %+v", w.told, w)
		}
	})
}

// A stop sends each step of its plan once, in their order, and then SIGKILL, if nothing else
// comes than the end of each step's time.
func TestAStopOfATreeComesToSIGKILL(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := reach(t)
		if !w.alive {
			return
		}
		was, plan := w.m, drawPlan(t)
		w.happen(t, Stop, plan)
		if was.State != Killing && was.State != Stuck {
			for range plan.Steps {
				if w.killed {
					t.Fatalf("SIGKILL came before all steps had their time: %+v", w)
				}
				w.happen(t, StepOver, wire.Plan{})
			}
			if len(w.sent) != len(plan.Steps) {
				t.Fatalf("sent %+v of %+v", w.sent, plan.Steps)
			}
			for i, s := range w.sent {
				want := plan.Steps[i]
				if !w.leader && (want.Scope == wire.ScopeLeader || want.Scope == wire.ScopeLeaderFirst) {
					want.Scope = wire.ScopeTree // there is no leader to wait for
				}
				if s != want {
					t.Fatalf("step %d is %+v, want %+v", i, s, want)
				}
			}
		}
		if !w.killed {
			t.Fatalf("SIGKILL wasn't sent: %+v", w)
		}
	})
}

// A tree whose owner is gone, and that nobody claims, is stopped, and its shim ends.
func TestAnUnclaimedTreeAndItsShimEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := reach(t)
		for range 40 {
			events := w.possible()
			events = slices.DeleteFunc(events, func(e Event) bool {
				return e == Started || e == Released || e == Claimed || e == Confirmed || e == Stop || e == GiveUp || e == Empty && !w.killed
			})
			if w.killed && w.alive && !w.leader {
				events = []Event{Empty}
			}
			if len(events) == 0 {
				break
			}
			w.happen(t, rapid.SampledFrom(events).Draw(t, "event"), wire.Plan{})
		}
		if w.alive || !w.exited {
			t.Fatalf("it goes on without end: %+v", w)
		}
	})
}
