package shim

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

var (
	allStates = []State{Idle, Running, Stopping, Killing, Stuck, Done, Waiting, Kept, Told}
	allEvents = []Event{
		Started, LeaderEnded, Empty, Stop, StepOver, GiveUp, OwnerGone, Released, SideGone, GraceOver, Claimed, Confirmed,
	}
)

func step(sig syscall.Signal, scope wire.Scope, wait time.Duration) wire.Step {
	return wire.Step{Signal: sig, Scope: scope, Wait: wait}
}

// The steps and plans of the tests. No two are alike, so that one can't be taken
// for another unseen.
var (
	termLeader = step(syscall.SIGTERM, wire.ScopeLeader, time.Second)
	intFirst   = step(syscall.SIGINT, wire.ScopeLeaderFirst, 2*time.Second)
	hupGroup   = step(syscall.SIGHUP, wire.ScopeGroup, 3*time.Second)
	quitTree   = step(syscall.SIGQUIT, wire.ScopeTree, 4*time.Second)

	four   = wire.Plan{Steps: []wire.Step{termLeader, intFirst, hupGroup, quitTree}, GiveUp: 5 * time.Second}
	other  = wire.Plan{Steps: []wire.Step{hupGroup, termLeader}, GiveUp: 6 * time.Second}
	orphan = wire.Plan{Steps: []wire.Step{quitTree}, GiveUp: 7 * time.Second}
	bare   = wire.Plan{GiveUp: 8 * time.Second}
	none   = wire.Plan{}
)

// toTree is the step as it's sent where the leader has ended before.
func toTree(s wire.Step) wire.Step {
	s.Scope = wire.ScopeTree
	return s
}

func sends(s wire.Step) []Action { return []Action{{Act: SendStep, Step: s}} }

func kills(wait time.Duration) []Action { return []Action{{Act: KillAll, Wait: wait}} }

func acts(list ...Act) (actions []Action) {
	for _, a := range list {
		actions = append(actions, Action{Act: a})
	}
	return actions
}

// stopping is a machine in a step of a plan; its owner's side is there.
func stopping(p wire.Plan, n int) Machine {
	return Machine{State: Stopping, OnOwnerGone: orphan, Plan: p, Step: n}
}

// with changes a copy.
func with(m Machine, change func(*Machine)) Machine {
	change(&m)
	return m
}

func leaderEnded(m *Machine) { m.LeaderEnded = true }

func ownerGone(m *Machine) { m.OwnerGone = true }

func in(s State) func(*Machine) { return func(m *Machine) { m.State = s } }

func confirms(m *Machine) { m.Confirm = true }

func both(m *Machine) { leaderEnded(m); ownerGone(m) }

func alone(m *Machine) { m.Alone = true }

func graceOver(m *Machine) { m.GraceOver = true }

// graced gives the tree a grace; unowned is one whose owner's side is gone.
func graced(m *Machine) { m.Grace = time.Minute }

func unowned(m *Machine) { graced(m); ownerGone(m); alone(m) }

func graces() []Action { return []Action{{Act: StartGrace, Wait: time.Minute}} }

var (
	idle    = Machine{State: Idle}
	running = Machine{State: Running, OnOwnerGone: orphan}
	killing = Machine{State: Killing, OnOwnerGone: orphan, Plan: four, Step: 4}
	stuck   = Machine{State: Stuck, OnOwnerGone: orphan, Plan: four, Step: 4}
	waiting = with(with(running, in(Waiting)), unowned)
	kept    = with(waiting, in(Kept))
	told    = with(with(running, in(Told)), confirms)
)

// transitions says what the essay in machine.go promises of each pair that can
// happen, in each of its cases.
var transitions = []struct {
	name    string
	from    Machine
	event   Event
	plan    wire.Plan
	to      Machine
	actions []Action
}{
	{"a leader makes a tree", idle, Started, orphan, running, nil},
	{"a stop that came too late is nothing", idle, Stop, four, idle, nil},
	{"without work an owner's end is the shim's", idle, OwnerGone, none, with(idle, in(Done)), acts(Exit)},

	{"a tree goes on without its leader", running, LeaderEnded, none, with(running, leaderEnded), nil},
	{"an empty tree is told, and forgotten", running, Empty, none, idle, acts(TellEnded)},
	{"so it is after its leader", with(running, leaderEnded), Empty, none, idle, acts(TellEnded)},
	{"a stop begins with its first step", running, Stop, four, stopping(four, 0), sends(termLeader)},
	{"without a leader a step to it is for the tree", with(running, leaderEnded), Stop, four,
		with(stopping(four, 0), leaderEnded), sends(toTree(termLeader))},
	{"a step to the group stays with the group", with(running, leaderEnded), Stop, other,
		with(stopping(other, 0), leaderEnded), sends(hupGroup)},
	{"a plan without steps kills at once", running, Stop, bare,
		Machine{State: Killing, OnOwnerGone: orphan, Plan: bare}, kills(bare.GiveUp)},
	{"without a time to give up it kills for ever", running, Stop, none,
		Machine{State: Killing, OnOwnerGone: orphan}, kills(0)},
	{"a lost owner's plan is the one that came with the start", running, OwnerGone, four,
		with(stopping(orphan, 0), ownerGone), sends(quitTree)},
	{"a lost owner's plan may be without steps", with(running, func(m *Machine) { m.OnOwnerGone = bare }), OwnerGone, none,
		Machine{State: Killing, OnOwnerGone: bare, Plan: bare, OwnerGone: true}, kills(bare.GiveUp)},
	{"what is let go is held no more", running, Released, none, with(running, in(Done)), acts(TellReleased, Exit)},

	{"the leader's end in a step to it alone sends nothing", stopping(four, 0), LeaderEnded, none,
		with(stopping(four, 0), leaderEnded), nil},
	{"the leader's end in a step to it first is the turn of the rest", stopping(four, 1), LeaderEnded, none,
		with(stopping(four, 1), leaderEnded), []Action{{Act: SendToRest, Step: toTree(intFirst)}}},
	{"the leader's end in a step to the group sends nothing", stopping(four, 2), LeaderEnded, none,
		with(stopping(four, 2), leaderEnded), nil},
	{"the leader's end in a step to the tree sends nothing", stopping(four, 3), LeaderEnded, none,
		with(stopping(four, 3), leaderEnded), nil},
	{"a stop that was enough", stopping(four, 1), Empty, none, idle, acts(TellEnded)},
	{"a stop that was enough, for nobody", with(stopping(orphan, 0), both), Empty, none,
		with(with(stopping(orphan, 0), both), in(Done)), acts(TellEnded, Exit)},
	{"another stop replaces the plan", stopping(four, 2), Stop, other, stopping(other, 0), sends(hupGroup)},
	{"the same stop begins again", with(stopping(four, 2), leaderEnded), Stop, four,
		with(stopping(four, 0), leaderEnded), sends(toTree(termLeader))},
	{"a stop without steps cuts another short", stopping(four, 2), Stop, bare,
		Machine{State: Killing, OnOwnerGone: orphan, Plan: bare}, kills(bare.GiveUp)},
	{"a step's time over is the turn of the next", stopping(four, 0), StepOver, none, stopping(four, 1), sends(intFirst)},
	{"the next, too, is for the tree without a leader", with(stopping(four, 0), leaderEnded), StepOver, none,
		with(stopping(four, 1), leaderEnded), sends(toTree(intFirst))},
	{"after the last step it kills", stopping(four, 3), StepOver, none, killing, kills(four.GiveUp)},
	{"an owner's end leaves the stop as it is", stopping(four, 1), OwnerGone, none, with(stopping(four, 1), ownerGone), nil},

	{"the leader was killed", killing, LeaderEnded, none, with(killing, leaderEnded), nil},
	{"all were killed", with(killing, leaderEnded), Empty, none, idle, acts(TellEnded)},
	{"all were killed, for nobody", with(killing, both), Empty, none, with(with(killing, both), in(Done)), acts(TellEnded, Exit)},
	{"there is no more to ask than to kill", killing, Stop, other, killing, nil},
	{"who doesn't end is told, and held", killing, GiveUp, none, with(killing, in(Stuck)), acts(TellSurvivors)},
	{"an owner's end leaves the killing as it is", killing, OwnerGone, none, with(killing, ownerGone), nil},

	{"the leader ended late", stuck, LeaderEnded, none, with(stuck, leaderEnded), nil},
	{"all ended late: that was told before", stuck, Empty, none, with(stuck, in(Done)), acts(Exit)},
	{"there is no more to ask of the stuck", stuck, Stop, other, stuck, nil},
	{"survivors are held for nobody, too", stuck, OwnerGone, none, with(stuck, ownerGone), nil},

	{"without work the end of its side is the shim's", idle, SideGone, none, with(idle, in(Done)), acts(Exit)},
	{"a grace outlives the news that a tree began", with(idle, graced), Started, orphan, with(running, graced), nil},
	{"an owner with a name needs no side", running, SideGone, none, with(running, alone), nil},
	{"a tree with a grace waits for another owner", with(with(running, graced), alone), OwnerGone, none,
		waiting, graces()},
	{"what ended for nobody is kept for the grace", with(with(running, graced), alone), Empty, none,
		with(with(with(running, graced), alone), in(Kept)), append(acts(TellEnded), graces()...)},
	{"what ended for nobody, without a grace, is over", with(running, alone), Empty, none,
		with(with(running, alone), in(Done)), acts(TellEnded, Exit)},

	{"a leader ends while its tree waits", waiting, LeaderEnded, none, with(waiting, leaderEnded), nil},
	{"a tree that ends while it waits is kept", waiting, Empty, none, kept, acts(TellEnded)},
	{"who hasn't a claim may still stop it", waiting, Stop, four,
		with(stopping(four, 0), unowned), sends(termLeader)},
	{"an owner can't be gone twice", waiting, OwnerGone, none, waiting, nil},
	{"its side goes after its owner", with(waiting, func(m *Machine) { m.Alone = false }), SideGone, none, waiting, nil},
	{"unclaimed it is stopped", waiting, GraceOver, none,
		with(with(stopping(orphan, 0), unowned), graceOver), sends(quitTree)},
	{"a claim makes it another's", waiting, Claimed, none, with(running, graced), acts(StopGrace)},

	{"a stop goes on without its side", stopping(four, 1), SideGone, none, with(stopping(four, 1), alone), nil},
	{"a stop goes on after the grace", stopping(four, 1), GraceOver, none, with(stopping(four, 1), graceOver), nil},
	{"a stop without an owner is kept for the grace", with(stopping(four, 1), graced), OwnerGone, none,
		with(with(stopping(four, 1), graced), ownerGone), graces()},
	{"its end is kept", with(stopping(four, 1), unowned), Empty, none,
		with(with(stopping(four, 1), unowned), in(Kept)), acts(TellEnded)},
	{"after the grace it isn't", with(with(stopping(four, 1), unowned), graceOver), Empty, none,
		with(with(with(stopping(four, 1), unowned), graceOver), in(Done)), acts(TellEnded, Exit)},
	{"killing goes on without its side", killing, SideGone, none, with(killing, alone), nil},
	{"killing goes on after the grace", killing, GraceOver, none, with(killing, graceOver), nil},
	{"survivors stay without a side", stuck, SideGone, none, with(stuck, alone), nil},
	{"survivors stay after the grace", stuck, GraceOver, none, with(stuck, graceOver), nil},

	{"there is nothing to stop in what is kept", kept, Stop, four, kept, nil},
	{"what is kept has no owner to lose", kept, OwnerGone, none, kept, nil},
	{"what is kept is forgotten after the grace", kept, GraceOver, none, with(kept, in(Done)), acts(Exit)},
	{"an end that is to be confirmed is told, and kept", with(running, confirms), Empty, none, told, acts(TellEnded)},
	{"so it is after a stop", with(stopping(four, 1), confirms), Empty, none, with(with(stopping(four, 1), confirms), in(Told)), acts(TellEnded)},
	{"who has confirmed it knows its end", told, Confirmed, none, with(told, in(Done)), acts(Exit)},
	{"there is nothing to stop in what was told", told, Stop, four, told, nil},
	{"the side goes before the owner", told, SideGone, none, with(told, alone), nil},
	{"an end that wasn't confirmed is kept for the next", with(with(told, graced), alone), OwnerGone, none,
		with(kept, confirms), graces()},
	{"without a grace there is no next", with(told, alone), OwnerGone, none, with(with(told, alone), in(Done)), acts(Exit)},
	{"who claims it may have to confirm it, too", with(kept, confirms), Claimed, none, with(told, graced), acts(StopGrace)},
	{"who claims it knows its end", kept, Claimed, none, with(kept, in(Done)), acts(Exit)},
}

func TestEachListedPairDoesWhatTheEssaySays(t *testing.T) {
	for _, tt := range transitions {
		to, actions, err := tt.from.next(tt.event, tt.plan)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !reflect.DeepEqual(to, tt.to) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", tt.name, to, tt.to)
		}
		if !reflect.DeepEqual(actions, tt.actions) {
			t.Errorf("%s:\nasks for %+v\nwant     %+v", tt.name, actions, tt.actions)
		}
	}
}

type pair struct {
	state State
	event Event
}

// listed are the pairs that the test's table has.
func listed() map[pair]bool {
	pairs := map[pair]bool{}
	for _, tt := range transitions {
		pairs[pair{tt.from.State, tt.event}] = true
	}
	return pairs
}

func TestNoPairIsListedWithoutATest(t *testing.T) {
	pairs := listed()
	for state, events := range table {
		if !slices.Contains(allStates, state) {
			t.Errorf("state %d is unknown to the tests", state)
		}
		for event := range events {
			if !pairs[pair{state, event}] {
				t.Errorf("event %d in state %d has no test", event, state)
			}
		}
	}
}

func TestEveryOtherPairIsAnErrorAndChangesNothing(t *testing.T) {
	pairs := listed()
	for _, state := range append([]State{0, Told + 1}, allStates...) {
		for _, event := range append([]Event{0, Confirmed + 1}, allEvents...) {
			if pairs[pair{state, event}] {
				continue
			}
			from := Machine{State: state, OnOwnerGone: orphan, Plan: four, Step: 1, LeaderEnded: true, OwnerGone: true}
			to, actions, err := from.next(event, other)
			if err == nil || actions != nil || !reflect.DeepEqual(to, from) {
				t.Errorf("event %d in state %d: %+v, %v, %v; want an error and no change", event, state, to, actions, err)
			}
		}
	}
}

// happen makes one transition after the other and gathers what they ask for.
func happen(t *testing.T, m Machine, plan wire.Plan, events ...Event) (Machine, []Action) {
	t.Helper()
	var all []Action
	for _, e := range events {
		var actions []Action
		var err error
		if m, actions, err = m.next(e, plan); err != nil {
			t.Fatal(err)
		}
		all = append(all, actions...)
	}
	return m, all
}

func TestStopWalksThroughItsStepsThenKillsThenTellsSurvivors(t *testing.T) {
	m, got := happen(t, running, four, Stop, StepOver, StepOver, StepOver, StepOver, GiveUp, Empty)
	want := slices.Concat(sends(termLeader), sends(intFirst), sends(hupGroup), sends(quitTree),
		kills(four.GiveUp), acts(TellSurvivors, Exit))
	if m.State != Done || !reflect.DeepEqual(got, want) {
		t.Errorf("state %d after\n%+v\nwant\n%+v", m.State, got, want)
	}
}

func TestOwnerGoneStopsTheTreeThenEndsTheShim(t *testing.T) {
	m, got := happen(t, running, none, OwnerGone, StepOver, LeaderEnded, Empty)
	want := slices.Concat(sends(quitTree), kills(orphan.GiveUp), acts(TellEnded, Exit))
	if m.State != Done || !reflect.DeepEqual(got, want) {
		t.Errorf("state %d after\n%+v\nwant\n%+v", m.State, got, want)
	}
}

func TestATreeKnowsNothingOfTheOneBefore(t *testing.T) {
	m, _ := happen(t, idle, four, Started, LeaderEnded, Stop, StepOver, Empty)
	if !reflect.DeepEqual(m, idle) {
		t.Errorf("the end left %+v", m)
	}
	m, _ = happen(t, m, orphan, Started)
	if !reflect.DeepEqual(m, running) {
		t.Errorf("the next tree begins as %+v", m)
	}
}

// walker is where a walk of so many steps begins: with and without a grace, and with an
// owner who confirms the end and one who doesn't.
func walker(steps int) Machine {
	m := idle
	if steps%2 == 1 {
		m = with(m, graced)
	}
	if steps/2%2 == 1 {
		m = with(m, confirms)
	}
	return m
}

// walk lets a machine see any events, and returns why it isn't what the essay
// says. Each byte is an event in its low half and a plan in its high half.
func walk(input []byte) error {
	plans := []wire.Plan{none, bare, orphan, other, four}
	m, trees, told := walker(len(input)), 0, 0
	for i, b := range input {
		event, plan := Event(b&15), plans[int(b>>4)%len(plans)]
		to, actions, err := m.next(event, plan)
		wrong := func(why string) error {
			return fmt.Errorf("at %d, event %d: %s:\nfrom %+v\nto   %+v, %+v, %v", i, event, why, m, to, actions, err)
		}
		_, can := table[m.State][event]
		if can == (err != nil) {
			return wrong("the table and the error contradict each other")
		}
		if err != nil && (len(actions) > 0 || !reflect.DeepEqual(m, to)) {
			return wrong("what can't happen has changed something")
		}
		exit := false
		for _, a := range actions {
			switch a.Act {
			case TellEnded, TellSurvivors, TellReleased:
				told++
			case SendStep, SendToRest:
				if to.State != Stopping {
					return wrong("a step outside of a stop")
				}
				if to.LeaderEnded && (a.Step.Scope == wire.ScopeLeader || a.Step.Scope == wire.ScopeLeaderFirst) {
					return wrong("a step to a leader that has ended")
				}
			case KillAll:
				if m.State == Killing || to.State != Killing {
					return wrong("the killing begins where it doesn't")
				}
			case Exit:
				exit = true
			}
		}
		if event == Started && err == nil {
			trees++
		}
		switch {
		case m.State == Done && err == nil:
			return wrong("there is a way out of Done")
		case exit != (m.State != Done && to.State == Done):
			return wrong("Exit and Done are not one")
		case m.OwnerGone && !to.OwnerGone && event != Claimed:
			return wrong("the owner came back")
		case to.State == Idle && m.State != Idle && !reflect.DeepEqual(to, idle):
			return wrong("an idle machine remembers something")
		case to.State == Stopping && (to.Step < 0 || to.Step >= len(to.Plan.Steps)):
			return wrong("it waits for a step that the plan doesn't have")
		case (m.State == Killing || m.State == Stuck) && (to.State == Running || to.State == Stopping):
			return wrong("the killing was taken back")
		}
		ended := trees
		if to.State == Running || to.State == Waiting || to.State == Stopping || to.State == Killing {
			ended--
		}
		if told != ended {
			return wrong(fmt.Sprintf("%d ends were told of %d trees that ended", told, ended))
		}
		m = to
	}
	return nil
}

func TestRandomWalksStayWithinTheEssay(t *testing.T) {
	const seed = 20
	r := rand.New(rand.NewPCG(seed, seed))
	reached := map[State]bool{}
	for n := range 2000 {
		input := make([]byte, 100+n%4)
		m := walker(len(input))
		for i := range input {
			// What can happen is taken more often, else most walks would soon be over.
			event := allEvents[r.IntN(len(allEvents))]
			if can := table[m.State]; len(can) > 0 && r.IntN(4) > 0 {
				events := slices.DeleteFunc(slices.Clone(allEvents), func(e Event) bool { return can[e] == nil })
				event = events[r.IntN(len(events))]
			}
			input[i] = byte(event) | byte(r.IntN(16))<<4
			m, _, _ = m.next(event, four)
			reached[m.State] = true
		}
		if err := walk(input); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range allStates {
		if !reached[s] {
			t.Errorf("no walk came to state %d", s)
		}
	}
}

func FuzzMachine(f *testing.F) {
	for _, seed := range [][]Event{
		{Started, LeaderEnded, Empty, OwnerGone},
		{Started, Stop, LeaderEnded, StepOver, StepOver, GiveUp, OwnerGone, Empty},
		{Started, OwnerGone, StepOver, Empty},
		{Started, Released, Started},
	} {
		var b []byte
		for _, e := range seed {
			b = append(b, byte(e)|4<<4)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if err := walk(input); err != nil {
			t.Error(err)
		}
	})
}
