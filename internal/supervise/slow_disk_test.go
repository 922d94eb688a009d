package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/history"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

// slowVariable names a file: as long as it is there, the supervisor of another process gets
// nothing written to a log.
const slowVariable = "FOSTER_TEST_SLOW_DISK"

func init() {
	projects["slow-disk"] = slowDiskProject
	path := os.Getenv(slowVariable)
	if path == "" {
		return
	}
	sys.Fault = func(op string) error {
		for op == "splice" && exists(path) {
			time.Sleep(time.Millisecond) // polls
		}
		return nil
	}
}

// slowDiskProject has one application, whose runs write two lines, of which the last has no
// end. It is started again and again.
func slowDiskProject(dir string) *config.Project {
	app := script("web", fmt.Sprintf(`n=$(cat %[1]s/out 2>/dev/null); n=$((n+1)); echo $n > %[1]s/out
echo run $n begins; until [ -e %[1]s/go ]; do sleep 0.01; done; printf 'run %%s ends' $n; echo $n > %[1]s/ended`, dir))
	app.Restart.Policy = config.RestartAlways
	p := oneApp(app)
	p.Grace = time.Minute
	return p
}

// A run is over when its last lines are in the log, however slow the disk: no other run
// begins before, and a supervisor that is killed meanwhile has lost nothing.
func TestLastLinesOutliveASupervisorKilledOnASlowDisk(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	hold := filepath.Join(dir, "hold")
	touch(t, hold)
	touch(t, filepath.Join(dir, "go"))
	t.Setenv(projectVariable, "slow-disk")
	t.Setenv(slowVariable, hold)
	cmd := startSupervisor(t, dir)
	leaktest.Eventually(t, "it is told that the disk is slow", toldIn(dir, "its last lines aren't in the log yet"))
	if n := lines(t, filepath.Join(dir, "out")); n != "1" {
		t.Errorf("run %s has begun", n)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := os.Remove(filepath.Join(dir, "go")); err != nil {
		t.Fatal(err)
	}
	s, end := running(t, slowDiskProject(dir), Options{State: dir})
	leaktest.Eventually(t, "the second run has written", func() bool { return len(logged(t, s, client.LogQuery{})) >= 3 })
	want := []string{"web.1 stdout run 1 begins", "web.1 stdout run 1 ends", "web.1 stdout run 2 begins"}
	if got := logged(t, s, client.LogQuery{}); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	runs, err := s.History("web", 0, 0)
	if err != nil || len(runs) != 2 || runs[0].Exit == nil || runs[0].Exit.Code == nil || *runs[0].Exit.Code != 0 {
		t.Errorf("%+v, %v", runs, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	leaktest.ReapOrphans(t) // the shim of the life before
}

// Where nobody kills it, the supervisor waits for the disk, and then goes on.
func TestASlowDiskDelaysTheNextRunAndNoMore(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	hold := filepath.Join(dir, "hold")
	touch(t, hold)
	touch(t, filepath.Join(dir, "go"))
	t.Setenv(projectVariable, "slow-disk")
	t.Setenv(slowVariable, hold)
	cmd := startSupervisor(t, dir)
	leaktest.Eventually(t, "it is told that the disk is slow", toldIn(dir, "its last lines aren't in the log yet"))
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "the disk works again", toldIn(dir, "the disk of the log of web.1 works again"))
	leaktest.Eventually(t, "it goes on", func() bool { return lines(t, filepath.Join(dir, "out")) != "1" })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // however it ends at SIGTERM
	leaktest.ReapOrphans(t)
}

// toldIn says whether the history in a folder, whose supervisor is another process, has an
// event with a text.
func toldIn(dir, text string) func() bool {
	return func() bool {
		kept, err := history.OpenLeft(dir)
		if err != nil {
			return false // it changes
		}
		defer kept.Close()
		events, _ := kept.Events(0, 1000) // what can't be read isn't told
		for _, e := range events {
			if strings.Contains(e.Cause, text) {
				return true
			}
		}
		return false
	}
}
