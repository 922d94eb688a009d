package supervise

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// The state tables are held against simple models of the world that they act on: there, what
// must never be is plain to see.

// instanceWorld is what an instance's acts do, and from which its events come.
type instanceWorld struct {
	m Machine

	starting bool // a start is under way
	alive    bool // a tree lives
	foreign  bool // and it isn't held: of an earlier life, or another's
	stopping bool // it was asked to end
	clock    bool // of a pause
	torn     bool // what a completed run has set up is being taken down
	setUp    bool // it is there
	launches int
}

// apply makes one transition, and does its acts.
func (w *instanceWorld) apply(t *rapid.T, e Event, terms Terms) {
	from := w.m
	m, acts, err := w.m.next(e, terms)
	if err != nil {
		t.Fatalf("event %d is refused in %+v", e, from)
	}
	w.m = m
	for _, a := range acts {
		switch a {
		case Launch:
			if w.starting || w.alive || w.torn || w.setUp {
				t.Fatalf("event %d in %+v starts a second: %+v", e, from, w)
			}
			w.starting = true
			w.launches++
		case CancelStart:
			if !w.starting {
				t.Fatalf("event %d in %+v cuts short a start that there isn't", e, from)
			}
		case StopTree:
			if !w.alive {
				t.Fatalf("event %d in %+v stops a tree that there isn't", e, from)
			}
			w.stopping = true
		case Pause:
			w.clock = true
		case ClearClocks:
			w.clock = false
		case TearDown:
			if w.torn || !w.setUp {
				t.Fatalf("event %d in %+v takes down what isn't set up: %+v", e, from, w)
			}
			w.torn = true
		}
	}
	if final(from.State) && m.State != from.State && !slices.Contains([]Event{Start, Restart, Stop, Reattached, CantBeAttached, BeingStopped}, e) {
		t.Fatalf("event %d leads out of %+v to %+v, and nobody has asked", e, from, m)
	}
	if w.alive && !hasTree(m.State) {
		t.Fatalf("event %d leads to %+v, and the tree lives", e, m)
	}
	w.setUp = m.Active
}

func final(s client.State) bool {
	return s == client.Stopped || s == client.Completed || s == client.Failed
}

// possible are the events that can come now, beside commands.
func (w *instanceWorld) possible() (list []Event) {
	switch {
	case w.starting:
		list = append(list, Launched, NotLaunched, CantBeAttached)
	case w.torn:
		list = append(list, Ended)
	case w.alive && w.foreign:
		list = append(list, Ended, Reattached, CantBeAttached, BeingStopped)
	case w.alive && w.m.State == client.Stuck: // it wasn't proven empty
		list = append(list, Ended)
	case w.alive:
		list = append(list, Ended, Survived, LostLeader)
		if !w.stopping {
			list = append(list, Unwell, Unready)
		}
	}
	switch w.m.State {
	case client.Waiting:
		list = append(list, DepsMet, DepsFailed)
	case client.Backoff:
		list = append(list, BackoffOver)
	case client.Stopped:
		if w.launches == 0 { // what a life before has left is looked for once
			list = append(list, Reattached, CantBeAttached, BeingStopped)
		}
	}
	return list
}

// happen has an event come, with what it means in the world.
func (w *instanceWorld) happen(t *rapid.T, e Event, terms Terms) {
	switch e {
	case Launched:
		w.starting, w.alive, w.foreign, w.stopping = false, true, false, false
	case NotLaunched:
		w.starting = false
	case CantBeAttached, BeingStopped:
		w.starting, w.alive, w.foreign = false, true, true
		w.launches = max(w.launches, 1)
	case Reattached:
		w.alive, w.foreign, w.stopping = true, false, false
		w.launches = max(w.launches, 1)
	case Ended:
		w.alive, w.foreign, w.stopping, w.torn = false, false, false, false
	case BackoffOver:
		if !w.clock {
			t.Fatalf("%+v waits for a clock that isn't set", w.m)
		}
		w.clock = false
	}
	w.apply(t, e, terms)
}

var anyTerms = rapid.SampledFrom(someTerms())

// reach walks to some state of the world.
func reach(t *rapid.T) *instanceWorld {
	w := &instanceWorld{m: Machine{State: client.Stopped}}
	for range rapid.IntRange(0, 40).Draw(t, "steps") {
		events := append(w.possible(), Start, Stop, Restart, Due)
		w.happen(t, rapid.SampledFrom(events).Draw(t, "event"), anyTerms.Draw(t, "terms"))
	}
	return w
}

// Whatever comes, in whatever order, there are never two runs of an instance, and no event
// that says how its processes are is refused.
func TestAnInstanceNeverHasTwoRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { reach(t) })
}

// rest has the world go its way, without a command, until the instance has come to rest.
func (w *instanceWorld) rest(t *rapid.T, terms Terms) {
	for range 20 {
		events := w.possible()
		events = slices.DeleteFunc(events, func(e Event) bool { // a process ends in the end
			return e == Survived || w.foreign && (e == CantBeAttached || e == BeingStopped) || w.m.State == client.Stopped
		})
		if len(events) == 0 || w.m.State == client.Running || w.m.State == client.LeaderLost {
			return
		}
		w.happen(t, rapid.SampledFrom(events).Draw(t, "event"), terms)
	}
	t.Fatalf("it doesn't come to rest: %+v", w)
}

// A stop ends with nothing left and nothing started, whatever was under way.
func TestAStopOfAnInstanceAlwaysEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := reach(t)
		terms := anyTerms.Draw(t, "terms")
		launches := w.launches
		w.happen(t, Stop, terms)
		w.rest(t, terms)
		if w.m.State != client.Stopped || w.alive || w.starting || w.setUp || w.launches > max(launches, 1) {
			t.Fatalf("after a stop: %+v", w)
		}
	})
}

// After a restart, and where dependencies come true, it runs: anew, where it ran before.
func TestARestartOfAnInstanceLeadsToARun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := reach(t)
		terms := Terms{Policy: config.RestartNo, OK: true}
		before := w.launches
		w.happen(t, Restart, terms)
		for w.m.State != client.Running {
			events := slices.DeleteFunc(w.possible(), func(e Event) bool {
				return !slices.Contains([]Event{DepsMet, Launched, Ended, BackoffOver}, e)
			})
			if len(events) == 0 {
				t.Fatalf("it doesn't come to run: %+v", w)
			}
			w.happen(t, rapid.SampledFrom(events).Draw(t, "event"), terms)
		}
		if w.launches <= before && before > 0 {
			t.Fatalf("there was no other run: %+v", w)
		}
	})
}

// drawRestart gives a policy such as the configuration allows it.
func drawRestart(t *rapid.T) config.Restart {
	duration := func(least, most time.Duration, what string) time.Duration {
		return time.Duration(rapid.Int64Range(int64(least), int64(most)).Draw(t, what))
	}
	var r config.Restart
	const years = 200 * 365 * 24 * time.Hour
	r.Backoff.Max = rapid.OneOf(rapid.Just(time.Minute), rapid.Just(time.Duration(0)), rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(years)).Draw(t, "any"))
	})).Draw(t, "max")
	r.Backoff.Initial = duration(0, r.Backoff.Max, "initial")
	r.Backoff.Factor = rapid.Float64Range(1, 1000).Draw(t, "factor")
	r.Backoff.Jitter = rapid.Float64Range(0, 1).Draw(t, "jitter")
	r.MaxRestarts = rapid.IntRange(0, 5).Draw(t, "restarts")
	r.Window = duration(0, time.Hour, "window")
	return r
}

// Pauses grow from the first to the longest and never past it, begin anew after a run that
// lasted, and there are no more restarts within the window than are allowed.
func TestPausesKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRestart(t)
		b := r.Backoff
		var a attempts
		var granted []time.Time
		now, inARow := time.Unix(1_800_000_000, 0), 0
		for range rapid.IntRange(1, 200).Draw(t, "ends") {
			ran := time.Duration(rapid.Int64Range(0, int64(2*min(b.Max, time.Hour))).Draw(t, "ran"))
			now = now.Add(ran)
			next, pause, exhausted := a.next(r, now, ran, rapid.Float64Range(0, 1).Draw(t, "random"))
			within := 0
			for _, at := range granted {
				if r.Window == 0 || now.Sub(at) < r.Window {
					within++
				}
			}
			if want := r.MaxRestarts > 0 && within >= r.MaxRestarts; exhausted != want {
				t.Fatalf("there were %d restarts within %s of at most %d: exhausted is %v", within, r.Window, r.MaxRestarts, exhausted)
			}
			if exhausted {
				return
			}
			a, granted = next, append(granted, now)
			if ran > b.Max {
				inARow = 0
			}
			plain := float64(b.Initial) // without jitter
			for range inARow {
				plain = math.Min(plain*b.Factor, float64(b.Max))
			}
			inARow++
			least, most := plain*(1-b.Jitter), math.Min(plain*(1+b.Jitter), float64(b.Max))
			const rounding = 1 + 1e-9
			if float64(pause) < least/rounding-1 || float64(pause) > most*rounding+1 || pause > b.Max {
				t.Fatalf("the pause is %s after %d in a row: want %s to %s, %s at most", pause, inARow-1, time.Duration(least), time.Duration(most), b.Max)
			}
			now = now.Add(pause)
		}
	})
}

// The verdict about all dependencies is the worst of each: it can't come true, before it is
// held by a stop, before it is awaited; and the reason names one of that kind.
func TestDependenciesAreAsBadAsTheWorst(t *testing.T) {
	conditions := []config.Condition{config.Started, config.Healthy, config.LogReady, config.Completed, config.CompletedSuccessfully}
	rapid.Check(t, func(t *rapid.T) {
		app := &config.App{}
		known := map[string][]fact{}
		var verdicts []verdict
		for n := range rapid.IntRange(0, 4).Draw(t, "dependencies") {
			d := config.Dependency{App: fmt.Sprint("app", n), Condition: rapid.SampledFrom(conditions).Draw(t, "condition")}
			app.DependsOn = append(app.DependsOn, d)
			for range rapid.IntRange(1, 3).Draw(t, "replicas") {
				f := fact{
					state: rapid.SampledFrom(allStates).Draw(t, "state"), ready: rapid.Bool().Draw(t, "ready"),
					started: rapid.Bool().Draw(t, "started"), ran: rapid.Bool().Draw(t, "ran"),
				}
				known[d.App] = append(known[d.App], f)
				v, _ := judge(d.Condition, f)
				verdicts = append(verdicts, v)
				if v == impossible && f.state != client.Failed && f.state != client.Completed {
					t.Fatalf("%s can't come true for %+v, which may still do something", d.Condition, f)
				}
				if v == held && f.state != client.Stopped {
					t.Fatalf("%s is held by %+v, which wasn't stopped", d.Condition, f)
				}
			}
		}
		want := met
		for _, v := range []verdict{pending, held, impossible} {
			if slices.Contains(verdicts, v) {
				want = v
			}
		}
		got, why := dependenciesOf(app, func(name string) []fact { return known[name] })
		if got != want || (why == "") != (want == met) {
			t.Fatalf("of %v: %d (%q), want %d", verdicts, got, why, want)
		}
	})
}
