package supervise

import (
	"strings"
	"testing"

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
