package foster_test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
)

// releasing are the containments in which one process of a tree can be released.
var releasing = []foster.Containment{foster.Subreaper, foster.Cgroup}

// beginServer starts a tree of a leader, a server with a session and a child of its own, and
// another process.
func beginServer(t *testing.T, c foster.Containment) (tree *foster.Tree, server, child, other int) {
	t.Helper()
	cmd := foster.Command("sh", "-c", `setsid sh -c 'sleep 1000 & echo child $!; echo server $$; wait' &
		sleep 1001 & echo other $!; trap 'exit 0' TERM; wait; wait`)
	cmd.Containment, cmd.Stderr = c, os.Stderr
	tree, out := read(t, cmd, nil)
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			_, _ = tree.StopWith(t.Context(), foster.KillAtOnce()) // whatever is left
		}
	})
	return tree, out.pid("server"), out.pid("child"), out.pid("other")
}

// lives says whether a process is there, and isn't a zombie.
func lives(pid int) bool {
	s, err := procfs.Read(pid)
	return err == nil && !s.Zombie()
}

// endReleased ends what was released, and reaps it where it has fallen to the test.
func endReleased(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if !lives(pid) {
			t.Errorf("process %d was released, and doesn't live any more", pid)
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	for _, pid := range pids {
		leaktest.Eventually(t, "what was released is reaped", func() bool {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // of another's child: an error
			_, err := procfs.Read(pid)
			return err != nil
		})
	}
}

func pids(list []foster.Process) (pids []int) {
	for _, p := range list {
		pids = append(pids, p.PID)
	}
	slices.Sort(pids)
	return pids
}

// beginStranger starts a process of the test's own.
func beginStranger(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !lives(cmd.Process.Pid) {
			t.Error("a process that isn't of the tree was ended")
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestReleasedProcessOutlivesTheTree(t *testing.T) {
	in(t, releasing, func(t *testing.T, c foster.Containment) {
		beginStranger(t)
		tree, server, child, other := beginServer(t, c)
		list, err := tree.ReleaseProcess(server)
		want := []int{server, child}
		slices.Sort(want)
		if err != nil || !slices.Equal(pids(list), want) {
			t.Fatalf("released %v, %v; want %v", list, err, want)
		}
		if e := waitFor(t, tree, foster.EventReleased); e.Count != 2 || !slices.Equal(pids(e.Processes), want) {
			t.Errorf("the event: %+v", e)
		}
		members, err := tree.Members()
		if err != nil || !slices.Contains(pids(members), other) || slices.Contains(pids(members), server) || slices.Contains(pids(members), child) {
			t.Errorf("members %v, %v; want the leader and %d alone", members, err, other)
		}
		exit := stop(t, tree)
		if !slices.Equal(pids(exit.ReleasedProcesses), want) || exit.Released || exit.Killed != 0 {
			t.Errorf("the exit: %+v", exit)
		}
		if lives(other) {
			t.Error("what wasn't released lives on")
		}
		endReleased(t, server, child)
	})
}

func TestReleasedProcessIsLeftToTheNextSubreaper(t *testing.T) {
	in(t, releasing, func(t *testing.T, c foster.Containment) {
		tree, server, child, _ := beginServer(t, c)
		shim := shimOf(t, tree)
		if _, err := tree.ReleaseProcess(server); err != nil {
			t.Fatal(err)
		}
		stop(t, tree)
		if os.Getenv(shareVariable) == "" { // else it holds other trees yet
			leaktest.Eventually(t, "the shim is gone, and the server is this process' child", func() bool {
				s, err := procfs.Read(server)
				return err == nil && !lives(shim) && s.PPID == os.Getpid()
			})
		}
		endReleased(t, server, child)
	})
}

func TestOrphanOfReleasedProcessLivesOn(t *testing.T) {
	in(t, releasing, func(t *testing.T, c foster.Containment) {
		tree, server, child, _ := beginServer(t, c)
		if _, err := tree.ReleaseProcess(server); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		leaktest.Eventually(t, "the shim reaps the released one", func() bool {
			_, err := procfs.Read(server)
			return err != nil
		})
		exit := stop(t, tree)
		if !slices.Equal(pids(exit.ReleasedProcesses), []int{child}) {
			t.Errorf("the exit names %v, want %d", exit.ReleasedProcesses, child)
		}
		endReleased(t, child)
	})
}

// TestOrphanThatWasNeverSeenLivesOn: what a released process forks later is in its session.
func TestOrphanThatWasNeverSeenLivesOn(t *testing.T) {
	in(t, releasing, func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("sh", "-c", `setsid sh -c 'trap "sleep 1000 & echo child \$!; exit" USR1; echo server $$; while :; do sleep 0.01; done' &
			trap 'exit 0' TERM; wait; wait`)
		cmd.Containment = c
		tree, out := read(t, cmd, nil)
		server := out.pid("server")
		if _, err := tree.ReleaseProcess(server); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(server, syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		child := out.pid("child")
		leaktest.Eventually(t, "the server has ended", func() bool { return !lives(server) })
		stop(t, tree)
		endReleased(t, child)
	})
}

func TestTreeEndsWhenOnlyReleasedAreLeft(t *testing.T) {
	in(t, releasing, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "daemonize", "leave")
		daemon := out.pid("block")
		waitFor(t, tree, foster.EventLeaderLost)
		if _, err := tree.ReleaseProcess(daemon); err != nil {
			t.Fatal(err)
		}
		exit, err := tree.Wait()
		if err != nil || exit.Cause != foster.CauseEnded || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v", exit, err)
		}
		endReleased(t, daemon)
	})
}

func TestStubbornRestIsEndedBesideReleased(t *testing.T) {
	in(t, releasing, func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("sh", "-c", `trap '' TERM; setsid sh -c 'echo server $$; exec sleep 1000' &
			setsid sh -c 'echo other $$; while :; do sleep 1000; done' & while :; do sleep 1000; done`)
		cmd.Containment, cmd.Stop.Timeout = c, 1
		tree, out := read(t, cmd, nil)
		server, other := out.pid("server"), out.pid("other")
		if _, err := tree.ReleaseProcess(server); err != nil {
			t.Fatal(err)
		}
		if exit := stop(t, tree); exit.Killed == 0 {
			t.Errorf("nobody had to be killed: %+v", exit)
		}
		if lives(other) {
			t.Error("a daemon that wasn't released lives on")
		}
		endReleased(t, server)
	})
}

func TestOnlyMembersAreReleased(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		foreign := beginStranger(t)
		tree, out := begin(t, c, nil, "parent")
		block := out.pid("block")
		refused := func(pid int, unreleasable bool) {
			t.Helper()
			list, err := tree.ReleaseProcess(pid)
			if err == nil || errors.Is(err, foster.ErrNotReleasable) != unreleasable {
				t.Errorf("process %d: %v, %v", pid, list, err)
			}
		}
		for _, pid := range []int{0, -1, tree.Leader(), foreign, os.Getpid()} {
			refused(pid, c == foster.PIDNS && pid > 0 && pid != 2)
		}
		if c == foster.Group || c == foster.PIDNS {
			refused(block, true)
		}
		stop(t, tree)
		if _, err := tree.ReleaseProcess(block); !errors.Is(err, foster.ErrEnded) {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestAGroupLetsGoOfWhoHasLeftIt(t *testing.T) {
	in(t, all[:1], func(t *testing.T, c foster.Containment) {
		tree, server, child, _ := beginServer(t, c)
		list, err := tree.ReleaseProcess(server)
		if err != nil || len(list) != 2 {
			t.Fatalf("%v, %v", list, err)
		}
		stop(t, tree)
		endReleased(t, server, child)
	})
}
