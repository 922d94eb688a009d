package supervise

import (
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestWhichEndsAreASuccess(t *testing.T) {
	code := func(n int) foster.Status { return foster.Status{Known: true, Code: n} }
	spec := config.App{Restart: config.Restart{SuccessCodes: []int{3, 143}}}
	for _, c := range []struct {
		name string
		exit foster.Exit
		err  error
		want bool
	}{
		{"0", foster.Exit{Leader: code(0)}, nil, true},
		{"1", foster.Exit{Leader: code(1)}, nil, false},
		{"a code that is no failure", foster.Exit{Leader: code(3)}, nil, true},
		{"a signal", foster.Exit{Leader: foster.Status{Known: true, Signal: 15}}, nil, false},
		{"not known", foster.Exit{}, nil, false},
		{"the lease is over", foster.Exit{Leader: code(0), Cause: foster.CauseExpired}, nil, false},
		{"the watchdog", foster.Exit{Leader: code(0), Cause: foster.CauseWatchdog}, nil, false},
		{"the shim was killed", foster.Exit{Leader: code(0), Cause: foster.CauseShimLost}, nil, false},
		{"the leader was lost, which is a failure", foster.Exit{Leader: code(0), Cause: foster.CauseLeaderLostFail}, foster.ErrLeaderLost, false},
		{"the leader was lost, which is none", foster.Exit{Leader: code(0), Cause: foster.CauseLeaderLost}, nil, true},
	} {
		if got := succeeded(&spec, c.exit, c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// An end is proven by the kernel's word that nobody is left, not by the lack of names.
func TestWhatIsNotKnownToBeOverIsLeft(t *testing.T) {
	survivors := &foster.SurvivorsError{Survivors: []foster.Survivor{{PID: 7, Name: "app"}}}
	for _, c := range []struct {
		name string
		e    ending
		want bool
		left int
	}{
		{"empty", ending{exit: foster.Exit{TreeEmpty: time.Now()}}, true, 0},
		{"let go", ending{exit: foster.Exit{Released: true}}, true, 0},
		{"survivors", ending{err: survivors}, false, 1},
		{"nobody knows", ending{err: foster.ErrShimLost}, false, 0},
	} {
		if got := c.e.proven(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if cause, left := c.e.remains(); !c.want && (len(left) != c.left || cause == "") {
			t.Errorf("%s: %q, %q", c.name, cause, left)
		}
	}
}

// A project ends with an application of which a restart follows no more.
func TestTheProjectEndsWithAnApplication(t *testing.T) {
	dir := t.TempDir()
	p := sleepers(dir)
	test := script("test", "exit 3")
	test.EndsProject = config.EndsOnFailure
	test.Restart = config.Restart{Policy: config.RestartOnFailure, MaxRestarts: 1, Backoff: test.Restart.Backoff}
	test.DependsOn = []config.Dependency{{App: "web", Condition: config.Started}}
	p.Apps = append(p.Apps, test)
	leaktest.Check(t)
	s := New(p, Options{State: t.TempDir()})
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i := s.EndedBy(); i == nil || i.App != "test" || i.Restarts != 1 || i.Exit.Code == nil || *i.Exit.Code != 3 {
		t.Errorf("%+v", i)
	}
	if got := lines(t, dir+"/out"); !strings.HasSuffix(got, "stop web, stop db") {
		t.Errorf("%s", got)
	}
}

// What is stopped by hand doesn't end the project.
func TestAStopByHandDoesntEndTheProject(t *testing.T) {
	app := script("test", "sleep 1000 & wait")
	app.EndsProject = config.EndsOnExit
	s, _ := running(t, oneApp(app), Options{})
	awaitState(t, s, "test", client.Running)
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if i := awaitState(t, s, "test", client.Stopped); s.Status().Project == "" {
		t.Errorf("the project has ended: %+v", i)
	}
}
