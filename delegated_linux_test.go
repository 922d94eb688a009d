package foster_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
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
	attr, path := delegated(t)
	cmd, out := ordinary(t, attr, foster.Cgroup, "parent")
	out.pid("parent")
	out.pid("shim")
	if held, err := filepath.Glob(filepath.Join(path, "foster-*")); err != nil || len(held) != 1 {
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

// delegated makes a cgroup that is an ordinary user's, and gives what a process is born
// in it by.
func delegated(t *testing.T) (attr *syscall.SysProcAttr, path string) {
	t.Helper()
	cg, err := contain.NewCgroup("delegated")
	leaktest.Need(t, "cgroups", err)
	t.Cleanup(func() {
		if err := cg.Remove(); err != nil {
			t.Error(err)
		}
	})
	for _, file := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		if err := os.Chown(filepath.Join(cg.Path, file), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cg.Dir.Fd())}, cg.Path
}

// TestACgroupEndsWhomItsUserMayNotSignal: a member that became root's is killed with its
// cgroup, which is the user's.
func TestACgroupEndsWhomItsUserMayNotSignal(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to delegate a cgroup and make a setuid file", errors.New("not root"))
	}
	for name, by := range map[string][]string{
		"the leader":                   nil,
		"a child, and the leader ends": {"/bin/sh", "-c", `"$0" "$@" & wait`},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, []foster.Containment{foster.Cgroup}, func(t *testing.T, c foster.Containment) {
				attr, _ := delegated(t)
				args := append(append([]string{"run"}, by...), copySetuid(t), roleMark, "becomes0")
				cmd, out := ordinary(t, attr, c, args...)
				root := out.pid("root")
				out.pid("shim")
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if killed := out.next("owner killed:"); !strings.Contains(killed, fmt.Sprintf("{%d ", root)) {
					t.Errorf("%s told as killed; want %d among them", killed, root)
				}
				if said := out.next("owner ends:"); strings.Contains(said, "another user") {
					t.Errorf("said %q; want no survivor", said)
				}
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
				out.rest() // nobody is left who could write
			})
		})
	}
}
