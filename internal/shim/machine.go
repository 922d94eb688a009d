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
// A tree whose owner is gone, and that was given a grace, is Waiting: it runs on
// until another claims it, which makes it Running again, or until the grace is over,
// which is a stop. If it ends meanwhile, its end is Kept for who claims it, for as
// long. The owner's side, which is a connection, may be gone while the owner, which
// is a process with a name, lives: the tree is Running then, alone.
//
// An owner may ask that the end, too, outlives it. The tree is Told then when it has
// ended, until the owner confirms that it has taken that in. If it is gone before, the
// end is Kept, as if nobody had known it; and who claims that, and will confirm it, is
// Told in turn.
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
	Waiting                   // running without an owner, in the time of grace
	Kept                      // ended, and nobody knows it yet
	Told                      // ended, and its owner hasn't confirmed yet that it knows
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
	OwnerGone                    // the owner has died, or closed the socket
	Released                     // the tree was let go, as the owner's side asked
	SideGone                     // the owner's side has closed the socket; the owner may live
	GraceOver                    // nobody has claimed the tree in time
	Claimed                      // it has another owner
	Confirmed                    // the owner knows the end
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
	StartGrace                   // set the clock of the grace
	StopGrace                    // the tree has an owner again
)

// Action is an act with what it needs.
type Action struct {
	Act  Act
	Step wire.Step     // of SendStep and SendToRest
	Wait time.Duration // of KillAll: 0 is for ever; of StartGrace
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
	Alone       bool          // no owner's side is connected
	Grace       time.Duration // how long the tree outlives its owner
	GraceOver   bool
	Confirm     bool // the owner will confirm that it knows the end
}

type transition func(Machine, wire.Plan) (Machine, []Action)

// table lists what can happen in each state.
var table = map[State]map[Event]transition{
	Idle: {
		Started:   begin,
		Stop:      stay, // it crossed the news that the tree has ended
		OwnerGone: leave,
		SideGone:  leave,
	},
	Running: {
		LeaderEnded: noteLeader,
		Empty:       finish,
		Stop:        stop,
		OwnerGone:   loseOwner,
		Released:    letGo,
		SideGone:    noteSide,
	},
	Waiting: {
		LeaderEnded: noteLeader,
		Empty:       finish,
		Stop:        stop,
		OwnerGone:   stay,
		SideGone:    noteSide,
		GraceOver:   stopUnclaimed,
		Claimed:     takeOver,
	},
	Stopping: {
		LeaderEnded: stopRest,
		Empty:       finish,
		Stop:        stop,
		StepOver:    nextStep,
		OwnerGone:   noteOwner,
		SideGone:    noteSide,
		GraceOver:   noteGrace,
	},
	Killing: {
		LeaderEnded: noteLeader,
		Empty:       finish,
		Stop:        stay,
		GiveUp:      survive,
		OwnerGone:   noteOwner,
		SideGone:    noteSide,
		GraceOver:   noteGrace,
	},
	Stuck: {
		LeaderEnded: noteLeader,
		Empty:       leave,
		Stop:        stay,
		OwnerGone:   noteOwner,
		SideGone:    noteSide,
		GraceOver:   noteGrace,
	},
	Kept: {
		Stop:      stay,
		OwnerGone: stay,
		GraceOver: leave,
		Claimed:   tellNext,
	},
	Told: {
		Stop:      stay,
		OwnerGone: keepEnd,
		SideGone:  noteSide,
		Confirmed: leave,
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
	return Machine{State: Running, OnOwnerGone: onOwnerGone, Grace: m.Grace, Confirm: m.Confirm}, nil
}

func noteLeader(m Machine, _ wire.Plan) (Machine, []Action) {
	m.LeaderEnded = true
	return m, nil
}

func noteOwner(m Machine, _ wire.Plan) (Machine, []Action) {
	m.OwnerGone = true
	if m.Grace > 0 {
		return m, []Action{{Act: StartGrace, Wait: m.Grace}} // for who wants to know the end
	}
	return m, nil
}

func noteSide(m Machine, _ wire.Plan) (Machine, []Action) {
	m.Alone = true
	return m, nil
}

func noteGrace(m Machine, _ wire.Plan) (Machine, []Action) {
	m.GraceOver = true
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
	switch {
	case m.Alone && m.OwnerGone && m.Grace > 0 && !m.GraceOver:
		m.State = Kept
		return m, []Action{told} // the clock runs
	case m.Alone && !m.OwnerGone && m.Grace > 0:
		m.State = Kept
		return m, []Action{told, {Act: StartGrace, Wait: m.Grace}}
	case m.Alone, m.OwnerGone:
		m.State = Done
		return m, []Action{told, {Act: Exit}}
	case m.Confirm:
		m.State = Told
		return m, []Action{told}
	}
	return Machine{State: Idle}, []Action{told}
}

// keepEnd keeps an end that its owner hasn't confirmed.
func keepEnd(m Machine, _ wire.Plan) (Machine, []Action) {
	if m.Grace == 0 {
		return leave(m, wire.Plan{})
	}
	m.State, m.OwnerGone = Kept, true
	return m, []Action{{Act: StartGrace, Wait: m.Grace}}
}

// tellNext is the claim of an end that is kept: the news of it go along.
func tellNext(m Machine, _ wire.Plan) (Machine, []Action) {
	if !m.Confirm {
		return leave(m, wire.Plan{})
	}
	m.State, m.OwnerGone, m.Alone = Told, false, false
	return m, []Action{{Act: StopGrace}}
}

func stop(m Machine, plan wire.Plan) (Machine, []Action) {
	m.State, m.Plan, m.Step = Stopping, plan, -1
	return nextStep(m, plan)
}

func loseOwner(m Machine, _ wire.Plan) (Machine, []Action) {
	m.OwnerGone = true
	if m.Grace > 0 {
		m.State = Waiting
		return m, []Action{{Act: StartGrace, Wait: m.Grace}}
	}
	return stop(m, m.OnOwnerGone)
}

func stopUnclaimed(m Machine, _ wire.Plan) (Machine, []Action) {
	m.GraceOver = true
	return stop(m, m.OnOwnerGone)
}

func takeOver(m Machine, _ wire.Plan) (Machine, []Action) {
	m.State, m.OwnerGone, m.Alone = Running, false, false
	return m, []Action{{Act: StopGrace}}
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
