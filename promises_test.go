package foster_test

import (
	"context"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
)

// The tests in this file are the promises of doc/design.md, each in each
// containment that gives it.

var all = []foster.Containment{foster.Group, foster.Subreaper, foster.Cgroup, foster.PIDNS}

// holdsAll are the containments that lose nobody.
var holdsAll = all[1:]

// in runs a test in each of the containments that can be had here.
func in(t *testing.T, list []foster.Containment, test func(*testing.T, foster.Containment)) {
	t.Helper()
	for _, c := range list {
		t.Run(string(c), func(t *testing.T) {
			leaktest.Need(t, "containment "+string(c), canHave(c))
			leaktest.Check(t)
			if c == foster.Group {
				// A group's orphans are another's to reap: here, they fall to the test.
				t.Cleanup(func() { leaktest.ReapOrphans(t) })
			}
			test(t, c)
		})
		if c == foster.Cgroup {
			t.Run("cgroup-shared", func(t *testing.T) {
				leaktest.Need(t, "containment "+string(c), canHave(c))
				leaktest.Check(t)
				share(t)
				test(t, c)
			})
		}
	}
}

// shareVariable has the owners in other processes share shims, too.
const shareVariable = "FOSTER_TEST_SHARE"

// share has one shim hold all trees of a test.
func share(t testing.TB) {
	t.Helper()
	t.Setenv(shareVariable, "1")
	if err := foster.Share(100); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := foster.Share(0); err != nil {
			t.Error(err)
		}
		leaktest.ReapOrphans(t) // who was released by the shim that has ended now
	})
}

func canHave(c foster.Containment) error {
	cmd := foster.Command("true")
	cmd.Containment = c
	return cmd.Run()
}

// begin starts a role in a containment and reads its output.
func begin(t *testing.T, c foster.Containment, set func(*foster.Cmd), args ...string) (*foster.Tree, *lines) {
	t.Helper()
	cmd := roleCommand(args...)
	cmd.Containment, cmd.Stderr = c, os.Stderr
	tree, out := read(t, cmd, set)
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			_, _ = tree.StopWith(t.Context(), foster.KillAtOnce()) // whatever is left
		}
	})
	if tree.Containment() != c {
		t.Errorf("the containment is %s, not %s", tree.Containment(), c)
	}
	return tree, out
}

// read starts a command and reads its output; set, where it isn't nil, has the last word.
func read(t *testing.T, cmd *foster.Cmd, set func(*foster.Cmd)) (*foster.Tree, *lines) {
	t.Helper()
	out := newLines(t)
	cmd.Stdout = out.w
	if set != nil {
		set(cmd)
	}
	tree, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	out.started()
	return tree, out
}

func stop(t *testing.T, tree *foster.Tree) foster.Exit {
	t.Helper()
	exit, err := tree.Stop(context.Background())
	if err != nil {
		t.Fatalf("stop: %v", err)
	}
	if exit.TreeEmpty.IsZero() || !exit.Counted {
		t.Error("stopped, but nobody proved that the tree is empty, or counted")
	}
	return exit
}

// waitFor reads events up to one of a kind.
func waitFor(t *testing.T, tree *foster.Tree, kind foster.EventKind) foster.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for e := range tree.Events(ctx) {
		if e.Kind == kind {
			return e
		}
	}
	t.Fatalf("there was no event %q", kind)
	return foster.Event{}
}

func TestStopEndsLeaderAndGroup(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "parent")
		out.pid("block")
		out.pid("parent")
		members, err := tree.Members()
		if err != nil || len(members) < 2 {
			t.Errorf("members: %v, %v; want the start script and the application", members, err)
		}
		exit := stop(t, tree)
		if exit.Cause != foster.CauseStopped || exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("cause %s, leader %v; want stopped by SIGTERM", exit.Cause, exit.Leader)
		}
		if exit.Killed != 0 {
			t.Errorf("%d had to be killed, though all end by SIGTERM", exit.Killed)
		}
	})
}

func TestLeaderKilledRestStaysKnownAndIsStopped(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "parent")
		out.pid("block")
		out.pid("parent")
		if err := tree.Signal(syscall.SIGKILL, foster.ScopeLeader); err != nil {
			t.Fatal(err)
		}
		lost := waitFor(t, tree, foster.EventLeaderLost)
		if lost.Status.Signal != syscall.SIGKILL || len(lost.Processes) != 1 {
			t.Errorf("lost: %+v; want a leader killed by SIGKILL and one process that lives on", lost)
		} else if pid := lost.Processes[0].PID; !slices.ContainsFunc(childrenOf(foster.ShimPID(tree)), func(s procfs.Stat) bool { return s.PID == pid }) && c != foster.Group {
			t.Errorf("who lives on has the pid %d, which isn't a child of the shim here", pid)
		}
		select {
		case <-tree.Done():
			t.Fatal("the run is over, though the application lives")
		default:
		}
		members, err := tree.Members()
		if err != nil || !anyAlive(members) {
			t.Errorf("the application isn't known: %v, %v", members, err)
		}
		exit := stop(t, tree)
		if !exit.LeaderLost || exit.Leader.Signal != syscall.SIGKILL {
			t.Errorf("exit %+v; want the leader lost, killed by SIGKILL", exit)
		}
		if c != foster.Group && exit.Adopted != 1 {
			t.Errorf("%d adopted, want 1", exit.Adopted)
		}
	})
}

func anyAlive(members []foster.Process) bool {
	for _, m := range members {
		if m.State != "Z" {
			return true
		}
	}
	return false
}

func TestStopReapsDoubleForkedScrubbedGrandchild(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "daemonize", "stay")
		out.pid("block")
		out.pid("leader")
		members, err := tree.Members()
		if err != nil {
			t.Fatal(err)
		}
		escaped := false
		for _, m := range members {
			escaped = escaped || m.Session == m.PID && m.PID != tree.Leader()
		}
		if !escaped {
			t.Errorf("no member has a session of its own: %+v", members)
		}
		exit := stop(t, tree)
		if exit.Adopted < 1 {
			t.Errorf("the daemon wasn't adopted: %+v", exit)
		}
	})
}

func TestRunLastsAsLongAsTheDaemon(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "daemonize", "leave")
		out.pid("block")
		lost := waitFor(t, tree, foster.EventLeaderLost)
		if !lost.Status.Success() {
			t.Errorf("the leader: %v, want exit status 0", lost.Status)
		}
		stop(t, tree)
	})
}

func TestGroupSaysThatItLosesWhatLeavesIt(t *testing.T) {
	in(t, all[:1], func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "daemonize", "leave")
		daemon := out.pid("block")
		exit, err := tree.Wait()
		if err != nil || exit.Containment != foster.Group {
			t.Errorf("exit %+v, %v; want the end of the group, and that it was one", exit, err)
		}
		// The daemon was lost, as the table says: it falls to this subreaper.
		if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		leaktest.ReapOrphans(t)
	})
}

func TestMembersThatIgnoreSignalsAreEndedAfterTheTimeout(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = 50 * time.Millisecond }, "stubborn")
		for range 3 {
			out.pid("stubborn")
		}
		exit, err := tree.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if exit.Leader.Signal != syscall.SIGKILL || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v; want the leader killed and the tree empty", exit)
		}
		want := 3
		if c == foster.Group {
			want = 2 // one child has left the group
			leaktest.Eventually(t, "the member of the group is ended", func() bool {
				killStrays(t, exit.LeaderPID)
				return len(childrenOf(os.Getpid())) == 0
			})
		}
		if exit.Killed != want || len(exit.KilledProcesses) != want {
			t.Errorf("%d killed, named %v; want %d", exit.Killed, exit.KilledProcesses, want)
		}
	})
}

// stubborn are members that ignore a stop, of which none leaves its group where that is
// what holds them; and how many they are.
func stubborn(c foster.Containment) (args []string, members int) {
	if c == foster.Group {
		return []string{"stubborn", "within"}, 2
	}
	return []string{"stubborn"}, 3
}

// killStrays ends, by pid, what a group has lost to this test, unless it is still
// a member: that one foster has to end.
func killStrays(t *testing.T, group int) {
	t.Helper()
	for _, s := range childrenOf(os.Getpid()) {
		if s.PGID != group && s.Comm != "foster-shim" {
			_ = syscall.Kill(s.PID, syscall.SIGKILL) // it may have ended
		}
		_, _ = syscall.Wait4(s.PID, nil, syscall.WNOHANG, nil) // not yet: asked again
	}
}

func childrenOf(pid int) (children []procfs.Stat) {
	all, err := procfs.Snapshot()
	if err != nil {
		panic(err)
	}
	for _, s := range all {
		if s.PPID == pid {
			children = append(children, s)
		}
	}
	return children
}
