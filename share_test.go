package foster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
)

// shared starts n trees of a role that one shim holds, and waits until each has said
// something.
func shared(t *testing.T, n int, said string, args ...string) (trees []*foster.Tree) {
	t.Helper()
	leaktest.Need(t, "cgroup", canHave(foster.Cgroup))
	leaktest.Check(t)
	share(t)
	for range n {
		tree, out := begin(t, foster.Cgroup, nil, args...)
		out.pid(said)
		trees = append(trees, tree)
	}
	return trees
}

func shimOf(t *testing.T, tree *foster.Tree) int {
	t.Helper()
	s, err := procfs.Read(tree.Leader())
	if err != nil {
		t.Fatal(err)
	}
	return s.PPID
}

func TestOneShimHoldsManyTreesAndTellsThemApart(t *testing.T) {
	trees := shared(t, 5, "orphaned", "orphans", "20")
	for _, tree := range trees {
		if shimOf(t, tree) != shimOf(t, trees[0]) {
			t.Error("two trees have two shims")
		}
	}
	for i, tree := range trees {
		exit := stop(t, tree)
		if exit.Adopted == 0 || exit.Adopted > 20 {
			t.Errorf("tree %d has adopted %d of its own 20 orphans", i, exit.Adopted)
		}
		for _, other := range trees[i+1:] {
			if members, err := other.Members(); err != nil || len(members) == 0 {
				t.Errorf("the stop of tree %d reached another: %v, %v", i, members, err)
			}
		}
	}
}

func TestAShimOfManyThatIsKilledLosesNone(t *testing.T) {
	trees := shared(t, 3, "block", "block")
	if err := syscall.Kill(shimOf(t, trees[0]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, tree := range trees {
		if exit, _ := tree.Wait(); exit.Cause != foster.CauseShimLost || exit.TreeEmpty.IsZero() {
			t.Errorf("%+v", exit)
		}
	}
	leaktest.ReapOrphans(t)
	// The next start has another.
	tree, _ := begin(t, foster.Cgroup, nil, "block")
	stop(t, tree)
}

func TestManyStartsAtOnceShareShims(t *testing.T) {
	leaktest.Need(t, "cgroup", canHave(foster.Cgroup))
	leaktest.Check(t)
	share(t)
	if err := foster.Share(10); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range 40 {
		group.Go(func() {
			cmd := foster.Command("/bin/sh", "-c", fmt.Sprintf("/bin/sleep 0 & exit %d", n%3))
			cmd.Containment = foster.Cgroup
			tree, err := cmd.Start()
			if err != nil {
				t.Error(err)
				return
			}
			if exit, _ := tree.Wait(); exit.Leader.Code != n%3 {
				t.Errorf("%d exited with %+v", n, exit.Leader)
			}
		})
	}
	group.Wait()
}

func TestAStormInOneTreeDoesNotHoldUpAnother(t *testing.T) {
	trees := shared(t, 1, "block", "block")
	script := storm(t, `setsid "$0" </dev/null >/dev/null 2>&1 &`)
	cmd := foster.Command("/bin/sh", "-c", script+" & "+script+" & exec sleep 1000")
	cmd.Containment = foster.Cgroup
	raging, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	if shimOf(t, raging) != shimOf(t, trees[0]) {
		t.Error("the storm has a shim of its own")
	}
	if exit := stop(t, trees[0]); exit.Killed != 0 {
		t.Errorf("%+v", exit)
	}
	if exit, err := raging.StopWith(context.Background(), foster.KillAtOnce()); err != nil || exit.Killed == 0 {
		t.Errorf("the storm: %+v, %v", exit, err)
	}
}

// Ends that are told while others are started, by a wait or by a kill, are all told.
func TestNoEndIsLostAmongStarts(t *testing.T) {
	leaktest.Need(t, "cgroup", canHave(foster.Cgroup))
	leaktest.Check(t)
	share(t)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for range 25 {
				cmd := foster.Command("/bin/sh", "-c", "exit 0")
				if n%2 == 0 {
					cmd = foster.Command("/bin/sleep", "1000")
				}
				cmd.Containment = foster.Cgroup
				tree, err := cmd.Start()
				if err != nil {
					t.Error(err)
					return
				}
				if n%2 == 0 {
					_, err = tree.StopWith(context.Background(), foster.KillAtOnce())
				} else {
					_, err = tree.Wait()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// elsewhere is the file by which a process enters the cgroup that those of trees are in.
func elsewhere(t *testing.T) string {
	t.Helper()
	own, err := contain.OwnCgroup()
	if err != nil {
		t.Fatal(err)
	}
	procs := filepath.Join(own, "cgroup.procs")
	if f, err := os.OpenFile(procs, os.O_WRONLY, 0); err != nil {
		leaktest.Need(t, "the right to leave a cgroup", err)
	} else {
		f.Close()
	}
	return procs
}

// TestWhoLeavesItsCgroupIsStoppedWithItsTree: and no other tree is met.
func TestWhoLeavesItsCgroupIsStoppedWithItsTree(t *testing.T) {
	for _, kind := range []string{"leader", "child", "orphan"} {
		t.Run(kind, func(t *testing.T) {
			beside := shared(t, 1, "polite", "polite")[0]
			tree, out := begin(t, foster.Cgroup, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "stray", elsewhere(t), kind)
			out.pid("polite")
			if shimOf(t, tree) != shimOf(t, beside) {
				t.Fatal("two trees have two shims")
			}
			exit := stop(t, tree)
			out.next("farewell")
			if exit.Killed != 0 {
				t.Errorf("%+v", exit)
			}
			select {
			case <-beside.Done():
				t.Error("the tree beside it was met")
			default:
			}
			stop(t, beside)
		})
	}
}

// TestWhoLeavesItsCgroupKeepsItsTree: the leader ends, and that isn't the end.
func TestWhoLeavesItsCgroupKeepsItsTree(t *testing.T) {
	shared(t, 0, "")
	tree, out := begin(t, foster.Cgroup, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "stray", elsewhere(t), "daemon")
	pid := out.pid("polite")
	lost := waitFor(t, tree, foster.EventLeaderLost)
	if len(lost.Processes) != 1 || lost.Processes[0].PID != pid {
		t.Errorf("%+v, want process %d", lost, pid)
	}
	stop(t, tree)
	out.next("farewell")
}

// TestWhoseItIsThatLeftItsCgroupIsNotGuessed: it is ended with the last tree of its shim.
func TestWhoseItIsThatLeftItsCgroupIsNotGuessed(t *testing.T) {
	beside := shared(t, 1, "polite", "polite")[0]
	tree, out := begin(t, foster.Cgroup, nil, "stray", elsewhere(t), "daemon")
	pid := out.pid("polite")
	if _, err := tree.Wait(); err != nil {
		t.Error(err)
	}
	if s, err := procfs.Read(pid); err != nil || s.Ended() {
		t.Fatalf("%+v, %v; want it to live", s, err)
	}
	stop(t, beside)
	if s, err := procfs.Read(pid); err == nil && !s.Ended() {
		t.Errorf("%+v lives on", s)
	}
}
