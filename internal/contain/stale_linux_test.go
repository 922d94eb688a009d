package contain_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestACgroupWithoutATreeIsRemovedOnceItIsOld(t *testing.T) {
	young, err := contain.NewCgroup("foster-young-test")
	leaktest.Need(t, "a cgroup", err)
	leaktest.Check(t)
	leaktest.ReapOrphans(t) // of the tests before: they fall to this process
	old, err := contain.NewCgroup("foster-old-test")
	if err != nil {
		t.Fatal(err)
	}
	held, err := contain.NewCgroup("foster-held-test")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(held.Dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-2 * time.Minute)
	for _, c := range []*contain.Cgroup{old, held} {
		if err := os.Chtimes(c.Path, before, before); err != nil {
			t.Fatal(err)
		}
	}
	contain.RemoveStale()
	for _, c := range []*contain.Cgroup{young, old, held} {
		_, err := os.Stat(c.Path)
		if gone := os.IsNotExist(err); gone != (c == old) {
			t.Errorf("%s: %v", c.Path, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for _, c := range []*contain.Cgroup{young, old, held} {
		if err := c.AwaitEmpty(); err != nil {
			t.Error(err)
		}
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// Where this program has made way for controllers, its trees are beside it, not below it.
func TestWhoStoodAsideFindsTheCgroupsOfItsTrees(t *testing.T) {
	const leaf = "self.foster"
	own, err := contain.OwnCgroup()
	leaktest.Need(t, "a cgroup", err)
	aside, err := contain.NewCgroup(leaf)
	leaktest.Need(t, "a cgroup", err)
	leaktest.Check(t)
	join := func(folder string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	join(aside.Path)
	defer func() {
		join(own)
		if err := aside.Remove(); err != nil {
			t.Error(err)
		}
	}()
	if got, err := contain.OwnCgroup(); got != own || err != nil {
		t.Errorf("aside of %s the cgroup is %s, %v", own, got, err)
	}
	old, err := contain.NewCgroup("foster-old-test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Remove() }() // it is gone by then
	before := time.Now().Add(-2 * time.Minute)
	if err := os.Chtimes(old.Path, before, before); err != nil {
		t.Fatal(err)
	}
	contain.RemoveStale()
	if _, err := os.Stat(old.Path); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", old.Path, err)
	}
}
