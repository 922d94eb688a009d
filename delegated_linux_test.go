package foster_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/leaktest"
)

// TestADelegatedCgroupServesAnOrdinaryUser: an ordinary user whose processes are in
// a cgroup that was made his, as a systemd user session does, has the strongest
// containment that doesn't change what the program sees.
func TestADelegatedCgroupServesAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to delegate a cgroup", errors.New("not root"))
	}
	leaktest.Check(t)
	const nobody = 65534
	cg, err := contain.NewCgroup("delegated")
	leaktest.Need(t, "cgroups", err)
	defer func() {
		if err := cg.Remove(); err != nil {
			t.Error(err)
		}
	}()
	for _, file := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		if err := os.Chown(filepath.Join(cg.Path, file), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	plain := filepath.Join(filepath.Dir(copySetuid(t)), "plain")
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(plain, roleMark, "owner", "cgroup", "parent")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		UseCgroupFD: true, CgroupFD: int(cg.Dir.Fd()),
	}
	out := newLines(t)
	cmd.Stdout, cmd.Stderr = out.w, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.started()
	out.pid("parent")
	out.pid("shim")
	if held, err := filepath.Glob(filepath.Join(cg.Path, "foster-*")); err != nil || len(held) != 1 {
		t.Errorf("cgroups %v, %v; want one of the tree", held, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	out.next("owner ends:")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
