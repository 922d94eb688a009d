package supervise

import (
	"fmt"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// The life of one instance of an application.
//
// An instance that is to run is Waiting until its dependencies are as they should be,
// then Starting until its tree has a leader, then Running for as long as the tree isn't
// empty. When the start script ends and others of the tree live on, it is LeaderLost:
// alive, and seen to be without its leader.
//
// Nothing is started before the tree before it was proven empty. So a restart is a stop
// with a note (Again) that is read when the tree has ended; whatever is asked for
// meanwhile only changes the note, and the last who asks is heard. A stop that leaves
// processes which can't be ended makes the instance Stuck: the shim goes on killing, and
// the note is read when they are gone, however long that takes. A start can't be taken
// back halfway: a stop that comes while it is under way is noted (Doomed), and acted on
// when it's known whether there is a tree.
//
// When a tree has ended by itself, the policy says what follows: Backoff and another
// start, Completed, Failed, or, with a schedule, the wait for the next time.
//
// The table is all of it: a pair that isn't listed can't happen, and is an error where
// it does.

// Event is what can happen to an instance.
type Event uint8

const (
	Start          Event = iota + 1 // somebody wants it to run
	Stop                            // somebody wants it not to run
	Restart                         // stop, then start: by hand, a file's change, a failed liveness probe
	Due                             // its schedule says so
	DepsMet                         // its dependencies are as they should be
	DepsFailed                      // and this can't come true any more
	Launched                        // its tree has a leader
	NotLaunched                     // its hook or its start failed, or was cut short; nothing of it is left
	LostLeader                      // the leader has ended, others live on
	Ended                           // its tree was proven empty
	Survived                        // the stop is over, and processes are left
	BackoffOver                     // the pause is over
	Reattached                      // its tree, of an earlier life of the supervisor, was taken over
	CantBeAttached                  // there is such a tree, but it can't be had now
	BeingStopped                    // the same, since its shim is stopping it
	Unwell                          // its liveness probe has failed
	Unready                         // it isn't ready in time, or can't be any more: its start has failed
)

// Act is what a transition asks the executor to do.
type Act uint8

const (
	AwaitDeps   Act = iota + 1 // tell by DepsMet or DepsFailed
	Launch                     // run the hook, start the tree; tell by Launched or NotLaunched
	CancelStart                // cut a start short
	StopTree                   // tell by Ended or Survived
	Pause                      // set the clock of the backoff
	AwaitDue                   // tell by Due
	ClearClocks                // of the backoff
	AwaitEmpty                 // look after what is left; tell by Ended
	TearDown                   // run the commands of a stop, where there is no tree; tell by Ended
)

// Terms is what the transitions depend on, beside the state.
type Terms struct {
	Scheduled bool
	AtOnce    bool // the first run doesn't wait for the schedule
	Overlap   config.Overlap
	Policy    config.RestartPolicy
	Loss      config.LossPolicy
	Remains   bool // when it has completed, it is active until it is stopped

	OK        bool // of Ended and NotLaunched: not a failure
	Exhausted bool // of the same: no more restarts
	Before    bool // of Ended: stopped on behalf of an earlier life of the supervisor
}

// Machine is the state of an instance. It is a value: next returns another.
type Machine struct {
	State   client.State
	Again   bool // start anew when the tree has ended
	Doomed  bool // a start under way is to be undone
	Failing bool // it counts as a failure: with Again, a pause follows; without, it has failed
	Queued  bool // it was due while it ran
	Active  bool // it has completed, and what it has set up isn't taken down yet
}

type transition func(Machine, Terms) (Machine, []Act)

var table = map[client.State]map[Event]transition{
	client.Stopped: {
		Start: enter, Restart: wait, Stop: stay, Due: stay, Reattached: adopt, CantBeAttached: stickWanted, BeingStopped: awaitStop,
	},
	client.Waiting: {
		Start: stay, Restart: stay, Stop: halt, Due: stay, DepsMet: launch, DepsFailed: fail,
	},
	client.Starting: {
		Start: undoom, Restart: doomAgain, Stop: doom, Due: dueRunning, Launched: launched, NotLaunched: notLaunched,
		CantBeAttached: taken,
	},
	client.Running: {
		Start: stay, Restart: restart, Stop: stop, Due: dueRunning, LostLeader: loseLeader, Ended: ended, Survived: stickEnded, Unwell: unwell, Unready: giveUp,
	},
	client.LeaderLost: {
		Start: stay, Restart: restart, Stop: stop, Due: dueRunning, LostLeader: stay, Ended: ended, Survived: stickEnded, Unwell: unwell, Unready: giveUp,
	},
	client.Stopping: {
		Start: noteAgain, Restart: noteAgain, Stop: noteStop, Due: stay, LostLeader: stay, Ended: stopped, Survived: stick,
		Reattached: adopt, CantBeAttached: stick, BeingStopped: stay,
	},
	client.Stuck: {
		Start: noteAgain, Restart: noteAgain, Stop: noteStop, Due: stay, Ended: stopped, Reattached: adopt, CantBeAttached: stay,
		BeingStopped: stay,
	},
	client.Backoff: {
		Start: waitNow, Restart: waitNow, Stop: halt, Due: stay, BackoffOver: wait,
	},
	client.Scheduled: {
		Start: waitNow, Restart: waitNow, Stop: halt, Due: wait,
	},
	client.Completed: {
		Start: startCompleted, Restart: restartCompleted, Stop: stopCompleted, Due: stay,
	},
	client.Failed: {
		Start: enter, Restart: wait, Stop: halt, Due: stay,
	},
}

// next makes one transition.
func (m Machine) next(e Event, terms Terms) (Machine, []Act, error) {
	t, ok := table[m.State][e]
	if !ok {
		return m, nil, fmt.Errorf("supervise: event %d can't happen in state %s", e, m.State)
	}
	m, acts := t(m, terms)
	return m, acts, nil
}

func to(state client.State, acts ...Act) (Machine, []Act) { return Machine{State: state}, acts }

func stay(m Machine, _ Terms) (Machine, []Act) { return m, nil }

// enter makes an instance one that is to run: now, or when its schedule says so.
func enter(m Machine, t Terms) (Machine, []Act) {
	if t.Scheduled && !t.AtOnce {
		return to(client.Scheduled, AwaitDue)
	}
	return wait(m, t)
}

func wait(Machine, Terms) (Machine, []Act) { return to(client.Waiting, AwaitDeps) }

func waitNow(Machine, Terms) (Machine, []Act) { return to(client.Waiting, ClearClocks, AwaitDeps) }

func halt(Machine, Terms) (Machine, []Act) { return to(client.Stopped, ClearClocks) }

func fail(_ Machine, t Terms) (Machine, []Act) {
	if t.Scheduled {
		return to(client.Scheduled, AwaitDue)
	}
	return to(client.Failed)
}

func launch(Machine, Terms) (Machine, []Act) { return to(client.Starting, Launch) }

// adopt takes over a tree. One that was to be stopped while it couldn't be had is
// stopped now.
func adopt(m Machine, t Terms) (Machine, []Act) {
	if m.State != client.Stopped && !m.Again {
		return stop(m, t)
	}
	return Machine{State: client.Running, Queued: m.Queued}, nil
}

// awaitStop is for a tree that its shim is stopping. When it has ended, another is started.
func awaitStop(m Machine, _ Terms) (Machine, []Act) {
	m.State, m.Again = client.Stopping, true
	return m, []Act{AwaitEmpty}
}

func stickWanted(m Machine, t Terms) (Machine, []Act) {
	m.Again = true
	return stick(m, t)
}

// taken is a start that finds a tree of its name alive.
func taken(m Machine, t Terms) (Machine, []Act) {
	m.Again, m.Doomed = m.Again || !m.Doomed, false
	return stick(m, t)
}

func doom(m Machine, _ Terms) (Machine, []Act) {
	m.Doomed, m.Again = true, false
	return m, []Act{CancelStart}
}

func doomAgain(m Machine, _ Terms) (Machine, []Act) {
	m.Doomed, m.Again = true, true
	return m, []Act{CancelStart}
}

func undoom(m Machine, _ Terms) (Machine, []Act) {
	m.Again = m.Doomed // what was cut short can't go on: it begins anew
	return m, nil
}

func launched(m Machine, t Terms) (Machine, []Act) {
	if m.Doomed {
		return stop(m, t)
	}
	m.State = client.Running
	return m, nil
}

func notLaunched(m Machine, t Terms) (Machine, []Act) {
	if m.Doomed {
		return stopped(m, t)
	}
	t.OK = false
	return ended(m, t)
}

func loseLeader(m Machine, t Terms) (Machine, []Act) {
	if t.Loss == config.LossRestart {
		return unwell(m, t) // with a pause: a start script that ends each time isn't restarted in a rush
	}
	m.State = client.LeaderLost
	return m, nil
}

func restart(m Machine, _ Terms) (Machine, []Act) {
	m.State, m.Again = client.Stopping, true
	return m, []Act{StopTree}
}

// unwell ends what doesn't work, whatever the policy says of ends: who asks for a
// liveness probe, or for a restart when the leader is lost, wants one.
func unwell(m Machine, t Terms) (Machine, []Act) {
	m.Failing = true
	return restart(m, t)
}

// giveUp ends what doesn't become ready. It is a failure, and the policy says what follows.
func giveUp(m Machine, t Terms) (Machine, []Act) {
	t.OK = false
	m.State, m.Failing, m.Again = client.Stopping, true, t.again() || t.Scheduled || m.Queued
	return m, []Act{StopTree}
}

// stop keeps the note: a start that was doomed may be followed by another.
func stop(m Machine, _ Terms) (Machine, []Act) {
	m.State, m.Again, m.Doomed, m.Queued = client.Stopping, m.Doomed && m.Again, false, false
	return m, []Act{StopTree}
}

func noteAgain(m Machine, _ Terms) (Machine, []Act) {
	m.Again, m.Failing = true, false
	return m, nil
}

func noteStop(m Machine, _ Terms) (Machine, []Act) {
	m.Again, m.Failing, m.Queued = false, false, false
	return m, nil
}

func stick(m Machine, _ Terms) (Machine, []Act) {
	m.State = client.Stuck
	return m, []Act{AwaitEmpty}
}

// stickEnded is for what nobody has stopped: when it is over, it has failed.
func stickEnded(m Machine, t Terms) (Machine, []Act) {
	m.Again = t.again() || t.Scheduled || m.Queued
	m.Failing = m.Again
	return stick(m, t)
}

// stopped is the end of a tree that was stopped, or of a start that was undone.
func stopped(m Machine, t Terms) (Machine, []Act) {
	switch {
	case !m.Again && m.Failing:
		return to(client.Failed)
	case !m.Again:
		return to(client.Stopped)
	case !m.Failing, m.Queued:
		return to(client.Waiting, AwaitDeps)
	case t.Scheduled:
		return to(client.Scheduled, AwaitDue)
	case t.Exhausted:
		return to(client.Failed)
	}
	return to(client.Backoff, Pause)
}

// ended is the end of a tree that nobody asked for. One that an earlier life has stopped,
// and that was not to stay so, goes on.
func ended(m Machine, t Terms) (Machine, []Act) {
	switch {
	case m.Queued:
		return to(client.Waiting, AwaitDeps)
	case t.Scheduled:
		return to(client.Scheduled, AwaitDue)
	case t.Before:
		return to(client.Waiting, AwaitDeps)
	case !t.again():
	case t.Exhausted:
		return to(client.Failed)
	default:
		return to(client.Backoff, Pause)
	}
	if t.OK {
		return Machine{State: client.Completed, Active: t.Remains}, nil
	}
	return to(client.Failed)
}

// startCompleted starts what has completed once more. What is still active isn't.
func startCompleted(m Machine, t Terms) (Machine, []Act) {
	if m.Active {
		return stay(m, t)
	}
	return enter(m, t)
}

func restartCompleted(m Machine, t Terms) (Machine, []Act) {
	if m.Active {
		return Machine{State: client.Stopping, Active: true, Again: true}, []Act{TearDown}
	}
	return wait(m, t)
}

func stopCompleted(m Machine, t Terms) (Machine, []Act) {
	if m.Active {
		return Machine{State: client.Stopping, Active: true}, []Act{TearDown}
	}
	return halt(m, t)
}

// again says whether the policy wants a restart.
func (t Terms) again() bool {
	switch t.Policy {
	case config.RestartAlways, config.RestartUnlessStopped:
		return true
	case config.RestartOnFailure:
		return !t.OK
	}
	return false
}

func dueRunning(m Machine, t Terms) (Machine, []Act) {
	switch t.Overlap {
	case config.OverlapQueue:
		m.Queued = true
	case config.OverlapReplace:
		if m.State == client.Starting {
			return m, nil // it has hardly begun
		}
		return restart(m, t)
	}
	return m, nil
}

// active says whether there is something to be stopped.
func (m Machine) active() bool { return hasTree(m.State) || m.Active }

// undone says whether what there is of a run is to end: what follows, Again says.
func (m Machine) undone() bool {
	return m.Doomed || m.State == client.Stopping || m.State == client.Stuck
}

// hasTree says whether processes of the instance may live in this state.
func hasTree(s client.State) bool {
	switch s {
	case client.Starting, client.Running, client.LeaderLost, client.Stopping, client.Stuck:
		return true
	}
	return false
}
