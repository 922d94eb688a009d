package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// crashing is sleepers, where web is always restarted, and fails each time that the test
// makes the file crash.
func crashing(dir string) *config.Project {
	p := sleepers(dir)
	web := script("web", fmt.Sprintf(`until [ -e %[1]s/crash ]; do sleep 0.01; done; rm %[1]s/crash; exit 1`, dir))
	web.DependsOn, web.Restart.Policy = p.Apps[0].DependsOn, config.RestartAlways
	p.Apps[0] = web
	return p
}

const waitsForDB = "waits for db, which was stopped"

// What ran, and can't run again since what it depends on was stopped, hasn't failed: it goes on
// when that is started.
func TestWhoHasRunWaitsForWhatWasStoppedByHand(t *testing.T) {
	dir := t.TempDir()
	next := crashing(dir)
	next.Apps[0].Env = append(next.Apps[0].Env, "NEW=1")
	s, _ := running(t, crashing(dir), Options{Load: func() (*config.Project, error) { return next, nil }})
	db := []client.Target{{App: "db"}}
	for _, again := range []func() error{
		func() error { return os.WriteFile(filepath.Join(dir, "crash"), nil, 0o600) },
		func() error {
			if _, err := s.Update(t.Context(), false); err == nil || !strings.Contains(err.Error(), waitsForDB) {
				return fmt.Errorf("the update: %w", err)
			}
			return nil
		},
	} {
		awaitState(t, s, "web", client.Running)
		if err := s.Stop(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if err := again(); err != nil {
			t.Fatal(err)
		}
		if i := awaitState(t, s, "web", client.Waiting); i.Cause != waitsForDB {
			t.Errorf("%q", i.Cause)
		}
		if err := s.Start(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	awaitState(t, s, "web", client.Running)
}

// Asked for by hand, a restart starts what it needs, as a start does.
func TestARestartByHandPullsUpDependencies(t *testing.T) {
	s, _ := running(t, crashing(t.TempDir()), Options{})
	awaitState(t, s, "web", client.Running)
	if err := s.Stop(t.Context(), []client.Target{{App: "db"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), []client.Target{{App: "web"}}); err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"db", "web"} {
		if i := instanceOf(t, s, app); i.State != client.Running {
			t.Errorf("%s: %s, %q", app, i.State, i.Cause)
		}
	}
}

// What is new in the configuration pulls up what it depends on, but for what was stopped by
// hand.
func TestAnUpdatePullsUpWhatIsNewDependsOn(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped by hand: %t", stopped), func(t *testing.T) {
			next := sleepers(t.TempDir())
			next.Apps[1].Autostart = false
			s, _ := running(t, &config.Project{Name: "test", Apps: next.Apps[1:]}, Options{Load: func() (*config.Project, error) { return next, nil }})
			if stopped {
				if err := errors.Join(s.Start(t.Context(), nil), s.Stop(t.Context(), nil)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Update(t.Context(), false)
			db, web := instanceOf(t, s, "db"), instanceOf(t, s, "web")
			switch {
			case !stopped && (err != nil || db.State != client.Running || web.State != client.Running):
				t.Errorf("%v; db is %s, web is %s", err, db.State, web.State)
			case stopped && (err == nil || db.State != client.Stopped || web.Cause != "db is stopped"):
				t.Errorf("%v; db is %s, web: %q", err, db.State, web.Cause)
			}
		})
	}
}
