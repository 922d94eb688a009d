package foster_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// owner starts a program that runs a role under foster.
func owner(t *testing.T, c foster.Containment, args ...string) (cmd *exec.Cmd, out *lines) {
	t.Helper()
	name, argv := role(append([]string{"owner", string(c)}, args...)...)
	cmd = exec.Command(name, argv...)
	out = newLines(t)
	cmd.Env = append(os.Environ(), stopEnv+"=100ms")
	cmd.Stdout, cmd.Stderr = out.w, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.started()
	return cmd, out
}

func TestOwnerKilledTreeIsEnded(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out := owner(t, c, "parent")
		out.pid("block")
		out.pid("parent")
		out.pid("shim")
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as it was
		out.rest()     // the pipe ends when the last of them has
		leaktest.ReapOrphans(t)
	})
}

func TestOwnerKilledStubbornTreeIsEnded(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		args, members := stubborn(c)
		cmd, out := owner(t, c, args...)
		for range members {
			out.pid("stubborn")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as it was
		out.rest()
		leaktest.ReapOrphans(t)
	})
}

func TestShimKilledLibraryEndsTree(t *testing.T) {
	in(t, []foster.Containment{foster.Group, foster.Cgroup, foster.PIDNS}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = 100 * time.Millisecond }, "stubborn")
		for range 3 {
			out.pid("stubborn")
		}
		if err := syscall.Kill(foster.ShimPID(tree), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		exit, err := tree.Wait()
		if !errors.Is(err, foster.ErrShimLost) || exit.Cause != foster.CauseShimLost {
			t.Errorf("exit %+v, %v; want ErrShimLost", exit, err)
		}
		if exit.Leader.Known || exit.Counted {
			t.Errorf("the leader's status is %v, counted %t, though nobody has observed it", exit.Leader, exit.Counted)
		}
		if c == foster.Cgroup && (exit.Killed != 3 || len(exit.KilledProcesses) != 3) {
			t.Errorf("%d killed, named %v; want all three", exit.Killed, exit.KilledProcesses)
		}
		if c == foster.Group {
			killStrays(t, tree.Leader())
		}
		leaktest.ReapOrphans(t)
	})
}

// TestBothKilledAtOnce: what is left then, the next foster finds and ends.
func TestBothKilledAtOnce(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		args := []string{"daemonize", "stay"}
		if c == foster.Group { // it loses the daemon
			args = []string{"parent"}
		}
		cmd, out := owner(t, c, args...)
		block := out.pid("block")
		shim := out.pid("shim")
		if c == foster.Subreaper || c == foster.Group {
			awaitEntry(t, "the journal knows the application", func(f journal.Found) bool {
				return f.Life != nil && slices.ContainsFunc(f.Life.Members, func(m wire.Member) bool { return m.PID == block })
			})
		}
		// A stopped owner can't act between the two.
		for _, kill := range []struct {
			pid int
			sig syscall.Signal
		}{{cmd.Process.Pid, syscall.SIGSTOP}, {shim, syscall.SIGKILL}, {cmd.Process.Pid, syscall.SIGKILL}} {
			if err := syscall.Kill(kill.pid, kill.sig); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // killed, as it was
		awaitState(t, journal.Lost)
		if c == foster.Group { // the leader ends with its shim, and the rest doesn't
			if s, err := procfs.Read(block); err != nil || s.Ended() {
				t.Errorf("the rest of the group, %d: %+v, %v; want it to live", block, s, err)
			}
		}
		lost, problems, err := foster.Recover(context.Background())
		if err != nil || len(problems) > 0 || len(lost) != 1 || lost[0].Err != nil || len(lost[0].Survivors) > 0 {
			t.Errorf("recovered %+v, %v, %v", lost, problems, err)
		}
		out.rest() // nobody is left who could write
		leaktest.ReapOrphans(t)
	})
}

// awaitState waits until the one tree that the journal has stands so: who was killed
// has its lock for a moment more.
func awaitState(t *testing.T, state journal.State) {
	t.Helper()
	awaitEntry(t, "the tree is "+state.String(), func(f journal.Found) bool { return f.State == state })
}

// awaitEntry waits until the journal's entry of the one tree there is, is as wanted.
func awaitEntry(t *testing.T, what string, wanted func(journal.Found) bool) {
	t.Helper()
	state, _, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, what, func() bool {
		found, _, err := journal.Scan(state)
		return err == nil && len(found) == 1 && wanted(found[0])
	})
}

// TestShimKilledTreeIsStoppedByItsPlan: who is told to stop has the time to say farewell.
func TestShimKilledTreeIsStoppedByItsPlan(t *testing.T) {
	in(t, []foster.Containment{foster.Group, foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "beside", "polite")
		awaitKnown(t, c, out.pid("polite"))
		killShim(t, tree)
		exit, err := tree.Wait()
		if !errors.Is(err, foster.ErrShimLost) || len(exit.Survivors) > 0 {
			t.Errorf("exit %+v, %v; want ErrShimLost and nobody left", exit, err)
		}
		out.next("farewell")
		out.rest() // nobody is left who could write
		leaktest.ReapOrphans(t)
	})
}

// TestShimKilledInAStopTheStopGoesOn: a signal isn't sent twice once the shim has said that it
// was sent.
func TestShimKilledInAStopTheStopGoesOn(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "counting")
		pid := out.pid("counting")
		awaitKnown(t, c, pid)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			_, _ = tree.StopWith(context.Background(), foster.StopPlan{Timeout: 2 * time.Second})
		}()
		out.next("told 1")
		waitFor(t, tree, foster.EventSignaled)
		killShim(t, tree)
		waitFor(t, tree, foster.EventShimLost)
		<-stopped
		if rest := out.rest(); rest != "" {
			t.Errorf("it said more: %q", rest)
		}
		leaktest.ReapOrphans(t)
	})
}

// TestShimKilledAnotherPlanTakesThePlace: who waits for an hour is ended by who can't.
func TestShimKilledAnotherPlanTakesThePlace(t *testing.T) {
	in(t, []foster.Containment{foster.Group, foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "beside", "counting")
		pid := out.pid("counting")
		awaitKnown(t, c, pid)
		killShim(t, tree)
		out.next("told 1")
		if exit, _ := tree.StopWith(context.Background(), foster.KillAtOnce()); exit.Cause != foster.CauseShimLost {
			t.Errorf("exit %+v, want that the shim was lost", exit)
		}
		if rest := out.rest(); rest != "" {
			t.Errorf("it said more: %q", rest)
		}
		leaktest.ReapOrphans(t)
	})
}

// TestShimKilledAtOnceStaysAtOnce: a plan without an orderly part has none here.
func TestShimKilledAtOnceStaysAtOnce(t *testing.T) {
	in(t, []foster.Containment{foster.Group, foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop = foster.KillAtOnce() }, "beside", "polite")
		awaitKnown(t, c, out.pid("polite"))
		killShim(t, tree)
		_, _ = tree.Wait() // ErrShimLost, as elsewhere
		if rest := out.rest(); rest != "" {
			t.Errorf("it said %q", rest)
		}
		leaktest.ReapOrphans(t)
	})
}

// awaitKnown waits until the journal knows the members of a tree, by which they are found
// where nothing else tells of them.
func awaitKnown(t *testing.T, c foster.Containment, pids ...int) {
	t.Helper()
	if c != foster.Subreaper {
		return
	}
	awaitEntry(t, "the journal knows the members", func(f journal.Found) bool {
		return f.Life != nil && !slices.ContainsFunc(pids, func(pid int) bool {
			return !slices.ContainsFunc(f.Life.Members, func(m wire.Member) bool { return m.PID == pid })
		})
	})
}
