package supervise

import (
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// pausing is a project in which db, which web depends on, and tool end at once and are
// paused then; tool and lone aren't started by themselves.
func pausing() *config.Project {
	p := &config.Project{Name: "test"}
	for _, name := range []string{"db", "tool"} {
		app := script(name, "exit 1")
		app.Restart.Policy, app.Restart.Backoff.Initial = config.RestartAlways, time.Minute
		p.Apps = append(p.Apps, app)
	}
	web := script("web", "sleep 1000 & wait")
	web.DependsOn = []config.Dependency{{App: "db", Condition: config.Started}}
	lone := script("lone", "sleep 1000 & wait")
	p.Apps[1].Autostart, lone.Autostart = false, false
	p.Apps = append(p.Apps, web, lone, script("other", "sleep 1000 & wait"))
	return p
}

// Killed while something was paused, a supervisor is followed by one that starts it, whoever
// that one is asked to start: what was taken over may depend on it.
func TestWhatWasToRunIsStartedAlsoWhereOnlyOthersAreAskedFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		before []string // what the supervisor that was killed was asked for
		tool   client.State
		other  client.State
	}{
		{"one", []string{"web"}, client.Stopped, client.Stopped},
		{"all", nil, client.Stopped, client.Running},
		{"by hand", []string{"web"}, client.Backoff, client.Stopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s, end := running(t, pausing(), Options{State: dir, Only: c.before})
			awaitState(t, s, "db", client.Backoff)
			awaitState(t, s, "web", client.Running)
			if c.name == "by hand" {
				_ = s.Start(t.Context(), []client.Target{{App: "tool"}}) // it may have ended again
				awaitState(t, s, "tool", client.Backoff)
			}
			m, _, err := remember(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			m.folder = t.TempDir() // as if it had been killed then, and web had gone with it
			m.saveProject(pausing())
			for range 2 { // and the next, too
				s, end = running(t, pausing(), Options{State: m.folder, Only: []string{"lone"}})
				for _, app := range []string{"lone", "web"} {
					awaitState(t, s, app, client.Running)
				}
				awaitState(t, s, "db", client.Backoff)
				awaitState(t, s, "tool", c.tool)
				awaitState(t, s, "other", c.other)
				next, _, err := remember(m.folder)
				if err != nil {
					t.Fatal(err)
				}
				if err := end(); err != nil {
					t.Fatal(err)
				}
				next.saveProject(pausing())
			}
		})
	}
}
