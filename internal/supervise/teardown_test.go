package supervise

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// network is a project of net, a one-shot that takes something down when it is stopped, and of
// web, which depends on it. All that happens stands in the file out.
func network(dir string) *config.Project {
	net := script("net", "echo start net >> "+dir+"/out")
	net.RemainAfterExit = true
	net.Stop.Command = noted(dir, "torn-down", []string{"/bin/true"})
	net.Hooks.PostStop = []string{"/bin/sh", "-c", `echo "post_stop $FOSTER_RESULT $FOSTER_EXIT_CODE $FOSTER_STOP_REQUESTED" >> ` + dir + "/out"}
	web := sleeper("web", dir+"/out")
	web.DependsOn = []config.Dependency{{App: "net", Condition: config.CompletedSuccessfully}}
	return &config.Project{Name: "test", Dir: dir, Grace: time.Minute, Apps: []config.App{web, net}}
}

func init() {
	projects["network"] = network
	projects["network-behind-slow"] = func(dir string) *config.Project {
		p := network(dir)
		p.Apps[0].Command = slowToStop(dir).Apps[0].Command
		return p
	}
	projects["network-slow"] = func(dir string) *config.Project {
		p := network(dir)
		p.Apps = p.Apps[1:]
		p.Apps[0].Stop.Command = noted(dir, "torn-down", untilGo(dir))
		return p
	}
}

const takenDown = "torn-down, post_stop success 0 true"

// What a one-shot has set up is taken down when it is stopped: after what depends on it, and once
// for each run.
func TestAOneShotIsTornDownInItsTurnOnce(t *testing.T) {
	dir := t.TempDir()
	s, end := running(t, network(dir), Options{})
	awaitState(t, s, "web", client.Running)
	said(t, dir+"/out", "start net, start web")
	net := []client.Target{{App: "net"}}
	if err := s.Start(t.Context(), net); err != nil { // it is active
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), net); err != nil {
		t.Fatal(err)
	}
	awaitState(t, s, "net", client.Completed)
	said(t, dir+"/out", "start net, start web, "+takenDown+", start net")
	if err := end(); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start net, start web, "+takenDown+", start net, stop web, "+takenDown)
}

func TestAOneShotThatWasStoppedIsNotTornDownAgain(t *testing.T) {
	dir := t.TempDir()
	s, end := running(t, network(dir), Options{})
	awaitState(t, s, "web", client.Running)
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if i := instanceOf(t, s, "net"); i.State != client.Stopped {
		t.Errorf("net is %s", i.State)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start net, start web, stop web, "+takenDown)
}

func TestAnUpdateTearsAOneShotDown(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(p *config.Project)
		want string
	}{
		{"changed", func(p *config.Project) { p.Apps[1].Env = append(p.Apps[1].Env, "A=b") }, takenDown + ", start net"},
		{"removed", func(p *config.Project) { p.Apps = p.Apps[:1]; p.Apps[0].DependsOn = nil }, takenDown},
		{"only its hooks changed", func(p *config.Project) { p.Apps[1].Hooks.PreStart = []string{"/bin/true"} }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			next := network(dir)
			c.next(next)
			s, _ := running(t, network(dir), Options{Load: func() (*config.Project, error) { return next, nil }})
			awaitState(t, s, "web", client.Running)
			if _, err := s.Update(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			said(t, dir+"/out", strings.TrimSuffix("start net, start web, "+c.want, ", "))
		})
	}
}

// A supervisor that is killed leaves it to the next to take down what a one-shot has set up:
// also where the configuration no longer has it, and where nothing else is to be done.
func TestTheNextLifeTearsAOneShotDown(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(p *config.Project) Options
	}{
		{"at its end", func(*config.Project) Options { return Options{} }},
		{"that only ends what is left", func(*config.Project) Options { return Options{End: true} }},
		{"without it", func(p *config.Project) Options { p.Apps = p.Apps[:1]; p.Apps[0].DependsOn = nil; return Options{} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv(projectVariable, "network")
			cmd := startSupervisor(t, dir)
			leaktest.Eventually(t, "both have started", func() bool { return lines(t, dir+"/out") == "start net, start web" })
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed
			p := network(dir)
			o := c.next(p)
			o.State = dir
			s := New(p, o)
			if o.End {
				if err := s.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				end := run(t, s)
				s.Status() // when it has taken over
				if err := end(); err != nil {
					t.Fatal(err)
				}
			}
			got := lines(t, dir+"/out")
			if strings.Count(got, "torn-down") != 1 || strings.Count(got, "post_stop success 0 true") != 1 || strings.Count(got, "start") != 2 {
				t.Errorf("%s", got)
			}
			if ids := LeftActive(dir); len(ids) > 0 {
				t.Errorf("still active: %v", ids)
			}
			clearAway(t)
		})
	}
}

// Killed in the middle, what takes down has begun, and isn't run twice.
func TestTearingDownIsNotBegunAgainByTheNextLife(t *testing.T) {
	dir := t.TempDir()
	killedWhile(t, "network-slow", "stop when completed", dir, 1)
	s, end := running(t, projects["network-slow"](dir), Options{State: dir})
	awaitState(t, s, "net", client.Stopped)
	told(t, s, "hook", "stop.command isn't run again")
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, dir+"/out"); strings.Count(got, "torn-down") != 1 {
		t.Errorf("%s", got)
	}
	clearAway(t)
}

// A foster down is no end of what a one-shot has set up until that is taken down: killed before
// or in the middle of it, a supervisor leaves the rest to the next life.
func TestTheNextLifeTearsDownWhatAnEndThatWasCutShortHasNot(t *testing.T) {
	for _, c := range []struct {
		project string
		starts  int
		want    []string // in the same order
	}{
		{"network-behind-slow", 2, []string{"torn-down", "post_stop success 0 true"}},
		{"network-slow", 1, []string{"post_stop success 0 true"}},
	} {
		for _, only := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, only to end: %v", c.project, only), func(t *testing.T) {
				dir := t.TempDir()
				killedWhile(t, c.project, "down when completed", dir, c.starts)
				if ids := LeftActive(dir); !slices.Equal(ids, []string{"test.net.1"}) {
					t.Fatalf("active: %v", ids)
				}
				before := strings.Count(lines(t, dir+"/out"), "start net")
				s := New(projects[c.project](dir), Options{State: dir, End: only})
				if only {
					if err := s.Run(t.Context()); err != nil {
						t.Fatal(err)
					}
				} else {
					end := run(t, s)
					awaitState(t, s, "net", client.Completed)
					if err := end(); err != nil {
						t.Fatal(err)
					}
				}
				got := lines(t, dir+"/out")
				if only && strings.Count(got, "start net") != before {
					t.Errorf("started for its end: %s", got)
				}
				if n := strings.Count(got, "torn-down"); n != strings.Count(got, "start net") {
					t.Errorf("torn down %d times: %s", n, got)
				}
				for _, want := range c.want {
					if !strings.Contains(got, want) {
						t.Errorf("no %q: %s", want, got)
					}
				}
				if ids := LeftActive(dir); len(ids) > 0 {
					t.Errorf("still active: %v", ids)
				}
				clearAway(t)
			})
		}
	}
}

func TestAOneShotThatHasFailedIsNotTornDown(t *testing.T) {
	dir := t.TempDir()
	p := network(dir)
	p.Apps[1].Command[2] += "; exit 3"
	s, end := running(t, p, Options{})
	awaitState(t, s, "net", client.Failed)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start net, post_stop exit-code 3 false")
}

// The hook after an end is told how that was, in foster's words and in those of systemd.
func TestPostStopIsToldHowTheRunHasEnded(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		change             func(*config.App)
		stop               bool
	}{
		{name: "exit code", script: "exit 7", want: "exit-code false 7 - exit-code exited 7"},
		{name: "success", script: "exit 0", want: "success false 0 - success exited 0"},
		{name: "signal", script: "kill -USR1 $$", want: "signal false - SIGUSR1 signal killed USR1"},
		{name: "stopped", script: "up; exec sleep 1000", stop: true, want: "success true - SIGTERM success killed TERM"},
		{name: "stopped, with a code", script: "trap 'exit 4' TERM; up; " + awaitsSignal, stop: true, want: "exit-code true 4 - exit-code exited 4"},
		{name: "killed at its stop", script: "trap '' TERM; up; exec sleep 1000", stop: true, change: func(a *config.App) { a.Stop.Timeout = 10 * time.Millisecond },
			want: "timeout true - SIGKILL timeout killed KILL"},
		{name: "not ready in time", script: "exec sleep 1000", change: func(a *config.App) {
			a.StartTimeout, a.Readiness = 10*time.Millisecond, isThere("/no/such/file")
		}, want: "timeout false - SIGTERM timeout killed TERM"},
		{name: "hung", script: "exec sleep 1000", change: func(a *config.App) {
			a.Liveness, a.Restart.Backoff.Initial = isThere("/no/such/file"), time.Hour
		}, want: "watchdog false - SIGTERM watchdog killed TERM"},
		{name: "its lease is over", script: "exec sleep 1000", change: func(a *config.App) { a.Lease.Time = 10 * time.Millisecond },
			want: "timeout false - SIGTERM timeout killed TERM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := t.TempDir() + "/out"
			app := script("app", "up() { echo > "+out+".up; }; "+c.script)
			app.Env = append(app.Env, "EXIT_CODE=of the application")
			app.Hooks.PostStop = []string{"/bin/sh", "-c", `echo "$FOSTER_RESULT $FOSTER_STOP_REQUESTED ${FOSTER_EXIT_CODE:--} ${FOSTER_EXIT_SIGNAL:--} $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS" > ` + out}
			if c.change != nil {
				c.change(&app)
			}
			s, _ := running(t, oneApp(app), Options{})
			if c.stop {
				leaktest.Eventually(t, "it runs", func() bool { return exists(out + ".up") })
				if err := s.Stop(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			leaktest.Eventually(t, "the hook has run", func() bool { return lines(t, out) != "" })
			said(t, out, c.want)
		})
	}
}
