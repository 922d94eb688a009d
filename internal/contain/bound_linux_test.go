package contain

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

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
	thaw := hosttest.Freeze(t, f.child.PID)
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
	thaw := hosttest.Freeze(t, child.PID)
	members, err := GroupNow(a.leader.PID, a.leader.Start)
	if err != nil {
		t.Fatal(err)
	}
	l := Lost{Containment: wire.Group, Members: members}
	came, err := l.Empty(context.Background(), wire.Plan{GiveUp: 10 * time.Millisecond})
	killed, left := came.Killed, came.Left
	isChild := func(s procfs.Stat) bool { return s.PID == child.PID || s.PID == a.leader.PID }
	if err != nil || len(left) == 0 || !isChild(left[0]) || slices.ContainsFunc(killed, func(s procfs.Stat) bool { return s.PID == child.PID }) {
		t.Errorf("killed %v, left %v, %v; want process %d left", killed, left, err, child.PID)
	}
	thaw()
	if came, err := l.Empty(context.Background(), wire.Plan{GiveUp: 10 * time.Second}); err != nil || len(came.Left) > 0 {
		t.Errorf("thawed: left %v, %v", came.Left, err)
	}
}
