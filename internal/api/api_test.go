package api

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestEachRequestReachesTheSupervisorAsItWasMeant(t *testing.T) {
	f := &fake{}
	c, _ := serveFake(t, f)
	ctx := t.Context()
	web, all := client.Target{App: "web", Replica: 2}, client.Target{All: true}
	for _, try := range []struct {
		do   func() error
		want string
	}{
		{func() error { return c.Start(ctx, all) }, "start []"},
		{func() error { return c.Stop(ctx, web, all) }, "stop []"},
		{func() error { return c.Start(ctx, web, client.Target{App: "db"}) }, "start [{web 2 false} {db 0 false}]"},
		{func() error { return c.Stop(ctx, web) }, "stop [{web 2 false}]"},
		{func() error { return c.Restart(ctx, web) }, "restart [{web 2 false}]"},
		{func() error { return c.StopWith(ctx, client.StopPlan{Timeout: "0"}, web) }, "stop [{web 2 false}] by 0  -1ns"},
		{func() error {
			return c.RestartWith(ctx, client.StopPlan{Signal: "INT", Scope: "leader-first", Timeout: "1m30s"}, all)
		}, "restart [] by 2 leader-first 1m30s"},
		{func() error { return c.Signal(ctx, "HUP", "", web) }, "signal [{web 2 false}] 1 tree"},
		{func() error { return c.Signal(ctx, "10", "leader", all) }, "signal [] 10 leader"},
		{func() error { return c.Extend(ctx, 90*time.Minute, web) }, "extend [{web 2 false}] 1h30m0s"},
		{func() error { return c.Extend(ctx, 1500*time.Microsecond, all) }, "extend [] 1.5ms"},
		{func() error { return c.Scale(ctx, "web", 3) }, "scale web 3"},
		{func() error { return c.Scale(ctx, "web", 0) }, "scale web 0"},
		{func() error { _, err := c.Update(ctx, true); return err }, "update true"},
		{func() error { _, err := c.Up(ctx, false); return err }, "up [] false"},
		{func() error { _, err := c.UpApps(ctx, false, "web"); return err }, "up [web] false"},
		{func() error { return c.Down(ctx) }, "down"},
		{func() error { return c.Leave(ctx) }, "leave"},
		{func() error { _, err := c.History(ctx, "web", 2, 5); return err }, "history web 2 5"},
		{func() error { _, err := c.Environment(ctx, "web", 0); return err }, "environment web 0"},
	} {
		if err := try.do(); err != nil || f.last() != try.want {
			t.Errorf("%q, %v, want %q", f.last(), err, try.want)
		}
	}
}

func TestAnEmptyListOfTargetsNeverMeansAll(t *testing.T) {
	f := &fake{}
	c, _ := serveFake(t, f)
	ctx := t.Context()
	lists := [][]client.Target{nil, {}, {{}}, {{App: "web"}, {}}}
	for _, of := range lists {
		for name, do := range map[string]func() error{
			"start": func() error { return c.Start(ctx, of...) }, "stop": func() error { return c.Stop(ctx, of...) },
			"restart":   func() error { return c.Restart(ctx, of...) },
			"stop with": func() error { return c.StopWith(ctx, client.StopPlan{Signal: "INT"}, of...) },
			"restart with": func() error {
				return c.RestartWith(ctx, client.StopPlan{Timeout: "0"}, of...)
			},
			"signal": func() error { return c.Signal(ctx, "TERM", "", of...) },
			"extend": func() error { return c.Extend(ctx, time.Minute, of...) },
			"up":     func() error { _, err := c.UpApps(ctx, false); return err },
			"up ''":  func() error { _, err := c.UpApps(ctx, false, "web", ""); return err },
			"logs": func() error {
				for _, err := range c.Logs(ctx, client.LogQuery{Targets: []client.Target{{}}}) {
					return err
				}
				return nil
			},
		} {
			if err := do(); !errors.Is(err, client.ErrNoTarget) {
				t.Errorf("%s of %v: %v, want ErrNoTarget", name, of, err)
			}
		}
	}
	if asked := f.last(); asked != "" {
		t.Errorf("the supervisor was asked: %s", asked)
	}
}

func TestAnswersComeBackAsTheyWereGiven(t *testing.T) {
	f := &fake{
		status: client.Status{Project: "test", PID: 7, Files: []string{"/a<b>"}}, runs: []client.Run{{ID: 7, App: "web"}},
		env: client.Environment{Dir: "/srv", Env: []string{"A=<b>"}},
	}
	c, _ := serveFake(t, f)
	if s, err := c.Status(t.Context()); err != nil || s.PID != 7 || s.Files[0] != "/a<b>" {
		t.Errorf("%+v, %v", s, err)
	}
	if e, err := c.Environment(t.Context(), "web", 1); err != nil || e.Dir != "/srv" || e.Env[0] != "A=<b>" {
		t.Errorf("%+v, %v", e, err)
	}
	if h, err := c.History(t.Context(), "web", 1, 0); err != nil || len(h) != 1 || h[0].ID != 7 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestErrorsComeBackAsTheyWereGiven(t *testing.T) {
	f := &fake{changes: []client.Change{{App: "web", Action: "restart"}}}
	c, _ := serveFake(t, f)
	f.fails = &client.FailedError{Failures: []client.Failure{{App: "web", Replica: 1, Text: "no", Survivors: []string{"sleep (pid 3)"}}}}
	err := c.Stop(t.Context(), client.Target{App: "web"})
	if failed, ok := errors.AsType[*client.FailedError](err); !ok || failed.Failures[0].Survivors[0] != "sleep (pid 3)" {
		t.Errorf("%v", err)
	}
	changes, err := c.Update(t.Context(), false)
	if _, ok := errors.AsType[*client.FailedError](err); !ok || len(changes) != 1 || changes[0].Action != "restart" {
		t.Errorf("%v, %v", changes, err)
	}
	for _, want := range []error{client.ErrUnknown, client.ErrNoTerminal, client.ErrNotRunning} {
		f.fails = errors.Join(want)
		if err := c.Start(t.Context(), client.Target{App: "x"}); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if _, err := c.Terminal(t.Context(), "x", 1); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	f.fails = errors.New("it rains")
	if err := c.Start(t.Context(), client.Target{App: "web"}); err == nil || err.Error() != "it rains" {
		t.Errorf("%v", err)
	}
	f.fails = client.ErrUnknown
	if r, ok := errors.AsType[*client.RequestError](c.Start(t.Context(), client.Target{App: "web"})); !ok || r.Status != 404 || r.Hint == "" {
		t.Errorf("%+v", r)
	}
}

func TestWhoHasEndedIsntRunning(t *testing.T) {
	c, _ := serveFake(t, &fake{ended: true})
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

func TestWhereNobodyListensNothingRuns(t *testing.T) {
	if _, err := client.Dial("nobody"); !errors.Is(err, client.ErrNotRunning) {
		t.Errorf("%v", err)
	}
	if _, err := client.Dial("../etc"); err == nil || errors.Is(err, client.ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

// Who asks for the end gets an answer, though the server ends with it.
func TestTheEndIsAnswered(t *testing.T) {
	leaktest.Check(t)
	l, err := Listen("test", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, &fake{down: end}) }()
	c, err := client.Dial("test")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Down(t.Context()), <-served); err != nil {
		t.Error(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrNotRunning) {
		t.Errorf("%v", err)
	}
}

func TestWhoGoesAwayIsNoLongerWaitedFor(t *testing.T) {
	f := &fake{hold: make(chan struct{}), freed: make(chan error, 1)}
	c, _ := serveFake(t, f)
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- c.Start(ctx, client.Target{All: true}) }()
	leaktest.Eventually(t, "it was asked", func() bool { return f.last() != "" })
	leave()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := <-f.freed; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestEventsAreStreamedAsTheyCome(t *testing.T) {
	f := &fake{events: make(chan client.Event)}
	c, _ := serveFake(t, f)
	got := make(chan client.Event)
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		for e, err := range c.Events(t.Context(), 41, true) {
			if err != nil {
				ended <- err
				return
			}
			got <- e
		}
	}()
	for n := range uint64(3) {
		f.events <- client.Event{Seq: 42 + n, Kind: "state", Cause: "a\nb"}
		if e := <-got; e.Seq != 42+n || e.Cause != "a\nb" {
			t.Errorf("%+v", e)
		}
	}
	if f.last() != "events 41 true" {
		t.Errorf("%q", f.last())
	}
	close(f.events)
	if err := <-ended; err != nil {
		t.Errorf("%v", err)
	}
}

func TestWhoEndsAStreamLeavesNothing(t *testing.T) {
	f := &fake{events: make(chan client.Event, 1)}
	c, _ := serveFake(t, f)
	f.events <- client.Event{Seq: 1}
	for range c.Events(t.Context(), 0, true) {
		break
	}
	f.events <- client.Event{Seq: 2} // found by nobody, or by who is leaving: leaktest looks
}

func TestLogsAreAskedForAndStreamed(t *testing.T) {
	f := &fake{logs: []client.Line{{App: "web", Replica: 1, Stream: "stdout", Text: "one"}, {App: "web", Raw: []byte{0xff, 0}}}}
	c, _ := serveFake(t, f)
	since := time.Date(2026, 11, 25, 13, 0, 0, 5, time.UTC)
	query := client.LogQuery{
		Targets: []client.Target{{App: "web"}, {App: "a.2"}, {App: "db", Replica: 3}}, Stream: "stderr", Newest: -1, Since: since, Follow: false, Unfinished: true,
	}
	var got []client.Line
	for line, err := range c.Logs(t.Context(), query) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line)
	}
	if len(got) != 2 || got[0].Text != "one" || string(got[1].Raw) != "\xff\x00" {
		t.Errorf("%+v", got)
	}
	want := "logs {Targets:[{App:web Replica:0 All:false} {App:a.2 Replica:0 All:false} {App:db Replica:3 All:false}] Stream:stderr Newest:-1 Since:" +
		since.String() + " Until:" + time.Time{}.String() + " Follow:false Unfinished:true}"
	if f.last() != want {
		t.Errorf("%s, want %s", f.last(), want)
	}
}

// An error is told also where the answer has begun.
func TestAStreamTellsWhatItFailedWith(t *testing.T) {
	for _, lines := range [][]client.Line{nil, {{Text: "one"}}} {
		f := &fake{logs: lines, endlog: client.ErrUnknown}
		t.Run("", func(t *testing.T) {
			c, _ := serveFake(t, f)
			var last error
			n := 0
			for _, err := range c.Logs(t.Context(), client.LogQuery{}) {
				if last = err; err == nil {
					n++
				}
			}
			if !errors.Is(last, client.ErrUnknown) || n != len(lines) {
				t.Errorf("%d, %v", n, last)
			}
		})
	}
}

func TestATerminalIsCarriedBothWays(t *testing.T) {
	f := &fake{term: newFakeTerminal()}
	c, _ := serveFake(t, f)
	term, err := c.Terminal(t.Context(), "web", 1)
	if err != nil {
		t.Fatal(err)
	}
	typed := strings.Repeat("0123456789", 20_000)
	go func() { _, _ = io.WriteString(term, typed) }()
	read := make([]byte, len(typed))
	if _, err := io.ReadFull(term, read); err != nil || string(read) != typed {
		t.Fatalf("%d bytes, %v", len(read), err)
	}
	if err := term.Resize(132, 43); err != nil {
		t.Fatal(err)
	}
	if size := <-f.term.size; size != [2]uint16{132, 43} {
		t.Errorf("%v", size)
	}
	f.term.WriteCloser.Close() // the application ends
	if n, err := term.Read(read); err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
	term.Close()
}

func TestWhoDetachesFreesTheTerminal(t *testing.T) {
	f := &fake{term: newFakeTerminal()}
	c, _ := serveFake(t, f)
	term, err := c.Terminal(t.Context(), "web", 1)
	if err != nil {
		t.Fatal(err)
	}
	term.Close()
	leaktest.Eventually(t, "the terminal is closed", func() bool {
		_, err := f.term.Write([]byte{1})
		return errors.Is(err, io.ErrClosedPipe)
	})
}

func TestOfTwoSupervisorsTheFirstListens(t *testing.T) {
	leaktest.Check(t)
	l, err := Listen("test", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("test", ""); !errors.Is(err, ErrRunning) {
		t.Errorf("%v", err)
	}
	other, err := Listen("other", "")
	if err := errors.Join(err, other.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Listen("test", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Of many that begin and end at once, never two listen.
func TestTheLockIsNeverHeldTwice(t *testing.T) {
	leaktest.Check(t)
	held := make(chan struct{}, 1)
	done := make(chan int)
	for range 8 {
		go func() {
			wins := 0
			defer func() { done <- wins }()
			for range 200 {
				l, err := Listen("test", "")
				if errors.Is(err, ErrRunning) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case held <- struct{}{}:
				default:
					t.Error("two listen")
				}
				wins++
				<-held
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wins := []int{}
	for range 8 {
		wins = append(wins, <-done)
	}
	if slices.Max(wins) == 0 {
		t.Error("nobody ever listened")
	}
}
