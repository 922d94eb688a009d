package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/logs"
)

// logged are the lines of a project's logs, with what they are of.
func logged(t *testing.T, s *Supervisor, q client.LogQuery) (list []string) {
	t.Helper()
	for line, err := range s.Logs(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s.%d %s %s", line.App, line.Replica, line.Stream, line.Text))
	}
	return list
}

func TestWhatApplicationsWriteIsKept(t *testing.T) {
	web := script("web", "echo out; echo err >&2; exit 3")
	web.Restart.Policy, web.Restart.MaxRestarts = config.RestartOnFailure, 2
	mute := script("mute", "echo out")
	mute.Logs.Disabled = true
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{web, mute}}, Options{})
	awaitState(t, s, "web", client.Failed)
	awaitState(t, s, "mute", client.Completed)
	var c logs.Counters
	if err := s.ask(func() { c = s.logCounters(s.apps["web"].instances[0]) }); err != nil {
		t.Fatal(err)
	}
	if c.Lines != 6 || c.Bytes != 24 || c.Dropped != 0 {
		t.Errorf("%+v", c)
	}
	got := logged(t, s, client.LogQuery{})
	if len(got) != 6 || strings.Count(strings.Join(got, ","), "web.1 stdout out") != 3 {
		t.Errorf("%q", got)
	}
	if got := logged(t, s, client.LogQuery{Targets: []client.Target{{App: "web"}}, Stream: "stderr", Newest: 1}); len(got) != 1 || got[0] != "web.1 stderr err" {
		t.Errorf("%q", got)
	}
	if got := logged(t, s, client.LogQuery{Targets: []client.Target{{App: "mute"}}}); got != nil {
		t.Errorf("%q", got)
	}
}

func TestWhoFollowsHearsTheLastWords(t *testing.T) {
	app := script("web", "trap 'echo farewell; exit 0' TERM; echo hello; sleep 1000 & wait")
	s, end := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	heard := make(chan string)
	go func() {
		defer close(heard)
		for line, err := range s.Logs(t.Context(), client.LogQuery{Follow: true}) {
			if err != nil {
				t.Error(err)
			}
			heard <- line.Text
		}
	}()
	if first := <-heard; first != "hello" {
		t.Errorf("%q", first)
	}
	ended := make(chan error)
	go func() { ended <- end() }()
	if last := <-heard; last != "farewell" {
		t.Errorf("%q", last)
	}
	if text, more := <-heard; more {
		t.Errorf("and %q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What can't be written is told, and the application goes on.
func TestALogThatCannotBeWrittenIsAProblemAndNoMore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "logs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	app := script("web", "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); echo a line that would fill a pipe, in the end, if nobody took it away; done; echo done >> "+out)
	app.Logs.OnFull = "block" // says nothing of a folder that is none
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{State: dir})
	awaitState(t, s, "web", client.Completed)
	if lines(t, out) != "done" {
		t.Error("it didn't come to its end")
	}
	leaktest.Eventually(t, "it is told", func() bool {
		return strings.Contains(strings.Join(s.Status().Problems, ","), "the log of web.1: ")
	})
}

// What can't be written is dropped, and the metrics say how much.
func TestLinesThatAreDroppedAreCounted(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "logs"), nil, 0o600); err != nil { // in the way of the folder
		t.Fatal(err)
	}
	s, _ := running(t, oneApp(script("web", "echo one; echo two; echo three; sleep 1000 & wait")), Options{State: dir})
	leaktest.Eventually(t, "three are counted", func() bool {
		c := s.Counters()
		return len(c.Instances) == 1 && c.Instances[0].LogLost == 3 && c.Instances[0].LogLines == 0
	})
}

// How a log is kept is taken over without a restart; whether there is one isn't.
func TestAnotherWayToKeepALogNeedsNoRestart(t *testing.T) {
	dir := t.TempDir()
	app := script("web", fmt.Sprintf("echo one; until [ -e %s/go ]; do sleep 0.01; done; echo two; sleep 1000 & wait", dir))
	next := oneApp(app)
	next.Apps[0].Logs = config.Logs{Format: "json", MaxSize: 1 << 20, MaxFiles: 3}
	s, _ := running(t, oneApp(app), Options{State: dir, Load: func() (*config.Project, error) { return next, nil }})
	has := func(text string) func() bool {
		return func() bool { return strings.Contains(strings.Join(logged(t, s, client.LogQuery{}), ","), text) }
	}
	leaktest.Eventually(t, "its first line is there", has("one"))
	before := awaitState(t, s, "web", client.Running)
	changes, err := s.Update(t.Context(), false)
	if err != nil || fmt.Sprint(changes) != "[{web change [Logs] 0 0}]" {
		t.Fatalf("%v, %v", changes, err)
	}
	touch(t, filepath.Join(dir, "go"))
	leaktest.Eventually(t, "its second line is there", has("two"))
	files, err := filepath.Glob(filepath.Join(dir, "logs", "web.1", "*.log"))
	if err != nil || len(files) != 2 || !strings.HasPrefix(lines(t, files[1]), "{") {
		t.Errorf("%v, %v", files, err)
	}
	if i := instanceOf(t, s, "web"); i.PID != before.PID || i.Restarts != 0 {
		t.Errorf("it was touched: %d was %d", i.PID, before.PID)
	}
	next = oneApp(app)
	next.Apps[0].Logs.Disabled = true
	if changes, err = s.Update(t.Context(), true); err != nil || fmt.Sprint(changes) != "[{web restart [Logs] 0 0}]" {
		t.Errorf("%v, %v", changes, err)
	}
}
