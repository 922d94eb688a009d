package contain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// lostCgroup makes a cgroup as a tree has it.
func lostCgroup(t *testing.T) (*Cgroup, Lost) {
	t.Helper()
	c, err := NewCgroup(fmt.Sprintf("foster-contain-test-%d", os.Getpid()))
	hosttest.Need(t, "cgroup", err)
	t.Cleanup(func() {
		if err := errors.Join(c.Kill(), c.AwaitEmpty(), c.Remove()); err != nil {
			t.Error(err)
		}
	})
	info, err := os.Stat(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	return c, Lost{Containment: wire.Cgroup, CgroupPath: c.Path, CgroupInode: sys.Inode(info)}
}

func TestALostCgroupIsEmptiedAndRemoved(t *testing.T) {
	bystander(t, nil)
	c, l := lostCgroup(t)
	nested := filepath.Join(c.Path, "nested")
	if err := os.Mkdir(nested, 0o755); err != nil {
		t.Fatal(err)
	}
	a := startApp(t, 4, daemons)
	m := a.members
	join(t, c.Path, m["daemon"].PID)
	join(t, nested, m["other"].PID)
	a.endLeader()
	l.Members = recorded(m["stayed"]) // it left the cgroup
	mustFind(t, l, m["daemon"], m["grandchild"], m["other"], m["stayed"])
	mustEnd(t, l, term, m["daemon"], m["grandchild"], m["other"], m["stayed"])
	if _, err := os.Stat(c.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder: %v", err)
	}
	mustEnd(t, l, term) // and once more
}

// A shim of many trees lives on where the start of one never came to it.
func TestALostCgroupIsEmptiedBesideALivingShim(t *testing.T) {
	c, l := lostCgroup(t)
	l.Shim = recorded(bystander(t, nil))[0]
	a := startApp(t, 1, "sleep 100 & echo child $!; wait")
	join(t, c.Path, a.members["child"].PID)
	mustFind(t, l, a.members["child"])
	mustEnd(t, l, term, a.members["child"])
}

// On a host where processes end all the time, no look at all of them is ever complete.
func TestALostCgroupIsFoundWithAFewLooksOnABusyHost(t *testing.T) {
	c, l := lostCgroup(t)
	a := startApp(t, 1, "sleep 100 & echo child $!; wait")
	join(t, c.Path, a.leader.PID)
	join(t, c.Path, a.members["child"].PID)
	r, err := newRemains(l)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	// One after the other ends, and is seen as a zombie until it's waited for.
	const count, first, pause = 300, time.Second, 2 * time.Millisecond
	var churn []*exec.Cmd
	for start, n := time.Now(), 0; n < count; n++ {
		left := max(0, first+time.Duration(n)*pause-time.Since(start))
		cmd := exec.Command("sleep", fmt.Sprint(left.Seconds()))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		churn = append(churn, cmd)
	}
	_ = churn[0].Wait()
	err = r.scan(nil)
	for _, cmd := range churn[1:] {
		if werr := cmd.Wait(); werr != nil {
			t.Error(werr)
		}
	}
	if err != nil || len(r.living()) != 2 || r.looks > 4 {
		t.Errorf("%d looks, %+v, %v", r.looks, r.living(), err)
	}
}

func TestStubbornMembersOfALostCgroupAreKilled(t *testing.T) {
	c, l := lostCgroup(t)
	a := startApp(t, 1, "trap '' TERM; sleep 100 & echo child $!; while :; do wait; done")
	join(t, c.Path, a.leader.PID)
	join(t, c.Path, a.members["child"].PID)
	mustEnd(t, l, impatient, a.leader, a.members["child"])
}

func TestOfALostCgroupThatIsGoneOnlyTheRecordedAreEnded(t *testing.T) {
	c, l := lostCgroup(t)
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	bystander(t, nil)
	a := startApp(t, 1, "sleep 100 & echo child $!; wait")
	l.Members = recorded(a.leader)
	mustEnd(t, l, term, a.leader, a.members["child"])
}

func TestACgroupThatIsNotTheTreesIsNotTouched(t *testing.T) {
	c, l := lostCgroup(t)
	b := bystander(t, nil)
	join(t, c.Path, b.PID)
	t.Cleanup(func() { join(t, filepath.Dir(c.Path), b.PID) })

	other := l
	other.CgroupInode++
	mustEnd(t, other, impatient) // the tree's own was removed
	plain := filepath.Join(t.TempDir(), "foster-x")
	if err := os.Mkdir(plain, 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(plain)
	if err != nil {
		t.Fatal(err)
	}
	above, err := os.Stat(filepath.Dir(c.Path))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []Lost{
		{CgroupPath: c.Path},
		{CgroupPath: "", CgroupInode: l.CgroupInode},
		{CgroupPath: filepath.Base(c.Path), CgroupInode: l.CgroupInode},
		{CgroupPath: c.Path + "/", CgroupInode: l.CgroupInode},
		{CgroupPath: c.Path + "/..", CgroupInode: sys.Inode(above)},
		{CgroupPath: filepath.Dir(c.Path), CgroupInode: sys.Inode(above)},
		{CgroupPath: plain, CgroupInode: sys.Inode(info)},
	} {
		l.Containment = wire.Cgroup
		if _, _, _, err := l.End(context.Background(), impatient); !errors.Is(err, ErrNotATree) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	mustBePopulated(t, c, true)
}

func TestACgroupWithThisProcessInItIsNotTouched(t *testing.T) {
	c, l := lostCgroup(t)
	b := bystander(t, nil)
	join(t, c.Path, b.PID)
	join(t, c.Path, os.Getpid())
	t.Cleanup(func() {
		join(t, filepath.Dir(c.Path), os.Getpid())
		join(t, filepath.Dir(c.Path), b.PID)
	})
	if _, _, err := l.Find(); !errors.Is(err, ErrInside) {
		t.Errorf("find: %v", err)
	}
	if _, _, _, err := l.End(context.Background(), impatient); !errors.Is(err, ErrInside) {
		t.Errorf("end: %v", err)
	}
}

// TestTheSessionOfWhoWasMovedIntoTheCgroupIsNotTheTrees: a process of a
// stranger's session may be moved into the cgroup. It is ended with the tree, and nobody
// beside it.
func TestTheSessionOfWhoWasMovedIntoTheCgroupIsNotTheTrees(t *testing.T) {
	c, l := lostCgroup(t)
	a := startApp(t, 1, "sleep 100 & echo child $!; wait")
	other := startApp(t, 2, "sleep 100 & echo moved $!; sleep 100 & echo beside $!; wait")
	join(t, c.Path, a.members["child"].PID)
	join(t, c.Path, other.members["moved"].PID)
	a.endLeader()
	l.Members = seen(a.leader, a.members["child"], other.members["moved"])
	mustFind(t, l, a.members["child"], other.members["moved"])
	mustEnd(t, l, term, a.members["child"], other.members["moved"])
	if _, unproven, err := l.Find(); err != nil || len(unproven) > 0 {
		t.Errorf("named: %+v, %v", unproven, err)
	}
	if !alive(other.leader) || !alive(other.members["beside"]) {
		t.Error("strangers were met")
	}
}
