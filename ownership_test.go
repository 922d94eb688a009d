package foster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are about whose a tree is.

// keep has a program own a tree named kept, by terms of roleKeeper, and waits until it
// runs. What falls to this test when the program is killed is reaped at its end.
func keep(t *testing.T, c foster.Containment, terms string, args ...string) (cmd *exec.Cmd, out *lines, leader int) {
	t.Helper()
	name, argv := role(append([]string{"keeper", "id=kept,in=" + string(c) + "," + terms}, args...)...)
	cmd = exec.Command(name, argv...)
	out = newLines(t)
	cmd.Stdout, cmd.Stderr = out.w, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		} else {
			leaktest.ReapOrphans(t)
		}
	})
	out.started()
	words := strings.Fields(out.next("shim "))
	return cmd, out, mustAtoi(words[2])
}

// killed ends a program, and reaps it.
func killed(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it was
}

// attach claims the tree named kept, once it has no owner.
func attach(t *testing.T, options ...foster.AttachOption) *foster.Tree {
	t.Helper()
	var tree *foster.Tree
	leaktest.Eventually(t, "the owner's end is known", func() (ok bool) {
		var err error
		if tree, err = foster.Attach(context.Background(), "kept", options...); err != nil && !errors.Is(err, foster.ErrOwned) {
			t.Fatal(err)
		}
		return err == nil
	})
	return tree
}

func TestWhatWasWrittenWithoutAnOwnerIsReadByTheNext(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		const count = 100_000 // more than 5 MB: the application waits for a reader
		cmd, _, _ := keep(t, c, "grace=1m,keep", "count", fmt.Sprint(count), "7")
		killed(t, cmd)
		var out bytes.Buffer
		tree := attach(t, foster.WithOutput(&out, nil))
		exit, err := tree.Wait()
		if exit.Leader.ExitCode() != 7 || exit.Cause != foster.CauseEnded || exit.ID != "kept" || exit.Containment != c {
			t.Errorf("exit %+v, %v; want status 7", exit, err)
		}
		for n := range count {
			line, err := out.ReadString('\n')
			if want := fmt.Sprintf("line %d of an output that is long enough to fill a pipe\n", n); err != nil || line != want {
				t.Fatalf("got %q, %v; want %q", line, err, want)
			}
		}
		if out.Len() > 0 {
			t.Errorf("there is more: %q", out.String())
		}
		if got := kinds(tree); !inOrder(got, foster.EventStarted, foster.EventOwnerGone, foster.EventClaimed,
			foster.EventLeaderEnded, foster.EventTreeEmpty, foster.EventEnded) {
			t.Errorf("events %v", got)
		}
	})
}

func TestAnEndThatNobodySawIsToldToWhoClaimsIt(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out, leader := keep(t, c, "grace=1m,copy", "signals")
		out.pid("signals")
		killed(t, cmd)
		if err := syscall.Kill(leader, syscall.SIGTERM); err != nil { // it waits for that
			t.Fatal(err)
		}
		awaitDone(t)
		var rest bytes.Buffer
		tree := attach(t, foster.WithOutput(&rest, nil))
		exit, err := tree.Wait()
		if err != nil || !exit.Leader.Success() || exit.Cause != foster.CauseEnded || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v; want status 0", exit, err)
		}
		if !strings.HasPrefix(rest.String(), "got ") || !strings.HasSuffix(rest.String(), " 15\n") {
			t.Errorf("its output was %q", rest.String())
		}
		// Which of the two ends the shim sees first is the kernel's to say.
		if got := kinds(tree); !inOrder(got, foster.EventOwnerGone, foster.EventTreeEmpty, foster.EventEnded) ||
			!inOrder(got, foster.EventLeaderEnded, foster.EventTreeEmpty) {
			t.Errorf("events %v", got)
		}
		awaitGone(t)
		if _, err := foster.Attach(context.Background(), "kept"); !errors.Is(err, foster.ErrUnknown) {
			t.Errorf("claimed twice: %v", err)
		}
	})
}

// awaitDone waits until the end of the tree named kept was written.
func awaitDone(t *testing.T) {
	t.Helper()
	folder, _, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "the tree has ended", func() bool {
		f, err := journal.Find(folder, "kept")
		return err == nil && f.Life != nil && f.Life.Done
	})
}

// awaitGone waits until the journal has nothing of it.
func awaitGone(t *testing.T) {
	t.Helper()
	folder, _, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "the tree is gone from the journal", func() bool {
		_, err := journal.Find(folder, "kept")
		return errors.Is(err, journal.ErrUnknown)
	})
}

func TestUnclaimedTheTreeIsStoppedInTheOrderlyWay(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out, _ := keep(t, c, "grace=200ms,own", "signals")
		out.pid("signals")
		killed(t, cmd)
		if said := out.next("got "); !strings.HasSuffix(said, " 15") {
			t.Errorf("it got %q, want SIGTERM", said)
		}
		out.tail() // nobody is left who could write
		awaitGone(t)
	})
}

func TestStubbornMembersAreEndedWhenTheGraceIsOver(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		args, members := stubborn(c)
		cmd, out, _ := keep(t, c, "grace=100ms,stop=50ms,own", args...)
		for range members {
			out.pid("stubborn")
		}
		killed(t, cmd)
		out.tail()
		awaitGone(t)
	})
}

func TestALeaseEndsAlsoWhereThereIsNoOwner(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out, _ := keep(t, c, "grace=1m,own,lease=1s", "block")
		out.pid("block")
		killed(t, cmd)
		awaitDone(t)
		exit, err := attach(t).Wait()
		if exit.Cause != foster.CauseExpired || !errors.Is(err, foster.ErrExpired) {
			t.Errorf("cause %s, %v; want a lease that is over", exit.Cause, err)
		}
	})
}

func TestOfManyClaimantsOneWins(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out, _ := keep(t, c, "grace=1m,keep", "block")
		killed(t, cmd)
		_ = out
		const many = 4
		first := newLines(t)
		programs := map[int]*exec.Cmd{}
		for range many {
			name, argv := role("claimant", "kept")
			p := exec.Command(name, argv...)
			p.Stdout, p.Stderr = first.w, os.Stderr
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			programs[p.Process.Pid] = p
		}
		first.started()
		winner := first.pid("claimed")
		for range many - 1 {
			if said := first.next("refused "); !strings.HasPrefix(said, "owned=true foster: attach to \"kept\": the tree has an owner") {
				t.Errorf("another was told %q", said)
			}
		}
		// The winner is its owner: when it's gone, the grace begins anew.
		for pid, p := range programs {
			if pid == winner {
				if _, err := foster.Attach(context.Background(), "kept"); !errors.Is(err, foster.ErrOwned) {
					t.Errorf("claimed what has an owner: %v", err)
				}
				killed(t, p)
				continue
			}
			_ = p.Wait() // its status says nothing that its output didn't
		}
		results := make(chan error, many)
		trees := make(chan *foster.Tree, many)
		tree := attach(t)
		for range many {
			go func() {
				other, err := foster.Attach(context.Background(), "kept", foster.WithOutput(nil, nil))
				if err == nil {
					trees <- other
				}
				results <- err
			}()
		}
		for range many {
			if err := <-results; !errors.Is(err, foster.ErrOwned) {
				t.Errorf("another claim: %v", err)
			}
		}
		stop(t, tree)
	})
}

func TestACanceledContextStopsWhatWasClaimed(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out, _ := keep(t, c, "grace=1m,own", "signals")
		out.pid("signals")
		killed(t, cmd)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := foster.Attach(ctx, "kept"); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that is done: %v", err)
		}
		ctx, cancel = context.WithCancel(context.Background())
		defer cancel()
		var tree *foster.Tree
		leaktest.Eventually(t, "it can be claimed", func() (ok bool) {
			var err error
			tree, err = foster.Attach(ctx, "kept")
			return err == nil
		})
		cancel()
		exit, err := tree.Wait()
		if exit.Cause != foster.CauseCanceled || !errors.Is(err, context.Canceled) || !exit.Leader.Success() {
			t.Errorf("exit %+v, %v; want an orderly stop", exit, err)
		}
	})
}

func TestShimKilledWhoAttachedEndsTheTree(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		cmd, out, leader := keep(t, c, "grace=1m,own,stop=50ms", "stubborn")
		for range 3 {
			out.pid("stubborn")
		}
		if c == foster.Subreaper {
			awaitMembers(t, 3)
		}
		killed(t, cmd)
		tree := attach(t)
		if c != foster.PIDNS && tree.Leader() != leader {
			t.Errorf("the leader is %d, not %d", tree.Leader(), leader)
		}
		if err := syscall.Kill(foster.ShimPID(tree), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		reaped := make(chan struct{})
		go func() { // the shim, and what it had, fell to this test
			defer close(reaped)
			leaktest.ReapOrphans(t)
		}()
		exit, err := tree.Wait()
		if !errors.Is(err, foster.ErrShimLost) || exit.Cause != foster.CauseShimLost || len(exit.Survivors) > 0 || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v; want ErrShimLost and an empty tree", exit, err)
		}
		<-reaped
	})
}

// awaitMembers waits until the journal knows so many members of the one tree there is.
func awaitMembers(t *testing.T, n int) {
	t.Helper()
	folder, _, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "the journal knows the members", func() bool {
		f, err := journal.Find(folder, "kept")
		return err == nil && f.Life != nil && len(f.Life.Members) >= n
	})
}

func TestAnOwnerWithANameIsHeldByAHandle(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		name, argv := role("block")
		other := exec.Command(name, argv...)
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Owner = other.Process.Pid }, "signals")
		out.pid("signals")
		killed(t, other)
		exit, err := tree.Wait()
		if exit.Cause != foster.CauseOwnerGone || !errors.Is(err, foster.ErrOwnerGone) || !exit.Leader.Success() {
			t.Errorf("exit %+v, %v; want a stop since the owner is gone", exit, err)
		}
		if e := waitFor(t, tree, foster.EventOwnerGone); e.PID != other.Process.Pid {
			t.Errorf("the owner was %d, not %d", e.PID, other.Process.Pid)
		}
		cmd := roleCommand("block")
		cmd.Owner = other.Process.Pid // reaped: nobody's number, or another's
		if tree, err := cmd.Start(); err == nil {
			_, _ = tree.StopWith(t.Context(), foster.KillAtOnce())
			t.Error("it runs on behalf of a process that has ended")
		}
	})
}

// TestANamedOwnersTreeOutlivesWhoStartedIt: it's the owner's end that counts.
func TestANamedOwnersTreeOutlivesWhoStartedIt(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		name, argv := role("block")
		other := exec.Command(name, argv...)
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		cmd, out, _ := keep(t, c, fmt.Sprintf("own,grace=1m,owner=%d", other.Process.Pid), "signals")
		out.pid("signals")
		killed(t, cmd)
		if _, err := foster.Attach(context.Background(), "kept"); !errors.Is(err, foster.ErrOwned) {
			t.Errorf("claimed while the owner lives: %v", err)
		}
		killed(t, other)
		tree := attach(t)
		if e := waitFor(t, tree, foster.EventClaimed); e.PID != os.Getpid() {
			t.Errorf("claimed by %d", e.PID)
		}
		stop(t, tree)
	})
}

func TestClaimsOfWhatCantBeClaimed(t *testing.T) {
	leaktest.Check(t)
	tree, out := begin(t, foster.Subreaper, func(cmd *foster.Cmd) { cmd.ID, cmd.Grace = "mine", time.Hour }, "block")
	out.pid("block")
	if _, err := foster.Attach(context.Background(), "mine"); !errors.Is(err, foster.ErrOwned) {
		t.Errorf("claimed what has an owner: %v", err)
	}
	cmd := roleCommand("block")
	cmd.ID = "mine"
	if _, err := cmd.Start(); !errors.Is(err, foster.ErrTaken) {
		t.Errorf("two trees of one name: %v", err)
	}
	stop(t, tree)
	for _, id := range []string{"mine", "nobodys"} {
		if _, err := foster.Attach(context.Background(), id); !errors.Is(err, foster.ErrUnknown) && !errors.Is(err, foster.ErrEnded) {
			t.Errorf("claimed %q: %v", id, err)
		}
	}
	for _, id := range []string{"", "../x", "a b", strings.Repeat("x", 1000)} {
		if _, err := foster.Attach(context.Background(), id); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("claimed %q: %v", id, err)
		}
	}
}
