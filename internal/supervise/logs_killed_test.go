package supervise

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func init() {
	apps["numbers"] = writeNumbers
	projects["numbers"] = numbers
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

// Under load and at any moment, supervisors are killed with SIGKILL, one after the other:
// each line that the application has written is in its log once, whole and in its order.
func TestSupervisorsThatAreKilledLoseNoLine(t *testing.T) {
	dir := t.TempDir()
	kills := 20
	if testing.Short() {
		kills = 3
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(dir, "logs", "numbers.1")
	for range kills {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), roleVariable+"="+dir, projectVariable+"=numbers")
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
	s, end := running(t, numbers(dir), Options{State: dir})
	awaitState(t, s, "numbers", client.Running)
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var count int
	if _, err := fmt.Sscan(lines(t, filepath.Join(dir, "out")), &count); err != nil {
		t.Fatal(err)
	}
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
	if next["stdout"] != count || next["stderr"] != count {
		t.Errorf("%v of %d lines", next, count)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	leaktest.ReapOrphans(t) // the shims of the lives that were killed
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
