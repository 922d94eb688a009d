package foster_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are what of a command of os/exec is taken over.

// take starts a role by exec.CommandContext and takes it over.
func take(t *testing.T, c foster.Containment, set func(*exec.Cmd), args ...string) (*foster.Cmd, *foster.Tree, *lines, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	name, argv := role(args...)
	old := exec.CommandContext(ctx, name, argv...)
	if set != nil {
		set(old)
	}
	cmd := foster.From(context.Background(), old)
	cmd.Containment = c
	tree, out := read(t, cmd, nil)
	return cmd, tree, out, cancel
}

func wantCanceled(t *testing.T, tree *foster.Tree) foster.Exit {
	t.Helper()
	exit, err := tree.Wait()
	if !errors.Is(err, context.Canceled) || exit.Cause != foster.CauseCanceled || exit.TreeEmpty.IsZero() {
		t.Errorf("exit %+v, %v; want an end by cancellation", exit, err)
	}
	return exit
}

func TestCommandContextKillsTheTree(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		_, tree, out, cancel := take(t, c, nil, "parent")
		out.pid("block")
		out.pid("parent")
		cancel()
		if exit := wantCanceled(t, tree); exit.Leader.Signal != syscall.SIGKILL {
			t.Errorf("ended by %v, want SIGKILL, as by os/exec", exit.Leader)
		}
	})
}

func TestAPlanTakesThePlaceOfTheKill(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		name, argv := role("polite")
		cmd := foster.From(ctx, exec.CommandContext(ctx, name, argv...))
		cmd.Containment, cmd.Stop.Timeout = c, time.Minute
		tree, out := read(t, cmd, nil)
		out.pid("polite")
		cancel()
		if exit := wantCanceled(t, tree); !exit.Leader.Success() {
			t.Errorf("ended by %v, want an orderly end", exit.Leader)
		}
		out.next("farewell")
	})
}

func TestCancelSignalsTheLeaderAndTheRestIsStopped(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		_, tree, out, cancel := take(t, c, func(old *exec.Cmd) {
			old.Cancel = func() error { return old.Process.Signal(syscall.SIGHUP) }
		}, "parent")
		out.pid("block")
		out.pid("parent")
		cancel()
		if exit := wantCanceled(t, tree); exit.Leader.Signal != syscall.SIGHUP || !exit.LeaderLost || exit.Killed != 0 {
			t.Errorf("exit %+v; want the leader ended by Cancel, and the rest in the orderly way", exit)
		}
	})
}

func TestWaitDelayKillsWhoIgnoresCancel(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, tree, out, cancel := take(t, c, func(old *exec.Cmd) {
			old.Cancel = func() error { return old.Process.Signal(syscall.SIGINT) }
			old.WaitDelay = 20 * time.Millisecond
		}, "stubborn", "within")
		out.pid("stubborn")
		out.pid("stubborn")
		if cmd.Stop.Timeout != 20*time.Millisecond {
			t.Errorf("the plan of other stops is %+v", cmd.Stop)
		}
		cancel()
		if exit := wantCanceled(t, tree); exit.Leader.Signal != syscall.SIGKILL || exit.Killed != 2 {
			t.Errorf("exit %+v; want two killed", exit)
		}
	})
}

func TestWhatCancelReturnsIsReported(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		for name, want := range map[string]error{"an error": errBroken, "done": os.ErrProcessDone} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			old := exec.CommandContext(ctx, "cat")
			var stdin io.Closer
			called := make(chan struct{})
			old.Cancel = func() error { close(called); stdin.Close(); return want }
			cmd := foster.From(ctx, old)
			cmd.Containment = c
			pipe, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdin = pipe
			tree, err := cmd.Start()
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			<-called
			_, err = tree.Wait()
			switch {
			case want == os.ErrProcessDone && err != nil:
				t.Errorf("%s: %v; want that it counts as ended by itself", name, err)
			case want == errBroken && (!errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "foster: calling Cancel: ")):
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Without a Cancel, nothing happens until WaitDelay is over: as with os/exec.
func TestWithoutCancelTheContextStopsNothing(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		_, tree, out, cancel := take(t, c, func(old *exec.Cmd) { old.Cancel, old.WaitDelay = nil, time.Hour }, "polite")
		out.pid("polite")
		cancel()
		if err := tree.Signal(syscall.SIGTERM, foster.ScopeLeader); err != nil {
			t.Error(err)
		}
		if exit, err := tree.Wait(); err != nil || exit.Cause != foster.CauseEnded {
			t.Errorf("exit %+v, %v", exit, err)
		}
	})
}

func TestWaitDelayBoundsWhoOutlivesTheLeader(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		name, argv := role(leaver(c)...)
		old := exec.Command(name, argv...)
		old.WaitDelay = 20 * time.Millisecond
		cmd := foster.From(t.Context(), old)
		cmd.Containment = c
		tree, _ := read(t, cmd, nil)
		exit, err := tree.Wait()
		if !errors.Is(err, exec.ErrWaitDelay) || !exit.Leader.Success() || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v; want exec.ErrWaitDelay", exit, err)
		}
	})
}

func TestADoneContextOfItsOwnStartsNothing(t *testing.T) {
	leaktest.Check(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := foster.From(t.Context(), exec.CommandContext(ctx, "true")).Start(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFromNamesTheFieldThatItCannotTakeOver(t *testing.T) {
	leaktest.Check(t)
	fields := map[string]func(*exec.Cmd){
		"SysProcAttr.Pgid":    func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: 1} },
		"SysProcAttr.Ptrace":  func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Ptrace: true} },
		"SysProcAttr.Ctty":    func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} },
		"SysProcAttr.Setctty": func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setctty: true} },
		"WaitDelay":           func(c *exec.Cmd) { c.WaitDelay = -1 },
		"started already":     func(c *exec.Cmd) { c.Process = &os.Process{} },
	}
	maps.Copy(fields, systemFields)
	for name, set := range fields {
		old := exec.Command("true")
		set(old)
		_, err := foster.From(t.Context(), old).Start()
		start, ok := errors.AsType[*foster.StartError](err)
		if !ok || start.Stage != foster.StageConfig || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStopAfterACancelThatDidNothing: Cancel counts as the beginning of a stop, and sends
// no plan.
func TestStopAfterACancelThatDidNothing(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		_, tree, out, cancel := take(t, c, func(old *exec.Cmd) {
			old.Cancel = func() error { return nil }
		}, "polite")
		out.pid("polite")
		cancel()
		for e := range tree.Events(t.Context()) {
			if e.Kind == foster.EventStopping {
				break
			}
		}
		patient, done := context.WithTimeout(t.Context(), 20*time.Second)
		defer done()
		if _, err := tree.Stop(patient); err != nil {
			t.Fatal(err)
		}
		if exit := wantCanceled(t, tree); !exit.Leader.Success() {
			t.Errorf("ended by %v, want an orderly end", exit.Leader)
		}
		out.next("farewell")
	})
}
