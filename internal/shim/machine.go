package shim

import (
	"fmt"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

// The life of one tree, as its shim sees it.
//
// A shim is Idle until a leader was started. Then the tree is Running, with or
// without its leader: that the leader has ended changes nothing here but whom a
// stop turns to, since what to do about it is for the owner's side to say. A stop,
// asked for by the owner's side or due because that side is gone, makes the tree
// Stopping: one step of the plan after the other is sent and waited for. When the
// last has had its time the tree is Killing: SIGKILL to all that can be found,
// again and again. From each of these, the proof that the tree is empty leads back
// to Idle at once, or to Done where nobody is left to give more work. If something
// doesn't end in spite of SIGKILL, the tree is Stuck: the survivors were told, and
// the shim goes on holding and killing them, since it alone can still reap them.
//
// The table below is all of it: a pair that isn't listed can't happen, and is an
// error where it does.

// State is a state of that life.
type State uint8

const (
	Idle     State = iota + 1 // no tree
	Running                   // the tree isn't empty, as far as is known
	Stopping                  // a step of a stop was sent
	Killing                   // SIGKILL was sent
	Stuck                     // survivors were told
	Done                      // nothing to hold, nobody to serve
)

// Event is what can happen to a tree.
type Event uint8

const (
	Started     Event = iota + 1 // a leader runs; its plan for a lost owner comes along
	LeaderEnded                  // the leader's status is known
	Empty                        // proven: no process of the tree is left
	Stop                         // the owner's side asks for a stop, by the plan that comes along
	StepOver                     // the time of a stop's step has run out
	GiveUp                       // what is left won't end by SIGKILL, or in time
	OwnerGone                    // the owner's side has closed the socket, or died
	Released                     // the tree was let go, as the owner's side asked
)

// Act is what a transition asks the executor to do.
type Act uint8

const (
	SendStep      Act = iota + 1 // send a step's signal, and set the clock to its time
	SendToRest                   // send the step's signal to those who didn't get it yet
	KillAll                      // begin to kill, and set the clock to when to give up
	TellEnded                    // tell how it ended
	TellSurvivors                // tell how it ended, and who is left
	TellReleased                 // tell that it was let go
	Exit                         // nothing is left to do
)

// Action is an act with what it needs.
type Action struct {
	Act  Act
	Step wire.Step     // of SendStep and SendToRest
	Wait time.Duration // of KillAll: 0 is for ever
}

// Machine is the state of a tree with what its transitions depend on. It is a
// value: next returns another.
type Machine struct {
	State       State
	OnOwnerGone wire.Plan // how to stop the tree when the owner's side is gone
	Plan        wire.Plan // of the stop under way
	Step        int       // of that plan
	LeaderEnded bool
	OwnerGone   bool
}

type transition func(Machine, wire.Plan) (Machine, []Action)

// table lists what can happen in each state.
var table = map[State]map[Event]transition{
	Idle: {
		Started:   begin,
		Stop:      stay, // it crossed the news that the tree has ended
		OwnerGone: leave,
	},
	Running: {
		LeaderEnded: noteLeader,
		Empty:       finish,
		Stop:        stop,
		OwnerGone:   stopForOwner,
		Released:    letGo,
	},
	Stopping: {
		LeaderEnded: stopRest,
		Empty:       finish,
		Stop:        stop,
		StepOver:    nextStep,
		OwnerGone:   noteOwner,
	},
	Killing: {
		LeaderEnded: noteLeader,
		Empty:       finish,
		Stop:        stay,
		GiveUp:      survive,
		OwnerGone:   noteOwner,
	},
	Stuck: {
		LeaderEnded: noteLeader,
		Empty:       leave,
		Stop:        stay,
		OwnerGone:   noteOwner,
	},
	Done: {},
}

// next makes one transition. The plan is that of Started and Stop.
func (m Machine) next(e Event, plan wire.Plan) (Machine, []Action, error) {
	t, ok := table[m.State][e]
	if !ok {
		return m, nil, fmt.Errorf("shim: event %d can't happen in state %d", e, m.State)
	}
	m, actions := t(m, plan)
	return m, actions, nil
}

func stay(m Machine, _ wire.Plan) (Machine, []Action) { return m, nil }

func begin(m Machine, onOwnerGone wire.Plan) (Machine, []Action) {
	return Machine{State: Running, OnOwnerGone: onOwnerGone}, nil
}

func noteLeader(m Machine, _ wire.Plan) (Machine, []Action) {
	m.LeaderEnded = true
	return m, nil
}

func noteOwner(m Machine, _ wire.Plan) (Machine, []Action) {
	m.OwnerGone = true
	return m, nil
}

func leave(m Machine, _ wire.Plan) (Machine, []Action) {
	m.State = Done
	return m, []Action{{Act: Exit}}
}

func letGo(m Machine, _ wire.Plan) (Machine, []Action) {
	m.State = Done
	return m, []Action{{Act: TellReleased}, {Act: Exit}}
}

func finish(m Machine, _ wire.Plan) (Machine, []Action) {
	told := Action{Act: TellEnded}
	if m.OwnerGone {
		m.State = Done
		return m, []Action{told, {Act: Exit}}
	}
	return Machine{State: Idle}, []Action{told}
}

func stop(m Machine, plan wire.Plan) (Machine, []Action) {
	m.State, m.Plan, m.Step = Stopping, plan, -1
	return nextStep(m, plan)
}

func stopForOwner(m Machine, _ wire.Plan) (Machine, []Action) {
	m.OwnerGone = true
	return stop(m, m.OnOwnerGone)
}

func nextStep(m Machine, _ wire.Plan) (Machine, []Action) {
	m.Step++
	if m.Step >= len(m.Plan.Steps) {
		m.State = Killing
		return m, []Action{{Act: KillAll, Wait: m.Plan.GiveUp}}
	}
	return m, []Action{{Act: SendStep, Step: m.target(m.Plan.Steps[m.Step])}}
}

// target turns a step that was meant for the leader to the tree where the leader
// has ended: else the stop would wait for nothing.
func (m Machine) target(s wire.Step) wire.Step {
	if m.LeaderEnded && (s.Scope == wire.ScopeLeader || s.Scope == wire.ScopeLeaderFirst) {
		s.Scope = wire.ScopeTree
	}
	return s
}

// stopRest is the second half of a step to the leader first.
func stopRest(m Machine, _ wire.Plan) (Machine, []Action) {
	m.LeaderEnded = true
	if s := m.Plan.Steps[m.Step]; s.Scope == wire.ScopeLeaderFirst {
		return m, []Action{{Act: SendToRest, Step: m.target(s)}}
	}
	return m, nil
}

func survive(m Machine, _ wire.Plan) (Machine, []Action) {
	m.State = Stuck
	return m, []Action{{Act: TellSurvivors}}
}
