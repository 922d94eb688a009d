package foster_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// killShim kills the shim of a tree.
func killShim(t *testing.T, tree *foster.Tree) {
	t.Helper()
	if err := syscall.Kill(foster.ShimPID(tree), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestShimKilledBelowSubreaperEndsWhomItKnewAndSaysSo(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "daemonize", "stay")
		pid := out.pid("block")
		awaitEntry(t, "the journal knows the daemon", func(f journal.Found) bool {
			return f.Life != nil && slices.ContainsFunc(f.Life.Members, func(m wire.Member) bool { return m.PID == pid })
		})
		killShim(t, tree)
		if exit, err := tree.Wait(); !errors.Is(err, foster.ErrShimLost) || !exit.TreeEmpty.IsZero() || len(exit.Survivors) > 0 {
			t.Errorf("exit %+v, %v; want ErrShimLost, nobody left, and no claim that the tree is empty", exit, err)
		}
		leaktest.ReapOrphans(t) // which ends when the daemon has
	})
}

// TestShimKilledWhoIsNotEndedStaysInTheJournal: what the shim wrote down is of no use
// here, so nobody is ended; and no second tree of that name may start beside them.
func TestShimKilledWhoIsNotEndedStaysInTheJournal(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.ID = "web" }, "block")
		pid := out.pid("block")
		known := rewriteLife(t, tree, wire.Life{Members: []wire.Member{{PID: 1, Start: 1}}})
		killShim(t, tree)
		if exit, err := tree.Wait(); !errors.Is(err, foster.ErrShimLost) || !exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v; want ErrShimLost, and no claim that the tree is empty", exit, err)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("the application: %v", err)
		}
		again := roleCommand("block")
		again.ID = "web"
		if second, err := again.Start(); !errors.Is(err, journal.ErrLost) {
			if err == nil {
				stop(t, second)
			}
			t.Fatalf("a second tree of that name: %v, want ErrLost", err)
		}
		rewriteLife(t, nil, known)
		if lost, problems, err := foster.Recover(t.Context()); err != nil || len(problems) > 0 || len(lost) != 1 || lost[0].Err != nil {
			t.Errorf("recovered %+v, %v, %v", lost, problems, err)
		}
		leaktest.ReapOrphans(t)
	})
}

// rewriteLife replaces what the shim of a tree has written down, and returns what that was.
// It stops the shim first, so that the shim doesn't write again.
func rewriteLife(t *testing.T, tree *foster.Tree, life wire.Life) (before wire.Life) {
	t.Helper()
	state, _, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	if tree != nil {
		awaitEntry(t, "the journal knows the leader", func(f journal.Found) bool { return f.Life != nil })
		leaktest.Stop(t, foster.ShimPID(tree))
	}
	found, err := journal.Find(state, "web")
	if err != nil || found.Life == nil {
		t.Fatalf("the journal says %+v, %v; want what the shim has written", found, err)
	}
	f, err := os.OpenFile(journal.Path(state, "web"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The shim may have written more than once, and the newest life counts. So all of them
	// are cut off; what Adopt takes over has none.
	const header = 8 << 10
	record := journal.Adopt(f)
	if err := errors.Join(f.Truncate(header), record.Write(&life), record.Close()); err != nil {
		t.Fatal(err)
	}
	if now, err := journal.Find(state, "web"); err != nil || now.Life == nil || !slices.Equal(now.Life.Members, life.Members) {
		t.Fatalf("the journal says %+v, %v; want the members %v", now, err, life.Members)
	}
	return *found.Life
}

// TestStopIsNotHeldUpByEmptyingWithoutTheShim: who ignores SIGTERM keeps it busy.
func TestStopIsNotHeldUpByEmptyingWithoutTheShim(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "stubborn", "child")
		pid := out.pid("stubborn")
		killShim(t, tree)
		for e := range tree.Events(t.Context()) {
			if e.Kind == foster.EventShimLost {
				break
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := tree.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v, want the end of its time", err)
		}
		if err := tree.Signal(syscall.SIGHUP, foster.ScopeTree); !errors.Is(err, foster.ErrShimLost) {
			t.Errorf("Signal: %v, want ErrShimLost", err)
		}
		select {
		case <-tree.Done():
			t.Error("they were answered only when the tree was empty")
		default:
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if exit, err := tree.Wait(); exit.Cause != foster.CauseShimLost || !errors.Is(err, foster.ErrShimLost) {
			t.Errorf("exit %+v, %v; want ErrShimLost", exit, err)
		}
		leaktest.ReapOrphans(t)
	})
}

// TestWhoDoesNotEndWithoutTheShimIsNamed: a frozen process isn't ended by SIGKILL.
func TestWhoDoesNotEndWithoutTheShimIsNamed(t *testing.T) {
	in(t, []foster.Containment{foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		pid := out.pid("block")
		thaw := hosttest.Freeze(t, pid)
		killShim(t, tree)
		exit, err := tree.Wait()
		left, ok := errors.AsType[*foster.SurvivorsError](err)
		if !ok || len(left.Survivors) != 1 || left.Survivors[0].PID != pid || !exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v; want process %d as a survivor", exit, err, pid)
		}
		thaw()
		leaktest.ReapOrphans(t)
		if lost, _, err := foster.Recover(t.Context()); err != nil || len(lost) != 1 || lost[0].Err != nil {
			t.Errorf("recovered %+v, %v", lost, err)
		}
	})
}

// TestWhoDoesNotEndUnderALivingShimIsNamed: the shim goes on holding it, and ends with it.
func TestWhoDoesNotEndUnderALivingShimIsNamed(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = 50 * time.Millisecond }, "block")
		pid := out.pid("block")
		thaw := hosttest.Freeze(t, pid)
		exit, err := tree.Stop(t.Context())
		left, ok := errors.AsType[*foster.SurvivorsError](err)
		if !ok || len(left.Survivors) != 1 || left.Survivors[0].PID != pid {
			t.Errorf("stop: %v; want process %d as a survivor", err, pid)
		}
		if len(exit.Survivors) != 1 || exit.Survivors[0].PID != pid || !exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v; want process %d as a survivor, and no claim that the tree is empty", exit, pid)
		}
		_, err = foster.Attach(t.Context(), tree.ID())
		if left, ok := errors.AsType[*foster.SurvivorsError](err); !ok || len(left.Survivors) != 1 || left.Survivors[0].PID != pid {
			t.Errorf("attach: %v; want process %d as a survivor", err, pid)
		}
		if s, err := procfs.Read(foster.ShimPID(tree)); err != nil || s.Ended() {
			t.Errorf("the shim: %+v, %v; want it to hold the survivor", s, err)
		}
		if s, err := procfs.Read(pid); err != nil || s.Ended() || s.PPID != foster.ShimPID(tree) {
			t.Errorf("the survivor: %+v, %v; want it to live, below the shim", s, err)
		}
		thaw()
		out.rest() // it has ended
		leaktest.ReapOrphans(t)
	})
}
