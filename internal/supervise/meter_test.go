package supervise

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/proc"
)

// A look is each member's PID, the PID of its parent, and what it has used, in seconds.
func TestTheProcessorTimeOfATreeNeverFalls(t *testing.T) {
	type look map[int][2]int
	for name, c := range map[string]struct {
		looks []look
		want  []int
	}{
		"grows":                         {[]look{{1: {0, 1}}, {1: {0, 3}}}, []int{1, 3}},
		"the shim has waited for one":   {[]look{{1: {0, 1}, 2: {0, 5}}, {1: {0, 2}}, {1: {0, 4}}}, []int{6, 7, 9}},
		"its parent has waited for one": {[]look{{1: {0, 1}, 2: {1, 5}}, {1: {0, 7}}}, []int{6, 7}},
		"its grandparent has":           {[]look{{1: {0, 1}, 2: {1, 1}, 3: {2, 5}}, {1: {0, 8}}}, []int{7, 8}},
		"its parent waits for nobody":   {[]look{{1: {0, 1}, 2: {1, 5}}, {1: {0, 2}}, {1: {0, 7}}}, []int{6, 6, 7}},
		"all have ended":                {[]look{{1: {0, 1}, 2: {1, 5}}, {}}, []int{6, 6}},
		"a loop":                        {[]look{{1: {2, 1}, 2: {1, 5}}, {3: {0, 1}}}, []int{6, 7}},
	} {
		m := &meter{}
		for n, l := range c.looks {
			now := map[int]spending{}
			for pid, s := range l {
				now[pid] = spending{proc.ID{PID: pid}, s[0], time.Duration(s[1]) * time.Second}
			}
			if got := m.look(now); got != time.Duration(c.want[n])*time.Second {
				t.Errorf("%s: %v at look %d, want %ds", name, got, n, c.want[n])
			}
		}
	}
}

// The leader ends after it has used some, and the shim waits for it.
func TestTheStatusKeepsTheProcessorTimeOfWhoHasEnded(t *testing.T) {
	app := script("spender", "sleep 1000 & n=0; until [ -e done ]; do :; done")
	app.Dir = t.TempDir()
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	var before time.Duration
	leaktest.Eventually(t, "it uses processor time", func() bool {
		before = instanceOf(t, s, "spender").CPU
		return before >= 50*time.Millisecond
	})
	if err := os.WriteFile(filepath.Join(app.Dir, "done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	awaitState(t, s, "spender", client.LeaderLost)
	if after := instanceOf(t, s, "spender"); after.CPU < before || after.Members != 1 {
		t.Errorf("%v, and %v with %d members when the leader has ended", before, after.CPU, after.Members)
	}
}
