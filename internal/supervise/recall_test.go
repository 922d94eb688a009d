package supervise

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func init() { projects["counting"] = counting }

// counting is a project of a job, and of an application that fails twice, then runs until the
// test wants it to fail, and from then on fails at once.
func counting(dir string) *config.Project {
	crash := script("crash", fmt.Sprintf(`echo start >> %[1]s/out
if [ $(wc -l < %[1]s/out) -gt 2 ]; then until [ -e %[1]s/go ]; do sleep 0.01; done; fi; exit 7`, dir))
	crash.Restart.Policy, crash.Restart.MaxRestarts = config.RestartOnFailure, 3
	job := script("job", "exit 3")
	return &config.Project{Name: "test", Dir: dir, Grace: time.Minute, Apps: []config.App{crash, job}}
}

// How the last run has ended, and how often there was another, is known to the next life; so
// the bound of restarts is that of all.
func TestTheNextLifeKnowsTheLastExitAndGoesOnCounting(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(projectVariable, "counting")
	cmd := startSupervisor(t, dir)
	note := func() restNote {
		m, _ := recall(dir)
		return m.Rests[treeID("test", "job", 1)]
	}
	leaktest.Eventually(t, "it runs for the third time, and the job has ended", func() bool {
		return strings.Count(lines(t, dir+"/out"), "start") == 3 && note().State == client.Failed
	})
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	s, end := running(t, counting(dir), Options{State: dir})
	if i := awaitState(t, s, "crash", client.Running); i.Restarts != 2 || i.Exit == nil || i.Exit.Code == nil || *i.Exit.Code != 7 {
		t.Errorf("%d restarts, %+v", i.Restarts, i.Exit)
	}
	if i := awaitState(t, s, "job", client.Failed); i.Exit == nil || i.Exit.Code == nil || *i.Exit.Code != 3 {
		t.Errorf("the job: %+v", i.Exit)
	}
	touch(t, filepath.Join(dir, "go"))
	if i := awaitState(t, s, "crash", client.Failed); i.Restarts != 3 {
		t.Errorf("%d restarts", i.Restarts)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shims of the life that was killed
	if n := strings.Count(lines(t, dir+"/out"), "start"); n != 4 {
		t.Errorf("%d starts", n)
	}
	s, _ = running(t, counting(dir), Options{State: dir}) // all was stopped: this begins anew
	if i := awaitState(t, s, "crash", client.Failed); i.Restarts != 3 {
		t.Errorf("after an orderly end: %d restarts", i.Restarts)
	}
}
