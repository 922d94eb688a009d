package supervise

import (
	"slices"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

var allStates = []client.State{
	client.Stopped, client.Waiting, client.Starting, client.Running, client.LeaderLost, client.Stopping,
	client.Stuck, client.Backoff, client.Scheduled, client.Completed, client.Failed,
}

var allEvents = []Event{
	Start, Stop, Restart, Due, DepsMet, DepsFailed, Launched, NotLaunched, LostLeader, Ended, Survived,
	BackoffOver, Reattached, CantBeAttached, BeingStopped, Unwell, Unready,
}

// someTerms are terms in which the policies differ.
func someTerms() (list []Terms) {
	for _, policy := range []config.RestartPolicy{config.RestartNo, config.RestartOnFailure, config.RestartAlways} {
		for _, overlap := range []config.Overlap{"", config.OverlapSkip, config.OverlapQueue, config.OverlapReplace} {
			for _, loss := range []config.LossPolicy{config.LossContinue, config.LossRestart} {
				for _, ok := range []bool{true, false} {
					for _, exhausted := range []bool{true, false} {
						t := Terms{Scheduled: overlap != "", Overlap: overlap, Policy: policy, Loss: loss, OK: ok, Exhausted: exhausted}
						list = append(list, t)
						if !t.Scheduled && ok {
							t.Remains = true
							list = append(list, t)
							t.Remains = false
						}
						if t.AtOnce = t.Scheduled; t.AtOnce {
							list = append(list, t)
						}
					}
				}
			}
		}
	}
	return list
}

// reachable walks all that can happen from the beginning.
func reachable(visit func(from Machine, e Event, t Terms, to Machine, acts []Act)) map[Machine]bool {
	first := Machine{State: client.Stopped}
	seen, queue := map[Machine]bool{first: true}, []Machine{first}
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		for _, e := range allEvents {
			for _, t := range someTerms() {
				next, acts, err := m.next(e, t)
				if err != nil {
					continue
				}
				if visit != nil {
					visit(m, e, t, next, acts)
				}
				if !seen[next] {
					seen[next] = true
					queue = append(queue, next)
				}
			}
		}
	}
	return seen
}

func TestEveryStateIsReachedAndNoOther(t *testing.T) {
	states := map[client.State]bool{}
	for m := range reachable(nil) {
		states[m.State] = true
		if table[m.State] == nil {
			t.Errorf("%q isn't in the table", m.State)
		}
	}
	for _, s := range allStates {
		if !states[s] {
			t.Errorf("%s is never reached", s)
		}
	}
	if len(states) != len(allStates) || len(table) != len(allStates) {
		t.Errorf("%d states are reached, %d are in the table, %d were expected", len(states), len(table), len(allStates))
	}
}

func TestWhatIsNotListedIsAnErrorAndChangesNothing(t *testing.T) {
	for _, s := range allStates {
		for _, e := range allEvents {
			if table[s][e] != nil {
				continue
			}
			m := Machine{State: s, Again: true}
			next, acts, err := m.next(e, Terms{})
			if err == nil || next != m || acts != nil {
				t.Errorf("event %d in %s: %v, %v, %v", e, s, next, acts, err)
			}
		}
	}
}

// Two at once can't be: a start is only asked for from Waiting, which no state with a
// tree leads to but by the proof that the tree is empty.
func TestNothingIsStartedBeforeTheTreeIsEmpty(t *testing.T) {
	reachable(func(from Machine, e Event, _ Terms, to Machine, acts []Act) {
		if slices.Contains(acts, Launch) && (from.State != client.Waiting || e != DepsMet) {
			t.Errorf("event %d in %+v launches", e, from)
		}
		if hasTree(from.State) && !hasTree(to.State) && e != Ended && e != NotLaunched {
			t.Errorf("event %d leads from %+v to %+v without a proof", e, from, to)
		}
	})
}

func TestEveryCommandIsHeardInEveryState(t *testing.T) {
	for m := range reachable(nil) {
		for _, e := range []Event{Start, Stop, Restart, Due} {
			if _, _, err := m.next(e, Terms{}); err != nil {
				t.Errorf("%+v: %v", m, err)
			}
		}
	}
}

// The last who asks is heard: whatever was noted, a stop that is followed by nothing
// leads to a state at rest, and a start to one that isn't.
func TestTheLastWhoAsksIsHeard(t *testing.T) {
	plain := Terms{Policy: config.RestartNo, OK: true}
	for m := range reachable(nil) {
		for _, c := range []struct {
			ask  Event
			want []client.State
		}{
			{Stop, []client.State{client.Stopped}},
			{Restart, []client.State{client.Waiting}},
		} {
			now, acts, _ := m.next(c.ask, plain)
			if now.State == client.Running || now.State == client.LeaderLost {
				t.Errorf("%+v: %d is not heard", m, c.ask)
				continue
			}
			if now.State == client.Starting {
				if !slices.Contains(acts, CancelStart) {
					t.Errorf("%+v: %d doesn't cut the start short", m, c.ask)
				}
				now, _, _ = now.next(Launched, plain)
				if now.State != client.Stopping {
					t.Errorf("%+v: after %d and the start: %+v", m, c.ask, now)
				}
			}
			if hasTree(now.State) {
				now, _, _ = now.next(Ended, plain)
			}
			if !slices.Contains(c.want, now.State) {
				t.Errorf("%+v: after %d and the end: %+v", m, c.ask, now)
			}
		}
	}
}

// Where processes are left of a run that nobody has stopped, what follows its end follows
// theirs.
func TestWhatIsLeftOfAFailureIsFollowedByARestart(t *testing.T) {
	for _, c := range []struct {
		name  string
		terms Terms
		want  client.State
	}{
		{"no", Terms{Policy: config.RestartNo}, client.Stopped},
		{"on failure", Terms{Policy: config.RestartOnFailure}, client.Backoff},
		{"too often", Terms{Policy: config.RestartAlways, Exhausted: true}, client.Failed},
		{"with a schedule", Terms{Scheduled: true}, client.Scheduled},
	} {
		for _, state := range []client.State{client.Running, client.LeaderLost} {
			stuck, _, err := Machine{State: state}.next(Survived, c.terms)
			if err != nil || stuck.State != client.Stuck {
				t.Fatalf("%s: %+v, %v", c.name, stuck, err)
			}
			if got, _, err := stuck.next(Ended, c.terms); err != nil || got.State != c.want {
				t.Errorf("%s, %s: %+v, %v; want %s", state, c.name, got, err, c.want)
			}
		}
	}
}

func TestWhatFollowsAnEnd(t *testing.T) {
	running := Machine{State: client.Running}
	for _, c := range []struct {
		name  string
		from  Machine
		terms Terms
		want  client.State
	}{
		{"no, well", running, Terms{Policy: config.RestartNo, OK: true}, client.Completed},
		{"no, badly", running, Terms{Policy: config.RestartNo}, client.Failed},
		{"on failure, well", running, Terms{Policy: config.RestartOnFailure, OK: true}, client.Completed},
		{"on failure, badly", running, Terms{Policy: config.RestartOnFailure}, client.Backoff},
		{"on failure, too often", running, Terms{Policy: config.RestartOnFailure, Exhausted: true}, client.Failed},
		{"always, well", running, Terms{Policy: config.RestartAlways, OK: true}, client.Backoff},
		{"always, too often", running, Terms{Policy: config.RestartAlways, OK: true, Exhausted: true}, client.Failed},
		{"unless stopped", running, Terms{Policy: config.RestartUnlessStopped, OK: true}, client.Backoff},
		{"scheduled, badly", running, Terms{Scheduled: true}, client.Scheduled},
		{"scheduled, whatever the policy", running, Terms{Scheduled: true, Policy: config.RestartAlways}, client.Scheduled},
		{"scheduled and due meanwhile", Machine{State: client.Running, Queued: true}, Terms{Scheduled: true}, client.Waiting},
		{"stopped before", running, Terms{Policy: config.RestartNo, OK: true, Before: true}, client.Waiting},
		{"stopped before, with a schedule", running, Terms{Scheduled: true, Before: true}, client.Scheduled},
		{"unwell", Machine{State: client.Stopping, Again: true, Failing: true}, Terms{Policy: config.RestartNo}, client.Backoff},
		{"unwell, too often", Machine{State: client.Stopping, Again: true, Failing: true}, Terms{Exhausted: true}, client.Failed},
		{"unwell, with a schedule", Machine{State: client.Stopping, Again: true, Failing: true}, Terms{Scheduled: true}, client.Scheduled},
		{"unwell, and due meanwhile", Machine{State: client.Stopping, Again: true, Failing: true, Queued: true}, Terms{Scheduled: true}, client.Waiting},
		{"not ready, and not to be restarted", Machine{State: client.Stopping, Failing: true}, Terms{Policy: config.RestartNo}, client.Failed},
		{"stopped", Machine{State: client.Stopping}, Terms{Policy: config.RestartAlways}, client.Stopped},
		{"restarted", Machine{State: client.Stopping, Again: true}, Terms{Policy: config.RestartNo}, client.Waiting},
	} {
		if got, _, err := c.from.next(Ended, c.terms); err != nil || got.State != c.want {
			t.Errorf("%s: %+v, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestALostLeaderIsSeenAndFollowsThePolicy(t *testing.T) {
	running := Machine{State: client.Running}
	if m, acts, _ := running.next(LostLeader, Terms{Loss: config.LossContinue}); m.State != client.LeaderLost || acts != nil {
		t.Errorf("continue: %+v, %v", m, acts)
	}
	m, acts, _ := running.next(LostLeader, Terms{Loss: config.LossRestart})
	if m.State != client.Stopping || !m.Again || !slices.Equal(acts, []Act{StopTree}) {
		t.Errorf("restart: %+v, %v", m, acts)
	}
}

func TestAScheduledApplicationWaitsForItsTimeAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		from  client.State
		event Event
		terms Terms
		want  client.State
	}{
		{"started", client.Stopped, Start, Terms{Scheduled: true}, client.Scheduled},
		{"started, to run at once", client.Stopped, Start, Terms{Scheduled: true, AtOnce: true}, client.Waiting},
		{"due", client.Scheduled, Due, Terms{Scheduled: true}, client.Waiting},
		{"due after it was stopped", client.Stopped, Due, Terms{Scheduled: true}, client.Stopped},
		{"started by hand", client.Scheduled, Start, Terms{Scheduled: true}, client.Waiting},
		{"its dependency has failed", client.Waiting, DepsFailed, Terms{Scheduled: true}, client.Scheduled},
		{"its start has failed", client.Starting, NotLaunched, Terms{Scheduled: true}, client.Scheduled},
		{"stopped", client.Scheduled, Stop, Terms{Scheduled: true}, client.Stopped},
	} {
		m := Machine{State: c.from}
		if got, _, err := m.next(c.event, c.terms); err != nil || got.State != c.want {
			t.Errorf("%s: %+v, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestACommandIsStrongerThanAFailedProbe(t *testing.T) {
	unwell, acts, err := (Machine{State: client.Running}).next(Unwell, Terms{Policy: config.RestartNo})
	if err != nil || unwell.State != client.Stopping || !slices.Equal(acts, []Act{StopTree}) {
		t.Fatalf("%+v, %v, %v", unwell, acts, err)
	}
	for e, want := range map[Event]client.State{Start: client.Waiting, Restart: client.Waiting, Stop: client.Stopped} {
		m, _, _ := unwell.next(e, Terms{})
		if m, _, _ = m.next(Ended, Terms{Exhausted: true}); m.State != want {
			t.Errorf("event %d: %s, want %s", e, m.State, want)
		}
	}
}

func TestWhatDoesntBecomeReadyHasFailedAsThePolicySays(t *testing.T) {
	for _, c := range []struct {
		terms Terms
		want  client.State
	}{
		{Terms{Policy: config.RestartNo}, client.Failed},
		{Terms{Policy: config.RestartOnFailure}, client.Backoff},
		{Terms{Policy: config.RestartAlways, Exhausted: true}, client.Failed},
		{Terms{Policy: config.RestartNo, Scheduled: true}, client.Scheduled},
	} {
		c.terms.OK = true // whatever the process says at its stop
		m, acts, err := (Machine{State: client.Running}).next(Unready, c.terms)
		if err != nil || m.State != client.Stopping || !slices.Equal(acts, []Act{StopTree}) {
			t.Fatalf("%+v, %v, %v", m, acts, err)
		}
		if got, _, _ := m.next(Ended, c.terms); got.State != c.want {
			t.Errorf("%+v: %s, want %s", c.terms, got.State, c.want)
		}
		for e, want := range map[Event]client.State{Start: client.Waiting, Restart: client.Waiting, Stop: client.Stopped} {
			asked, _, _ := m.next(e, c.terms)
			if asked, _, _ = asked.next(Ended, c.terms); asked.State != want {
				t.Errorf("event %d after that: %s, want %s", e, asked.State, want)
			}
		}
	}
}

func TestWhatHasCompletedAndIsActiveIsTornDownOnce(t *testing.T) {
	terms := Terms{Policy: config.RestartNo, OK: true, Remains: true}
	active, _, err := (Machine{State: client.Running}).next(Ended, terms)
	if err != nil || active.State != client.Completed || !active.Active {
		t.Fatalf("%+v, %v", active, err)
	}
	if m, acts, _ := active.next(Start, terms); m != active || acts != nil {
		t.Errorf("started: %+v, %v", m, acts)
	}
	for e, want := range map[Event]client.State{Stop: client.Stopped, Restart: client.Waiting} {
		m, acts, _ := active.next(e, terms)
		if m.State != client.Stopping || !slices.Equal(acts, []Act{TearDown}) {
			t.Errorf("event %d: %+v, %v", e, m, acts)
		}
		if m, acts, _ = m.next(e, terms); acts != nil {
			t.Errorf("event %d again: %v", e, acts)
		}
		if m, acts, _ = m.next(Ended, terms); m.State != want || m.Active || slices.Contains(acts, TearDown) {
			t.Errorf("event %d: in the end %+v, %v", e, m, acts)
		}
	}
	if failed, _, _ := (Machine{State: client.Running}).next(Ended, Terms{Policy: config.RestartNo, Remains: true}); failed.Active {
		t.Error("what has failed is active")
	}
}
