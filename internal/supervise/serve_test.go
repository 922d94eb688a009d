package supervise

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// overSocket runs a supervisor behind its control socket, and gives a client of it.
func overSocket(t *testing.T, p *config.Project, o Options) *client.Client {
	t.Helper()
	s, end := running(t, p, o)
	l, err := api.Listen(p.Name, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- api.Serve(ctx, l, s) }()
	c, err := client.Dial(p.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := end()
		if errors.Is(err, client.ErrNotRunning) { // a test may have ended it
			err = nil
		}
		stop()
		if err := errors.Join(err, <-over, c.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// All the way: a Go program, the socket, the supervisor, real processes, and back.
func TestOverTheSocketApplicationsAreHeldAndTold(t *testing.T) {
	web := script("web", "trap 'echo bye; exit 0' TERM; echo hello; sleep 1000 & wait; wait")
	web.Lease.Max, web.Lease.Time = 2*time.Hour, time.Hour
	c := overSocket(t, &config.Project{Name: "test", Apps: []config.App{web}}, Options{})
	ctx := t.Context()
	at := client.Target{App: "web"}

	events := make(chan client.Event, 100)
	go func() {
		defer close(events)
		for e, err := range c.Events(ctx, 0, true) {
			if err == nil {
				events <- e
			}
		}
	}()
	if err := c.Start(ctx, at); err != nil {
		t.Fatal(err)
	}
	status, err := c.Status(ctx)
	if err != nil || len(status.Apps) != 1 {
		t.Fatalf("%+v, %v", status, err)
	}
	first := status.Apps[0].Instances[0]
	if first.State != client.Running || first.PID == 0 || first.Members < 1 || first.LeaseLeft == nil {
		t.Errorf("%+v", first)
	}
	if err := c.Extend(ctx, 90*time.Minute, at); err != nil {
		t.Error(err)
	}
	if err := c.Signal(ctx, "CONT", string(foster.ScopeLeader), at); err != nil {
		t.Error(err)
	}
	if err := c.Scale(ctx, "web", 2); err != nil {
		t.Error(err)
	}
	awaitSaid(t, c, "hello ")
	if err := c.Restart(ctx, client.Target{App: "web", Replica: 1}); err != nil {
		t.Error(err)
	}
	awaitSaid(t, c, "hello bye hello ")
	if err := c.Stop(ctx, at); err != nil {
		t.Error(err)
	}
	runs, err := c.History(ctx, "web", 1, 0)
	if err != nil || len(runs) != 2 || runs[0].PID != first.PID || runs[1].Exit == nil || runs[1].Exit.Cause != "stopped" {
		t.Errorf("%+v, %v", runs, err)
	}
	if env, err := c.Environment(ctx, "web", 1); err != nil || !strings.HasPrefix(strings.Join(env.Env, " "), "PATH=") {
		t.Errorf("%+v, %v", env, err)
	}
	awaitSaid(t, c, "hello bye hello bye ")
	if err := c.Down(ctx); err != nil {
		t.Error(err)
	}
	seen := map[client.State]int{}
	last := uint64(0)
	for e := range events { // the stream ends with the supervisor
		if e.Seq != last+1 {
			t.Errorf("event %d follows %d", e.Seq, last)
		}
		last = e.Seq
		seen[e.To]++
	}
	if seen[client.Running] != 3 || seen[client.Stopping] != 3 {
		t.Errorf("%v", seen)
	}
}

// awaitSaid waits until the first replica of web has said something.
func awaitSaid(t *testing.T, c *client.Client, want string) {
	t.Helper()
	leaktest.Eventually(t, "it says "+want, func() bool {
		said := ""
		for line, err := range c.Logs(t.Context(), client.LogQuery{Targets: []client.Target{{App: "web", Replica: 1}}}) {
			if err != nil {
				t.Fatal(err)
			}
			said += line.Text + " "
		}
		return said == want
	})
}

func TestOverTheSocketErrorsAreWhatTheyWere(t *testing.T) {
	missing := script("missing", "")
	missing.Command, missing.Autostart = []string{"/no/such/program"}, false
	c := overSocket(t, &config.Project{Name: "test", Apps: []config.App{missing}}, Options{
		Load: func() (*config.Project, error) { return nil, errors.New("foster.yaml:3:5: no") },
	})
	if failed, ok := errors.AsType[*client.FailedError](c.Start(t.Context(), client.Target{All: true})); !ok || !strings.Contains(failed.Failures[0].Text, "/no/such/program") {
		t.Errorf("%v", failed)
	}
	for _, err := range []error{
		c.Stop(t.Context(), client.Target{App: "wep"}), c.Restart(t.Context(), client.Target{App: "missing", Replica: 2}),
		c.Scale(t.Context(), "wep", 1), c.Signal(t.Context(), "TERM", "", client.Target{App: "wep"}),
	} {
		if !errors.Is(err, client.ErrUnknown) {
			t.Errorf("%v", err)
		}
	}
	if _, err := c.Terminal(t.Context(), "missing", 0); !errors.Is(err, client.ErrNoTerminal) {
		t.Errorf("%v", err)
	}
	if _, err := c.Update(t.Context(), true); err == nil || err.Error() != "foster.yaml:3:5: no" {
		t.Errorf("%v", err)
	}
	if _, err := c.History(t.Context(), "wep", 0, 0); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("%v", err)
	}
	leaktest.Eventually(t, "nothing runs", func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.Apps[0].Instances[0].State == client.Failed
	})
}
