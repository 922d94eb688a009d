package foster_test

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are about how long a tree may run.

// kinds are the events of a tree up to its end.
func kinds(tree *foster.Tree) (list []foster.EventKind) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for e := range tree.Events(ctx) {
		list = append(list, e.Kind)
	}
	return list
}

// awaitNth waits for so many events of a kind.
func awaitNth(t *testing.T, tree *foster.Tree, kind foster.EventKind, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for e := range tree.Events(ctx) {
		if e.Kind == kind {
			n--
		}
		if n == 0 {
			return
		}
	}
	t.Fatalf("%d more events %q were awaited", n, kind)
}

// inOrder says whether these events came, one after the other.
func inOrder(got []foster.EventKind, want ...foster.EventKind) bool {
	for _, k := range got {
		if len(want) > 0 && k == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}

func TestLeaseOverIsAnOrderlyStopWithACauseOfItsOwn(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, _ := begin(t, c, func(cmd *foster.Cmd) {
			cmd.Lease = foster.Lease{Time: 200 * time.Millisecond, Warn: 100 * time.Millisecond}
		}, "parent")
		exit, err := tree.Wait()
		if exit.Cause != foster.CauseExpired || !errors.Is(err, foster.ErrExpired) || exit.TreeEmpty.IsZero() {
			t.Errorf("cause %s, %v; want a lease that is over and an empty tree", exit.Cause, err)
		}
		if exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("the leader: %v; want it asked by SIGTERM", exit.Leader)
		}
		if ran := exit.TreeEmpty.Sub(exit.Started); ran < 200*time.Millisecond {
			t.Errorf("it ran for %v of a lease of 200ms", ran)
		}
		if got := kinds(tree); !inOrder(got, foster.EventStarted, foster.EventLeaseEnding, foster.EventLeaseOver,
			foster.EventStopping, foster.EventSignaled, foster.EventTreeEmpty, foster.EventEnded) {
			t.Errorf("events %v", got)
		}
	})
}

func TestLeaseOverEndsStubbornMembers(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		args, members := stubborn(c)
		tree, out := begin(t, c, func(cmd *foster.Cmd) {
			cmd.Lease.Time, cmd.Stop.Timeout = 1500*time.Millisecond, 50*time.Millisecond
		}, args...)
		for range members {
			out.pid("stubborn")
		}
		exit, err := tree.Wait()
		if exit.Cause != foster.CauseExpired || !errors.Is(err, foster.ErrExpired) || exit.Killed != members || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v; want %d killed when the lease was over", exit, err, members)
		}
	})
}

// warned is a lease that has much left when it warns, so that no test has to be faster
// than its end; the signal is one that harms nobody who doesn't expect it yet.
var warned = foster.Lease{
	Time: time.Hour, Warn: time.Hour - 50*time.Millisecond, Signal: syscall.SIGWINCH,
}

func TestTheWarningReachesTheLeaderAloneAndAgainAfterEachExtension(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Lease = warned }, "signals", "child")
		// Both say who they are, each as it sees itself; the child is started before the
		// leader says so.
		out.pid("signals")
		out.pid("signals")
		if e := waitFor(t, tree, foster.EventLeaseEnding); e.Left <= 0 || e.Left > warned.Warn {
			t.Errorf("%v left, want at most %v", e.Left, warned.Warn)
		}
		for n := range 2 {
			if err := tree.Extend(time.Hour); err != nil {
				t.Fatal(err)
			}
			awaitNth(t, tree, foster.EventLeaseEnding, n+2)
		}
		out.passed = append(out.passed, "got "+out.next("got "))
		stop(t, tree)
		got := map[string]bool{}
		for _, line := range append(out.passed, strings.Split(out.tail(), "\n")...) {
			if rest, ok := strings.CutPrefix(line, "got "); ok && strings.HasSuffix(rest, " 28") {
				got[rest] = true
			}
		}
		if len(got) != 1 {
			t.Errorf("the warning reached %v, want the leader alone", got)
		}
		list := kinds(tree)
		if !inOrder(list, foster.EventLeaseEnding, foster.EventLeaseExtended, foster.EventLeaseEnding,
			foster.EventLeaseExtended, foster.EventLeaseEnding) {
			t.Errorf("events %v; want a warning after each extension", list)
		}
	})
}

func TestExtendGivesMoreAndNeverLess(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) {
			cmd.Lease = foster.Lease{Time: time.Hour, Max: 3 * time.Hour}
		}, "block")
		out.pid("block")
		left := func() time.Duration {
			t.Helper()
			d, limited, err := tree.Lease()
			if err != nil || !limited {
				t.Fatalf("lease %v, %v, %v", d, limited, err)
			}
			return d
		}
		if err := tree.Extend(time.Minute); err != nil || left() < 59*time.Minute {
			t.Errorf("a shorter time has cut the lease to %v, %v", left(), err)
		}
		if err := tree.Extend(2 * time.Hour); err != nil || left() < 2*time.Hour-time.Minute {
			t.Errorf("extended to %v, %v", left(), err)
		}
		for _, d := range []time.Duration{0, -1, math.MinInt64, 3*time.Hour + time.Second, math.MaxInt64} {
			err := tree.Extend(d)
			if !errors.Is(err, syscall.EINVAL) || strings.Contains(err.Error(), "\n") {
				t.Errorf("extended by %v: %v; want one line that wraps EINVAL", d, err)
			}
		}
		if l := left(); l > 2*time.Hour || l < 2*time.Hour-time.Minute {
			t.Errorf("what was refused has changed the lease to %v", l)
		}
		stop(t, tree)
		if err := tree.Extend(time.Hour); !errors.Is(err, foster.ErrEnded) {
			t.Errorf("extended after the end: %v", err)
		}
		if n := len(slices.DeleteFunc(kinds(tree), func(k foster.EventKind) bool { return k != foster.EventLeaseExtended })); n != 1 {
			t.Errorf("%d extensions were told, want 1", n)
		}
	})
}

func TestExtendIsRefusedWhereThereIsNoLeaseOrTheTreeIsStopped(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		if err := tree.Extend(time.Hour); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("extended what has no lease: %v", err)
		}
		if d, limited, err := tree.Lease(); d != 0 || limited || err != nil {
			t.Errorf("lease %v, %v, %v", d, limited, err)
		}
		stop(t, tree)

		tree, out = begin(t, c, func(cmd *foster.Cmd) {
			cmd.Lease.Time, cmd.Stop.Timeout = time.Hour, time.Hour
		}, "stubborn")
		for range 3 {
			out.pid("stubborn")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = tree.Stop(ctx) // it has begun
		if err := tree.Extend(2 * time.Hour); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("extended while it is stopped: %v", err)
		}
		if _, err := tree.StopWith(t.Context(), foster.KillAtOnce()); err != nil {
			t.Error(err)
		}
	})
}

func TestTheApplicationExtendsItsLeaseUpToTheBound(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) {
			cmd.Lease = foster.Lease{Time: time.Hour, Max: 3 * time.Hour}
		}, "tells", "EXTEND_TIMEOUT_USEC=7200000000")
		out.pid("told")
		if e := waitFor(t, tree, foster.EventLeaseExtended); e.Left > 2*time.Hour || e.Left < 2*time.Hour-time.Minute {
			t.Errorf("%v left, want two hours", e.Left)
		}
		stop(t, tree)

		tree, out = begin(t, c, func(cmd *foster.Cmd) {
			cmd.Lease = foster.Lease{Time: time.Hour, Max: 3 * time.Hour}
		}, "tells", "EXTEND_TIMEOUT_USEC=18446744073709551615")
		out.pid("told")
		if e := waitFor(t, tree, foster.EventLeaseExtended); e.Left > 3*time.Hour || e.Left < 3*time.Hour-time.Minute {
			t.Errorf("%v left, want its bound of three hours", e.Left)
		}
		stop(t, tree)
	})
}

func TestSuspendedTimeCountsByChoice(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, _ := begin(t, c, func(cmd *foster.Cmd) {
			cmd.Lease = foster.Lease{Time: 50 * time.Millisecond, Suspend: true}
		}, "block")
		if exit, err := tree.Wait(); exit.Cause != foster.CauseExpired {
			t.Errorf("by the clock that counts suspended time: %s, %v", exit.Cause, err)
		}
	})
}

func TestBadTermsStartNothing(t *testing.T) {
	leaktest.Check(t)
	const day = 24 * time.Hour
	for name, set := range map[string]func(*foster.Cmd){
		"a negative lease":         func(c *foster.Cmd) { c.Lease.Time = -1 },
		"a lease that is too long": func(c *foster.Cmd) { c.Lease.Time = math.MaxInt64 },
		"a bound too long":         func(c *foster.Cmd) { c.Lease = foster.Lease{Time: 1, Max: math.MaxInt64} },
		"a bound without a lease":  func(c *foster.Cmd) { c.Lease.Max = day },
		"a bound that is shorter":  func(c *foster.Cmd) { c.Lease = foster.Lease{Time: day, Max: 1} },
		"a warning of all of it":   func(c *foster.Cmd) { c.Lease = foster.Lease{Time: day, Warn: day} },
		"a signal at no time":      func(c *foster.Cmd) { c.Lease = foster.Lease{Time: day, Signal: 10} },
		"no signal":                func(c *foster.Cmd) { c.Lease = foster.Lease{Time: day, Warn: 1, Signal: -1} },
		"a negative grace":         func(c *foster.Cmd) { c.Grace = -1 },
		"a grace that is too long": func(c *foster.Cmd) { c.Grace = math.MaxInt64 },
		"a negative watchdog":      func(c *foster.Cmd) { c.Watchdog = -1 },
		"a watchdog of nothing":    func(c *foster.Cmd) { c.Watchdog = 1 },
		"a negative owner":         func(c *foster.Cmd) { c.Owner = -1 },
		"an owner that isn't":      func(c *foster.Cmd) { c.Owner = math.MaxInt32 },
		"a name that is a path":    func(c *foster.Cmd) { c.ID = "../x" },
		"a name too long":          func(c *foster.Cmd) { c.ID = strings.Repeat("x", 64) },
		"output kept and taken":    func(c *foster.Cmd) { c.KeepOutput, c.Stdout = true, os.Stdout },
	} {
		cmd := roleCommand("block")
		set(cmd)
		tree, err := cmd.Start()
		failed, ok := errors.AsType[*foster.StartError](err)
		if !ok || failed.Stage != foster.StageConfig || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line", name, err)
		}
		if tree != nil {
			_, _ = tree.StopWith(t.Context(), foster.KillAtOnce())
		}
	}
}

// canceled is a context that is done: what there is, is read, and no more awaited.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
