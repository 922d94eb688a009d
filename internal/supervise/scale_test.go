package supervise

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// A number of replicas that was asked for outlives the supervisor that was asked, and ends
// with a configuration that is applied.
func TestAScaleOutlivesTheSupervisor(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	s, end := running(t, sleepers(dir), Options{State: dir})
	if err := s.Scale(t.Context(), "web", 3); err != nil {
		t.Fatal(err)
	}
	asked, _, err := remember(dir)
	if err != nil || asked.Scaled["web"] != (scaleNote{From: 1, To: 3}) {
		t.Errorf("noted: %+v, %v", asked.Scaled, err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	killSupervisor(t, dir, out)
	left, _, err := remember(dir)
	if err != nil || len(left.Scaled) != 0 {
		t.Errorf("after all was stopped: %+v, %v", left.Scaled, err)
	}
	left.scaled("web", 1, 3) // as the one that was killed would have, had it been asked

	next := sleepers(dir)
	next.Apps[0].Replicas = 2
	s, end = running(t, sleepers(dir), Options{State: dir, Load: func() (*config.Project, error) { return next, nil }})
	leaktest.Eventually(t, "all three run", func() bool { return countRunning(s) == 3 })
	if got := lines(t, out); strings.Contains(got, "stop") {
		t.Errorf("%s", got)
	}
	if _, err := s.Update(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "as many run as the configuration says", func() bool { return countRunning(s) == 2 })
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shims of the life that was killed
}

func countRunning(s *Supervisor) (n int) {
	for _, i := range s.Status().Apps[0].Instances {
		if i.State == client.Running {
			n++
		}
	}
	return n
}
