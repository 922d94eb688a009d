package foster_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are about an ordinary user's tree in which a program is setuid.

// copySetuid makes a copy of the test binary that belongs to root and is setuid.
func copySetuid(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "foster-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "setuid")
	if err := errors.Join(os.WriteFile(path, exe, 0o755), os.Chmod(path, 0o755|os.ModeSetuid), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

const nobody = 65534

// ordinary starts, as an ordinary user, a program that runs a role under foster.
func ordinary(t *testing.T, attr *syscall.SysProcAttr, c foster.Containment, args ...string) (cmd *exec.Cmd, out *lines) {
	t.Helper()
	exe, argv := stranger(t, append([]string{"owner", string(c)}, args...)...)
	cmd = exec.Command(exe, argv...)
	cmd.Env = append([]string{stopEnv + "=50ms"}, os.Environ()...) // of two, the last counts
	cmd.SysProcAttr = attr
	attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	out = newLines(t)
	cmd.Stdout, cmd.Stderr = out.w, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.started()
	return cmd, out
}

func TestSurvivorOfAnotherUserIsNamed(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to make a setuid file", errors.New("not root"))
	}
	// A cgroup ends such a process, too, and in a PID namespace there is none.
	in(t, all[:2], func(t *testing.T, c foster.Containment) {
		t.Run("the leader", func(t *testing.T) { survivorIsNamed(t, c) })
		t.Run("a child, and the leader ends", func(t *testing.T) {
			survivorIsNamed(t, c, "/bin/sh", "-c", `"$0" "$@" & wait`)
		})
	})
}

// survivorIsNamed runs a program that becomes root's, by another program if one is given.
func survivorIsNamed(t *testing.T, c foster.Containment, by ...string) {
	args := append(append([]string{"run"}, by...), copySetuid(t), roleMark, "becomes0")
	cmd, out := ordinary(t, &syscall.SysProcAttr{}, c, args...)
	root := out.pid("root")
	out.pid("shim")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if killed := out.next("owner killed:"); strings.Contains(killed, fmt.Sprintf("{%d ", root)) {
		t.Errorf("%s told as killed, though %d couldn't be", killed, root)
	}
	if out.next("owner counted:") != "true" {
		t.Error("what the leader used isn't told")
	}
	said := out.next("owner ends:")
	if !strings.Contains(said, fmt.Sprintf("(pid %d): it belongs to another user", root)) {
		t.Errorf("said %q; want the survivor's pid %d and why", said, root)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	// The shim goes on holding it, and ends with it.
	if err := syscall.Kill(root, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t)
}

// TestSetuidHasNoEffectInAPIDNamespace: there is no root in an ordinary user's, so nobody
// is in it whom that user may not signal.
func TestSetuidHasNoEffectInAPIDNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to make a setuid file", errors.New("not root"))
	}
	in(t, []foster.Containment{foster.PIDNS}, func(t *testing.T, c foster.Containment) {
		exe, argv := stranger(t, "owner", string(c), "exit", "0")
		probe := exec.Command(exe, argv...)
		probe.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if said, err := probe.CombinedOutput(); err != nil {
			leaktest.Need(t, "a PID namespace as an ordinary user", fmt.Errorf("%s%w", said, err))
		}
		t.Setenv(stopEnv, "1m") // a busy machine takes longer than what else is tried here
		cmd, out := ordinary(t, &syscall.SysProcAttr{}, c, "run", copySetuid(t), roleMark, "block")
		out.pid("block")
		leader := strings.Fields(out.next("shim "))[2]
		status, err := os.ReadFile("/proc/" + leader + "/status")
		if want := fmt.Sprintf("\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", nobody); err != nil || !strings.Contains(string(status), want) {
			t.Errorf("the setuid program's status is %s, %v; want %q", status, err, want)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if killed, said := out.next("owner killed:"), out.next("owner ends:"); killed != "[]" || said != "<nil>" {
			t.Errorf("killed %s, and the end is %q; want that SIGTERM has ended it", killed, said)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// What a setuid program is told by its environment comes from who has started it.
func TestASetuidProgramBelievesNoFolderOfItsEnvironment(t *testing.T) {
	leaktest.Check(t)
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to make a setuid file", errors.New("not root"))
	}
	program := copySetuid(t)
	if err := errors.Join(os.Chown(program, nobody, nobody), os.Chmod(program, 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	trap := filepath.Join(filepath.Dir(program), "trap")
	if err := errors.Join(os.Mkdir(trap, 0o700), os.Chmod(trap, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, roleMark, "folders")
	cmd.Env = append(os.Environ(), "HOME="+trap, "XDG_STATE_HOME="+trap+"/state", "XDG_RUNTIME_DIR="+trap+"/run")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64123, Gid: 64123}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "this program is setuid, so HOME is not used") {
		t.Errorf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(trap); err != nil || len(left) > 0 {
		t.Errorf("made %v, %v", left, err)
	}
}
