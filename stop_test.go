package foster_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are how a run ends, or is ended.

// leaver is a leader that ends and leaves another: a daemon, where one is held.
func leaver(c foster.Containment) []string {
	if c == foster.Group {
		return []string{"parent", "leave"}
	}
	return []string{"daemonize", "leave"}
}

func TestUntilLeaderStopsTheRest(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, _ := begin(t, c, func(cmd *foster.Cmd) { cmd.Until = foster.UntilLeader }, leaver(c)...)
		exit, err := tree.Wait()
		if err != nil || exit.Cause != foster.CauseLeaderEnded || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v", exit, err)
		}
	})
}

func TestOnLeaderLoss(t *testing.T) {
	causes := map[foster.LossPolicy]foster.Cause{foster.LossStop: foster.CauseLeaderLost, foster.LossFail: foster.CauseLeaderLostFail}
	for policy, want := range map[foster.LossPolicy]error{foster.LossStop: nil, foster.LossFail: foster.ErrLeaderLost} {
		t.Run(string(policy), func(t *testing.T) {
			in(t, all, func(t *testing.T, c foster.Containment) {
				tree, _ := begin(t, c, func(cmd *foster.Cmd) { cmd.OnLeaderLoss = policy }, leaver(c)...)
				exit, err := tree.Wait()
				if !errors.Is(err, want) || exit.Cause != causes[policy] || !exit.LeaderLost {
					t.Errorf("exit %+v, %v; want %v", exit, err, want)
				}
			})
		})
	}
}

func TestLeaderFirstLetsTheLeaderDrain(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Scope = foster.ScopeLeaderFirst }, "drain")
		leader := tree.Leader()
		out.pid("drain")
		out.pid("drain")
		exit := stop(t, tree)
		out.next("leader drained")
		parent := mustAtoi(strings.TrimPrefix(out.next("worker signalled,"), "parent "))
		if c != foster.PIDNS && parent == leader {
			t.Error("the worker was signalled while its leader lived")
		}
		if exit.Killed != 0 {
			t.Errorf("%d had to be killed", exit.Killed)
		}
	})
}

// TestAStopOfLeaderOrGroupReachesNoOther: the rest is ended by another stop.
func TestAStopOfLeaderOrGroupReachesNoOther(t *testing.T) {
	for scope, reaches := range map[foster.Scope]int{foster.ScopeLeader: 1, foster.ScopeGroup: 2} {
		t.Run(string(scope), func(t *testing.T) {
			in(t, all, func(t *testing.T, c foster.Containment) {
				tree, out := begin(t, c, func(cmd *foster.Cmd) {
					cmd.Stop = foster.StopPlan{Scope: scope, Timeout: time.Hour}
				}, "parent", "aside")
				out.pid("block")
				out.pid("block")
				out.pid("parent")
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if _, err := tree.Stop(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("a stop that isn't waited for: %v", err)
				}
				sent := waitFor(t, tree, foster.EventSignaled)
				leader := waitFor(t, tree, foster.EventLeaderEnded)
				if sent.Count != reaches || leader.Status.Signal != syscall.SIGTERM {
					t.Errorf("it reached %d, and the leader: %v; want %d, and SIGTERM", sent.Count, leader.Status, reaches)
				}
				if _, err := tree.StopWith(context.Background(), foster.KillAtOnce()); err != nil {
					t.Error(err)
				}
				if c == foster.Group {
					killStrays(t, tree.Leader())
				}
			})
		})
	}
}

func TestStopStepsComeInTurn(t *testing.T) {
	leaktest.Check(t)
	cmd := foster.Command("sh", "-c", `trap '' HUP INT TERM; echo stubborn $$; exec sleep 1000`)
	cmd.Stop = foster.StopPlan{
		Signal: syscall.SIGHUP, Timeout: 20 * time.Millisecond,
		Steps: []foster.StopStep{
			{Signal: syscall.SIGINT, Wait: 20 * time.Millisecond},
			{Signal: syscall.SIGUSR1, Wait: time.Hour}, // ends it
		},
	}
	tree, out := read(t, cmd, nil)
	out.pid("stubborn")
	exit := stop(t, tree)
	if exit.Leader.Signal != syscall.SIGUSR1 {
		t.Errorf("ended by %v, want SIGUSR1", exit.Leader)
	}
	var sent []syscall.Signal
	for e := range tree.Events(context.Background()) {
		if e.Kind == foster.EventSignaled {
			sent = append(sent, e.Signal)
		}
	}
	if len(sent) != 3 || sent[0] != syscall.SIGHUP || sent[1] != syscall.SIGINT {
		t.Errorf("sent %v", sent)
	}
}

func TestAStoppedProcessIsStoppedToo(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		if err := tree.Signal(syscall.SIGSTOP, foster.ScopeTree); err != nil {
			t.Fatal(err)
		}
		waitFor(t, tree, foster.EventLeaderPaused)
		if exit := stop(t, tree); exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("ended by %v, want SIGTERM at once", exit.Leader)
		}
	})
}

func TestStopIsCutShortByAnotherPlan(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "stubborn", "alone")
		out.pid("stubborn")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := tree.Stop(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a stop that isn't waited for: %v", err)
		}
		waitFor(t, tree, foster.EventSignaled)
		if _, err := tree.StopWith(context.Background(), foster.KillAtOnce()); err != nil {
			t.Error(err)
		}
	})
}

func TestOrphansAreReapedWhileRunning(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "orphans", "100")
		out.pid("orphaned")
		leaktest.Eventually(t, "no zombie is left", func() bool {
			members, err := tree.Members()
			if err != nil {
				t.Fatal(err)
			}
			return len(members) == 1
		})
		exit := stop(t, tree)
		if exit.Adopted < 90 || len(exit.Orphans) < 50 { // sh may have reaped a few itself
			t.Errorf("%d adopted, %d named; want about 100, and 64", exit.Adopted, len(exit.Orphans))
		}
		for _, o := range exit.Orphans {
			if o.Status.ExitCode() != 7 {
				t.Errorf("orphan %+v, want exit status 7", o)
				break
			}
		}
	})
}

func TestReleaseLetsTheRestGo(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "daemonize", "leave")
		daemon := out.pid("block")
		waitFor(t, tree, foster.EventLeaderLost)
		if err := tree.Release(); err != nil {
			t.Fatal(err)
		}
		exit, err := tree.Wait()
		if err != nil || !exit.Released || exit.Cause != foster.CauseReleased || !exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v", exit, err)
		}
		if err := syscall.Kill(daemon, 0); err != nil {
			t.Errorf("the daemon was ended: %v", err)
		}
		if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil { // it fell to this test
			t.Error(err)
		}
		leaktest.ReapOrphans(t)
	})
	in(t, []foster.Containment{foster.PIDNS, foster.Group}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		if err := tree.Release(); !errors.Is(err, foster.ErrNotReleasable) {
			t.Errorf("got %v, want ErrNotReleasable", err)
		}
		stop(t, tree)
		if err := tree.Release(); !errors.Is(err, foster.ErrEnded) {
			t.Errorf("after the end: %v, want ErrEnded", err)
		}
	})
}
