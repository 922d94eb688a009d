package supervise

import (
	"strings"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestALimitOfMemoryIsTheCauseOfAnEnd(t *testing.T) {
	cmd := foster.Command("true")
	cmd.Limits = foster.Limits{Memory: 64 << 20}
	leaktest.Need(t, "limits", cmd.Run())
	app := script("hog", "exec tail /dev/zero")
	app.Limits.Memory = 32 << 20
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	i := awaitState(t, s, "hog", client.Failed)
	if !strings.HasSuffix(i.Cause, "out of memory: the kernel has killed 1 at its limit") || i.Exit.OOMKills != 1 {
		t.Errorf("%q, %+v", i.Cause, i.Exit)
	}
	told := false
	for e := range s.Events(t.Context(), 0, false) {
		told = told || e.Kind == "limits" && strings.HasPrefix(e.Cause, "out of memory")
	}
	if !told {
		t.Error("there was no event")
	}
}

func TestALimitThatCantBeHadIsAFailedStart(t *testing.T) {
	app := sleeper("web", t.TempDir()+"/out")
	app.Limits.PIDs, app.Containment = 10, foster.Subreaper
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	if i := awaitState(t, s, "web", client.Failed); !strings.Contains(i.Cause, "limits need the containment cgroup") {
		t.Errorf("%q", i.Cause)
	}
}
