package contain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/procfs"
)

// freeze stops a process by the freezer of version 1, so that not even SIGKILL ends it
// until it is thawed, as it is when the test ends. Few hosts have that by now.
func freeze(t *testing.T, pid int) (thaw func()) {
	t.Helper()
	group := fmt.Sprintf("/sys/fs/cgroup/freezer/contain-test-%d", os.Getpid())
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("no freezer of version 1: %v", err)
	}
	set := func(state string) {
		if err := os.WriteFile(filepath.Join(group, "freezer.state"), []byte(state), 0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		set("THAWED")
		for deadline := time.Now().Add(10 * time.Second); ; {
			if err := os.Remove(group); err == nil || time.Now().After(deadline) {
				break // else it has its member for a moment yet
			}
			_ = awaitExitFor(pid, time.Second)
		}
	})
	join(t, group, pid)
	set("FROZEN")
	return func() { set("THAWED") }
}

func TestWaitingForAnEmptyCgroupKeepsItsTime(t *testing.T) {
	c, f := newCgroup(t), newFamily(t)
	join(t, c.Path, f.child.PID)
	if err := c.awaitEmpty(time.Now().Add(10 * time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with a living member: %v", err)
	}
	killed, left, err := c.End(10 * time.Second)
	if err != nil || len(left) > 0 || len(killed) != 1 || killed[0].PID != f.child.PID {
		t.Errorf("killed %v, left %v, %v; want process %d killed", killed, left, err, f.child.PID)
	}
}

func TestWhoDoesNotEndInACgroupIsNamed(t *testing.T) {
	c, f := newCgroup(t), newFamily(t)
	join(t, c.Path, f.child.PID)
	thaw := freeze(t, f.child.PID)
	killed, left, err := c.End(10 * time.Millisecond)
	if err != nil || len(left) != 1 || left[0].PID != f.child.PID || len(killed) > 0 {
		t.Errorf("killed %v, left %v, %v; want process %d", killed, left, err, f.child.PID)
	}
	thaw()
	if killed, left, err := c.End(10 * time.Second); err != nil || len(left)+len(killed) > 1 {
		t.Errorf("thawed: killed %v, left %v, %v", killed, left, err) // it may have ended before
	}
}

func TestWhoDoesNotEndInALostGroupIsNamed(t *testing.T) {
	a := startAppAs(t, &syscall.SysProcAttr{Setpgid: true}, 1, "sleep 100 & echo child $!; wait")
	child := a.members["child"]
	thaw := freeze(t, child.PID)
	killed, left, err := KillLostGroup(a.leader.PID, a.leader.Start, 10*time.Millisecond)
	isChild := func(s procfs.Stat) bool { return s.PID == child.PID || s.PID == a.leader.PID }
	if err != nil || len(left) == 0 || !isChild(left[0]) || slices.ContainsFunc(killed, func(s procfs.Stat) bool { return s.PID == child.PID }) {
		t.Errorf("killed %v, left %v, %v; want process %d left", killed, left, err, child.PID)
	}
	thaw()
	if _, left, err := KillLostGroup(a.leader.PID, a.leader.Start, 10*time.Second); err != nil || len(left) > 0 {
		t.Errorf("thawed: left %v, %v", left, err)
	}
}
