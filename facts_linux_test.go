package foster_test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are about what a run tells of itself beside its end.

func TestEnvironIsWhatTheProgramGets(t *testing.T) {
	leaktest.Check(t)
	cmd := foster.Command("env")
	cmd.Env, cmd.Dir = []string{"A=1", "B=2", "A=3"}, "/usr"
	want := cmd.Environ()
	if exec := (&exec.Cmd{Env: cmd.Env, Dir: cmd.Dir}).Environ(); !slices.Equal(want, exec) {
		t.Errorf("got %q, want %q as os/exec", want, exec)
	}
	out, err := cmd.Output()
	if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, want) {
		t.Errorf("the program got %q, %v; want %q", got, err, want)
	}
	cmd = foster.Command("env")
	cmd.Dir = "/usr"
	out, err = cmd.Output()
	if lines := strings.Split(string(out), "\n"); err != nil || !slices.Contains(lines, "PWD=/usr") || !slices.Contains(cmd.Environ(), "PWD=/usr") {
		t.Errorf("this program's environment: %q, %v; want PWD=/usr in it", out, err)
	}
}

func TestOutputKeepsWhatWasWrittenToStandardError(t *testing.T) {
	leaktest.Check(t)
	_, err := foster.Command("sh", "-c", "echo out; echo oops >&2; exit 1").Output()
	if exit, ok := errors.AsType[*foster.ExitError](err); !ok || string(exit.Stderr) != "oops\n" {
		t.Errorf("got %+v; want what was written", err)
	}
}

// TestTheEndOfTheOutputIsAFactOfItsOwn: here it comes first.
func TestTheEndOfTheOutputIsAFactOfItsOwn(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("sh", "-c", "echo x; exec >&-; read line")
		cmd.Containment = c
		var out strings.Builder
		cmd.Stdout = &out
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		ended := waitFor(t, tree, foster.EventOutputEnded)
		select {
		case <-tree.Done():
			t.Error("the run is over, though its leader lives")
		default:
		}
		if out.String() != "x\n" {
			t.Errorf("%q was copied", out.String())
		}
		stdin.Close()
		exit, _ := tree.Wait() // read fails at the end of the input
		if !exit.OutputEnded.Equal(ended.Time) || exit.LeaderEnded.Before(exit.OutputEnded) || exit.TreeEmpty.Before(exit.OutputEnded) {
			t.Errorf("output ended %v (event %v), leader %v, tree empty %v", exit.OutputEnded, ended.Time, exit.LeaderEnded, exit.TreeEmpty)
		}
	})
}

func TestACoreThatWasDumpedIsTold(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	var limit syscall.Rlimit
	err = errors.Join(err, syscall.Getrlimit(syscall.RLIMIT_CORE, &limit))
	if err == nil && (limit.Max == 0 || strings.TrimSpace(string(pattern)) == "") {
		err = errors.New("no core is dumped here, see core(5)")
	}
	leaktest.Need(t, "core dumps", err)
	in(t, all, func(t *testing.T, c foster.Containment) {
		for size, want := range map[uint64]bool{0: false, limit.Max: true} {
			cmd := foster.Command("sh", "-c", "kill -ABRT $$")
			cmd.Containment, cmd.Dir = c, t.TempDir()
			cmd.Rlimits = []foster.Rlimit{{Resource: syscall.RLIMIT_CORE, Soft: size, Hard: limit.Max}}
			exit, ok := errors.AsType[*foster.ExitError](cmd.Run())
			if !ok || exit.Leader.Signal != syscall.SIGABRT || exit.Leader.Core != want || strings.Contains(exit.Leader.String(), "core dumped") != want {
				t.Errorf("with a limit of %d: %+v; want core %t", size, exit, want)
			}
		}
	})
}

func TestUsageIsOfTheLeaderAndOfAll(t *testing.T) {
	const count = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`
	spent := func(u foster.Usage) float64 { return (u.User + u.System).Seconds() }
	in(t, all, func(t *testing.T, c foster.Containment) {
		run := func(script string) foster.Exit {
			cmd := foster.Command("sh", "-c", script)
			cmd.Containment = c
			tree, err := cmd.Start()
			if err != nil {
				t.Fatal(err)
			}
			exit, err := tree.Wait()
			if err != nil {
				t.Error(err)
			}
			return exit
		}
		alone := run(count)
		if u := alone.LeaderUsage; spent(u) < 0.01 || u.MaxRSS < 100<<10 || alone.Usage != u {
			t.Errorf("the leader, which is all: %+v and %+v", u, alone.Usage)
		}
		if c == foster.Group {
			return // an orphan is another's to reap
		}
		orphaned := run("{ " + count + "; } & exit 0")
		if l, u := orphaned.LeaderUsage, orphaned.Usage; spent(u)-spent(l) < 0.01 || u.MaxRSS < l.MaxRSS {
			t.Errorf("the leader %+v, all %+v; want what the orphan has used in it", l, u)
		}
	})
}
