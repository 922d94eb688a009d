package supervise

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// A project of another name has trees of other names: an update to it would make copies of
// what lives, for whoever follows this supervisor.
func TestAnUpdateToAnotherNameIsRefused(t *testing.T) {
	dir := t.TempDir()
	next := sleepers(dir)
	next.Name, next.Apps[0].Replicas = "another", 2
	s, _ := running(t, sleepers(dir), Options{
		Load:    func() (*config.Project, error) { return next, nil },
		Prepare: func(*config.Project) error { t.Error("something was done"); return nil },
	})
	awaitState(t, s, "web", client.Running)
	for _, dryRun := range []bool{true, false} {
		changes, err := s.Update(t.Context(), dryRun)
		if err == nil || !strings.Contains(err.Error(), "test is now called another") || len(changes) > 0 {
			t.Errorf("%v, %v", changes, err)
		}
	}
	if status := s.Status(); status.Project != "test" || len(status.Apps[0].Instances) != 1 {
		t.Errorf("%+v", status)
	}
}

// What has failed is started again with another configuration, which may be what it lacked.
// What has completed, or was stopped, stays so, and isn't told as restarted.
func TestAnUpdateStartsWhatHasFailed(t *testing.T) {
	crash, again, job, off := script("crash", "exit 1"), script("again", "exit 1"), script("job", "exit 0"), script("off", "exec sleep 1000")
	again.Restart.Policy, again.Restart.Backoff.Initial = config.RestartAlways, time.Minute
	off.Autostart = false
	p := &config.Project{Name: "test", Apps: []config.App{crash, again, job, off}}
	next := &config.Project{Name: "test"}
	for _, app := range p.Apps {
		app.Command = []string{"/bin/sh", "-c", "exec sleep 1001"}
		next.Apps = append(next.Apps, app)
	}
	s, _ := running(t, p, Options{Load: func() (*config.Project, error) { return next, nil }})
	awaitState(t, s, "crash", client.Failed)
	awaitState(t, s, "again", client.Backoff)
	awaitState(t, s, "job", client.Completed)
	for _, dryRun := range []bool{true, false} {
		changes, err := s.Update(t.Context(), dryRun)
		if err != nil || fmt.Sprint(changes) != "[{crash restart [Command] 0 0} {again restart [Command] 0 0} {job change [Command] 0 0} {off change [Command] 0 0}]" {
			t.Errorf("%v, %v", changes, err)
		}
	}
	for name, want := range map[string]client.State{"crash": client.Running, "again": client.Running, "job": client.Completed, "off": client.Stopped} {
		if i := instanceOf(t, s, name); i.State != want {
			t.Errorf("%s is %s: %q", name, i.State, i.Cause)
		}
	}
}

// An application that was stopped stays so with other replicas, also in the next life.
func TestReplicasOfWhatIsStoppedAreStoppedInTheNextLife(t *testing.T) {
	dir := t.TempDir()
	app := script("web", "exec sleep 1000")
	s, end := running(t, oneApp(app), Options{State: dir})
	awaitState(t, s, "web", client.Running)
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Scale(t.Context(), "web", 3); err != nil {
		t.Fatal(err)
	}
	m, _, err := remember(dir) // as when the supervisor was killed now
	if err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	app.Replicas = 3
	s, _ = running(t, oneApp(app), Options{State: remembered(t, oneApp(app), m.Rests)})
	for _, i := range s.Status().Apps[0].Instances {
		if i.State != client.Stopped {
			t.Errorf("%d is %s: %q", i.Replica, i.State, i.Cause)
		}
	}
}
