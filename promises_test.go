package foster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
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
	cmd.Containment = c
	out := newLines(t)
	cmd.Stdout, cmd.Stderr = out.w, os.Stderr
	if set != nil {
		set(cmd)
	}
	tree, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	out.started()
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			_, _ = tree.StopWith(t.Context(), foster.KillAtOnce) // whatever is left
		}
	})
	if tree.Containment() != c {
		t.Errorf("the containment is %s, not %s", tree.Containment(), c)
	}
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

// storm writes a script that starts itself again in a new session and ends, over
// and over, for as long as a file is there: the file bounds it if all else fails.
func storm(t *testing.T, body string) (script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fuse := filepath.Join(dir, "fuse")
	if err := os.WriteFile(fuse, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(fuse) })
	time.AfterFunc(30*time.Second, func() { os.Remove(fuse) })
	script = filepath.Join(dir, "storm.sh")
	text := fmt.Sprintf("#!/bin/sh\nfuse=%s\n[ -e $fuse ] || exit\n%s\n", fuse, body)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}

func TestForkStormIsEnded(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		script := storm(t, `setsid "$0" </dev/null >/dev/null 2>&1 &`)
		const linesOfDescent = 8
		cmd := foster.Command("/bin/sh", "-c", fmt.Sprintf(
			`for i in $(seq %d); do %s & done; echo storm $$; exec sleep 1000`, linesOfDescent, script))
		cmd.Containment = c
		cmd.Stop.Timeout = 20 * time.Millisecond
		out := newLines(t)
		cmd.Stdout = out.w
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		out.started()
		out.pid("storm")
		// The storm is under way when the shim has reaped many.
		leaktest.Eventually(t, "the storm forks", func() bool {
			members, err := tree.Members()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				if strings.HasPrefix(m.Name, "storm") || m.Name == "setsid" {
					return true
				}
			}
			return false
		})
		stop(t, tree)
	})
}

func TestExponentialForkBombIsEnded(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to give the bomb a user with a limit of processes", errors.New("not root"))
	}
	in(t, all[2:], func(t *testing.T, c foster.Containment) {
		// A shell that can't fork ends, and so would the bomb: it becomes another program.
		script := storm(t, `trap 'exec sleep 100' EXIT; "$0" & "$0" & wait`)
		cmd := foster.Command(script)
		cmd.Containment = c
		cmd.Stop = foster.KillAtOnce
		// The limit bounds what this machine has to bear; the promise doesn't need it.
		cmd.Credential = &syscall.Credential{Uid: 64123, Gid: 64123}
		cmd.Rlimits = []foster.Rlimit{{Resource: 6 /* RLIMIT_NPROC */, Soft: 1000, Hard: 1000}}
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		leaktest.Eventually(t, "the bomb goes off", func() bool {
			members, err := tree.Members()
			return err == nil && len(members) > 100
		})
		exit := stop(t, tree)
		if exit.Killed < 50 {
			t.Errorf("%d were killed, though more than 100 ran", exit.Killed)
		}
	})
}

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
		tree, out := begin(t, c, nil, "stubborn")
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
