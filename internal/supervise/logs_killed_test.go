package supervise

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/leaktest"
)

func init() {
	apps["numbers"] = writeNumbers
	projects["numbers"] = numbers
	apps["burst"] = writeBurst
	projects["burst"] = bursts
}

// numbers is a project whose one application writes numbers.
func numbers(dir string) *config.Project {
	app := testApp("numbers", "OUT="+filepath.Join(dir, "out"))
	app.Logs = config.Logs{MaxSize: 1 << 20, MaxFiles: 1 << 20, Compress: true}
	return &config.Project{Name: "numbers", Dir: dir, Grace: time.Minute, Apps: []config.App{app}}
}

func numberLine(n int) string { return fmt.Sprintf("%d %s", n, strings.Repeat("x", n%150)) }

// writeNumbers writes numbered lines to both outputs until SIGTERM, and then how many to
// a file.
func writeNumbers() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	out, errs := bufio.NewWriter(os.Stdout), bufio.NewWriter(os.Stderr)
	for n := 0; ; n++ {
		fmt.Fprintln(out, numberLine(n))
		fmt.Fprintln(errs, numberLine(n))
		select {
		case <-stop:
			out.Flush()
			errs.Flush()
			if err := os.WriteFile(os.Getenv("OUT"), fmt.Append(nil, n+1), 0o600); err != nil {
				os.Exit(1)
			}
			return
		case <-time.After(time.Millisecond / 20):
		}
	}
}

// burst is how many lines a run of writeBurst writes.
const burst = 50

// bursts is a project whose one application ends at once, again and again.
func bursts(dir string) *config.Project {
	app := testApp("burst", "OUT="+filepath.Join(dir, "out"))
	app.Restart.Policy = config.RestartAlways
	app.Logs = config.Logs{MaxSize: 1 << 20, MaxFiles: 1 << 20}
	return &config.Project{Name: "burst", Dir: dir, Grace: time.Minute, Apps: []config.App{app}}
}

// writeBurst counts its runs in a file, and writes lines with the number of its own.
func writeBurst() {
	signal.Ignore(syscall.SIGTERM)
	text, _ := os.ReadFile(os.Getenv("OUT")) // there is none before the first
	n, _ := strconv.Atoi(string(text))
	if err := os.WriteFile(os.Getenv("OUT"), fmt.Append(nil, n+1), 0o600); err != nil {
		os.Exit(1)
	}
	for line := range burst {
		fmt.Println(numberLine(n*burst + line))
	}
}

// killAgainAndAgain runs supervisors, one after the other, and kills each with SIGKILL at
// any moment after it has begun to write a log.
func killAgainAndAgain(t *testing.T, dir, project string) {
	t.Helper()
	const kills = 20
	logs := filepath.Join(dir, "logs", project+".1")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range kills {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), roleVariable+"="+dir, projectVariable+"="+project)
		cmd.Stderr = os.Stderr
		before := sizeOf(logs)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		leaktest.Eventually(t, "it writes", func() bool { return sizeOf(logs) != before })
		time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond) // polls: the kill is to come at any moment
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
}

// checkLog reads the log of an application: a stream has so many numbered lines.
func checkLog(t *testing.T, s *Supervisor, counts map[string]int) {
	t.Helper()
	next := map[string]int{}
	for line, err := range s.Logs(t.Context(), client.LogQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		n := next[line.Stream]
		if line.Text != numberLine(n) {
			t.Fatalf("%s: %q where %d was to come", line.Stream, line.Text, n)
		}
		next[line.Stream]++
	}
	if !maps.Equal(next, counts) {
		t.Errorf("%v lines of %v", next, counts)
	}
}

// Under load and at any moment, supervisors are killed with SIGKILL, one after the other:
// each line that the application has written is in its log once, whole and in its order.
func TestSupervisorsThatAreKilledLoseNoLine(t *testing.T) {
	dir := t.TempDir()
	killAgainAndAgain(t, dir, "numbers")
	s, end := running(t, numbers(dir), Options{State: dir})
	awaitState(t, s, "numbers", client.Running)
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var count int
	if _, err := fmt.Sscan(lines(t, filepath.Join(dir, "out")), &count); err != nil {
		t.Fatal(err)
	}
	checkLog(t, s, map[string]int{"stdout": count, "stderr": count})
	if err := end(); err != nil {
		t.Error(err)
	}
	leaktest.ReapOrphans(t) // the shims of the lives that were killed
}

// So it is where the application ends all the time: its last words, and how each of its
// runs has ended, outlive who is killed just then.
func TestSupervisorsThatAreKilledLoseNoEnd(t *testing.T) {
	dir := t.TempDir()
	killAgainAndAgain(t, dir, "burst")
	s, end := running(t, bursts(dir), Options{State: dir})
	before := instanceOf(t, s, "burst").Restarts
	leaktest.Eventually(t, "it goes on", func() bool { return instanceOf(t, s, "burst").Restarts > before })
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var runs int
	if _, err := fmt.Sscan(lines(t, filepath.Join(dir, "out")), &runs); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs", runs)
	checkLog(t, s, map[string]int{"stdout": runs * burst})
	history, err := s.History("burst", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	for _, r := range history {
		if r.Exit != nil && r.Exit.Code != nil && *r.Exit.Code == 0 {
			ended++
		} else if r.Exit == nil || r.Exit.Signal != "SIGTERM" { // it can be stopped before it ignores that
			t.Errorf("run %d: %+v", r.ID, r.Exit)
		}
	}
	if ended != runs {
		t.Errorf("the history has %d runs of %d", ended, runs)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	removeBegun(t)
	leaktest.ReapOrphans(t) // the shims of the lives that were killed
}

// removeBegun removes what is left of starts that were killed before the journal knew of
// them: files without a name, and empty cgroups.
func removeBegun(t *testing.T) {
	t.Helper()
	if _, _, err := foster.Recover(t.Context()); err != nil {
		t.Error(err)
	}
	own, err := contain.OwnCgroup()
	if err != nil {
		return // there are none
	}
	left, _ := filepath.Glob(filepath.Join(own, "foster-burst.burst.1-*")) // the pattern is valid
	for _, path := range left {
		_ = os.Remove(path) // one that is in use isn't removed
	}
}

// sizeOf is how much the files of a log have together.
func sizeOf(dir string) (sum int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.log*")) // the pattern is valid
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
