package supervise

import (
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

func TestAConditionIsMetPendingOrImpossible(t *testing.T) {
	for _, c := range []struct {
		name      string
		condition config.Condition
		fact      fact
		want      verdict
	}{
		{"started", config.Started, fact{state: client.Running, started: true}, met},
		{"being stopped isn't started", config.Started, fact{state: client.Stopping, started: true}, pending},
		{"nor is what can't be ended", config.Started, fact{state: client.Stuck, started: true}, pending},
		{"not started yet", config.Started, fact{state: client.Waiting}, pending},
		{"started and ended", config.Started, fact{state: client.Completed, started: true, ran: true}, met},
		{"running isn't ready", config.Healthy, fact{state: client.Running, started: true}, pending},
		{"ready", config.Healthy, fact{state: client.Running, started: true, ready: true}, met},
		{"ended before it was ready", config.Healthy, fact{state: client.Completed, ran: true}, impossible},
		{"failed, and that is an end", config.Completed, fact{state: client.Failed, ran: true}, met},
		{"not even started", config.Completed, fact{state: client.Failed}, impossible},
		{"failed isn't success", config.CompletedSuccessfully, fact{state: client.Failed, ran: true}, impossible},
		{"success", config.CompletedSuccessfully, fact{state: client.Completed, ran: true}, met},
		{"tries again", config.CompletedSuccessfully, fact{state: client.Backoff, ran: true}, pending},
		{"stopped by hand", config.Healthy, fact{state: client.Stopped}, held},
		{"ran, and was stopped by hand", config.Started, fact{state: client.Stopped, started: true}, held},
		{"line not seen", config.LogReady, fact{state: client.Running, started: true}, pending},
	} {
		if got, why := judge(c.condition, c.fact); got != c.want || got == impossible && why == "" {
			t.Errorf("%s: %d, %q; want %d", c.name, got, why, c.want)
		}
	}
}

func TestAllReplicasOfADependencyCount(t *testing.T) {
	app := &config.App{DependsOn: []config.Dependency{{App: "db", Condition: config.Healthy}}}
	one := fact{state: client.Running, started: true, ready: true}
	other := fact{state: client.Running, started: true}
	facts := func(string) []fact { return []fact{one, other} }
	if v, why := dependenciesOf(app, facts); v != pending || why != "waits for db (process_healthy)" {
		t.Errorf("%d, %q", v, why)
	}
	other.ready = true
	if v, _ := dependenciesOf(app, facts); v != met {
		t.Errorf("%d", v)
	}
}

func TestThePauseGrowsToItsBoundAndBeginsAnew(t *testing.T) {
	r := config.Restart{Backoff: config.Backoff{Initial: time.Second, Factor: 2, Max: 5 * time.Second}}
	var a attempts
	now := time.Unix(0, 0)
	for n, want := range []time.Duration{1, 2, 4, 5, 5} {
		var pause time.Duration
		a, pause, _ = a.next(r, now, 0, 0.5)
		if pause != want*time.Second {
			t.Errorf("pause %d is %s", n, pause)
		}
	}
	if _, pause, _ := a.next(r, now, 6*time.Second, 0.5); pause != time.Second {
		t.Errorf("after a run that lasted: %s", pause)
	}
	for range 5000 { // the power is infinite long before
		a, _, _ = a.next(r, now, 0, 0.5)
	}
	if _, pause, _ := a.next(r, now, 0, 0.5); pause != 5*time.Second {
		t.Errorf("after 5,000 restarts: %s", pause)
	}
}

func TestTheJitterStaysInItsBounds(t *testing.T) {
	r := config.Restart{Backoff: config.Backoff{Initial: 10 * time.Second, Factor: 1, Max: time.Minute, Jitter: 0.1}}
	for random, want := range map[float64]time.Duration{0: 9 * time.Second, 0.5: 10 * time.Second, 1: 11 * time.Second} {
		if _, pause, _ := (attempts{}).next(r, time.Now(), 0, random); pause.Round(time.Millisecond) != want {
			t.Errorf("%v: %s", random, pause)
		}
	}
}

func TestThePauseIsNeverLongerThanTheLongest(t *testing.T) {
	r := config.Restart{Backoff: config.Backoff{Initial: time.Minute, Factor: 2, Max: time.Minute, Jitter: 0.1}}
	for random, want := range map[float64]time.Duration{0: 54 * time.Second, 0.5: time.Minute, 1: time.Minute} {
		if _, pause, _ := (attempts{}).next(r, time.Now(), 0, random); pause.Round(time.Millisecond) != want {
			t.Errorf("%v: %s", random, pause)
		}
	}
}

func TestAFirstPauseOfZeroStaysZero(t *testing.T) {
	r := config.Restart{Backoff: config.Backoff{Factor: 2, Max: time.Minute, Jitter: 0.1}}
	a := attempts{inARow: 5000} // the power is infinite
	if _, pause, _ := a.next(r, time.Now(), 0, 0.5); pause != 0 {
		t.Errorf("after 5,000 restarts: %s", pause)
	}
}

func TestRestartsAreBoundWithinTheWindow(t *testing.T) {
	r := config.Restart{MaxRestarts: 2, Window: time.Minute, Backoff: config.Backoff{Initial: 1, Factor: 1, Max: 1}}
	var a attempts
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for _, c := range []struct {
		second    int
		exhausted bool
	}{{0, false}, {10, false}, {20, true}, {59, true}, {61, false}, {62, true}} {
		var exhausted bool
		a, _, exhausted = a.next(r, at(c.second), 0, 0)
		if exhausted != c.exhausted {
			t.Errorf("at second %d: %v", c.second, exhausted)
		}
	}
}
