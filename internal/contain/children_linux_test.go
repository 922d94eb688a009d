package contain

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/procfs"
)

// Each of a line forks the next and ends; only some are a child for long enough.
func TestKillingChildrenEndsALineThatForksOn(t *testing.T) {

	fuse := filepath.Join(t.TempDir(), "fuse")
	if err := os.WriteFile(fuse, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(20*time.Second, func() { os.Remove(fuse) })
	defer over.Stop()
	spared := startApp(t, 0, "echo here 1; exec sleep 100")
	if _, err := spared.out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	a := startApp(t, 0, `line() { [ ! -e "`+fuse+`" ] || line & }; for i in 1 2 3 4; do line; done; echo here 1`)
	if _, err := a.out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = a.cmd.Wait() // it has only begun them
	begun := time.Now()
	eventually(t, "all lines have ended", func() bool {
		killChildren(func(pid int) bool { return pid == spared.leader.PID })
		if _, err := reapAdopted(os.Getpid(), func(pid int) bool { return pid == spared.leader.PID }); err != nil {
			t.Fatal(err)
		}
		found, _, err := descendants(os.Getpid())
		defer release(found)
		return err == nil && len(found) == 1
	})
	if time.Since(begun) > 15*time.Second {
		t.Error("they ended by themselves")
	}
	if !alive(spared.leader) {
		t.Error("who was spared was killed")
	}
}

func TestTheKernelsListOfChildrenAgreesWithProc(t *testing.T) {
	a := startApp(t, 1, "sleep 100 & echo grandchild $!; wait")
	threads, err := procfs.OpenThreads()
	if err != nil {
		t.Fatal(err)
	}
	defer threads.Close()
	pids, err := threads.Children()
	hosttest.Need(t, "lists of children", err)
	if !slices.Contains(pids, a.leader.PID) || slices.Contains(pids, a.members["grandchild"].PID) {
		t.Errorf("children: %v", pids)
	}
	if _, ok := livingChild(a.members["grandchild"].PID); ok {
		t.Error("a child of a child is taken for a child")
	}
	if err := syscall.Kill(a.leader.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has ended", func() bool { return stat(t, a.leader.PID).Zombie() })
	if _, ok := livingChild(a.leader.PID); ok {
		t.Error("a zombie is taken for living")
	}
}
