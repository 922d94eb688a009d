package supervise

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func init() {
	projects["liners"] = func(dir string) *config.Project {
		now := script("now", "echo a line; echo listening >&2; echo another; sleep 1000 & wait")
		// before writes the line in its first run only.
		file := filepath.Join(dir, "file")
		before := script("before", "if [ -e "+file+" ]; then echo silent; sleep 1000 & wait; fi; touch "+file+"; echo listening; exit 1")
		before.Restart.Policy = config.RestartAlways
		p := &config.Project{Name: "test", Dir: dir, Grace: time.Minute, Apps: []config.App{now, before}}
		for n := range p.Apps {
			p.Apps[n].Readiness = &config.Probe{Log: "^listening$"}
		}
		return p
	}
}

// A supervisor that was killed when the line was in the log, and wasn't noted yet, doesn't
// make its application wait for ever.
func TestALineThatNobodyHasNotedIsFoundInTheLog(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(projectVariable, "liners")
	cmd := startSupervisor(t, dir)
	wrote := func(app, text string) bool {
		kept, _ := os.ReadFile(filepath.Join(dir, "logs", app+".1", "0000000001.log")) // there is none yet
		return strings.Contains(string(kept), text)
	}
	leaktest.Eventually(t, "all is written", func() bool { return wrote("now", " another\n") && wrote("before", " silent\n") })
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	forgetShown(t, dir)
	s, end := running(t, projects["liners"](dir), Options{State: dir})
	if i := awaitState(t, s, "now", client.Running); !strings.HasPrefix(i.Cause, "taken over") {
		t.Errorf("%q", i.Cause)
	}
	leaktest.Eventually(t, "it is ready", func() bool { return instanceOf(t, s, "now").Ready })
	if i := instanceOf(t, s, "before"); i.Ready || !strings.HasPrefix(i.Cause, "taken over") {
		t.Errorf("ready by the line of an earlier run: %v, %q", i.Ready, i.Cause)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shims of the life before
}

// forgetShown removes the notes of what instances have shown.
func forgetShown(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, memoryFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var notes map[string]any
	if err := json.Unmarshal(text, &notes); err != nil {
		t.Fatal(err)
	}
	delete(notes, "shown")
	if text, err = json.Marshal(notes); err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Another line is looked for at once: in what was written before, and in what comes.
func TestAnUpdateToAnotherLineCountsAtOnce(t *testing.T) {
	for _, line := range []string{"before", "after"} {
		t.Run(line, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			app := script("web", "echo before; until [ -e "+file+" ]; do sleep 0.01; done; echo first; echo after; sleep 1000 & wait")
			next := app
			app.Readiness, next.Readiness = &config.Probe{Log: "^first$"}, &config.Probe{Log: "^" + line + "$"}
			s, _ := running(t, oneApp(app), Options{Load: func() (*config.Project, error) { return oneApp(next), nil }})
			before := awaitState(t, s, "web", client.Running)
			leaktest.Eventually(t, "it has written", func() bool { return len(logged(t, s, client.LogQuery{})) == 1 })
			if _, err := s.Update(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if line == "after" {
				if instanceOf(t, s, "web").Ready {
					t.Error("it is ready before it has written the line")
				}
				touch(t, file)
			}
			told(t, s, "ready", "it is ready")
			if i := instanceOf(t, s, "web"); i.PID != before.PID {
				t.Error("it was restarted")
			}
		})
	}
}

// Who was ready stays so by an update of what that takes, also in the next life.
func TestWhoWasReadyStaysSoByAnotherLine(t *testing.T) {
	app, dir := script("web", "sleep 1000 & wait"), t.TempDir()
	next := app
	next.Readiness = &config.Probe{Log: "^never$"}
	s, _ := running(t, oneApp(app), Options{State: dir, Load: func() (*config.Project, error) { return oneApp(next), nil }})
	awaitState(t, s, "web", client.Running)
	if _, err := s.Update(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	m, _, err := remember(dir)
	if err != nil {
		t.Fatal(err)
	}
	if line := m.Shown[treeID("test", "web", 1)].Line; !line || !instanceOf(t, s, "web").Ready {
		t.Errorf("noted %v, ready %v", line, instanceOf(t, s, "web").Ready)
	}
}
