package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestStatusOfARun(t *testing.T) {
	code := func(n int) foster.Status { return foster.Status{Known: true, Code: n} }
	survivors := []foster.Survivor{{}}
	for _, c := range []struct {
		name string
		exit foster.Exit
		want int
	}{
		{"the command's", foster.Exit{Leader: code(3)}, 3},
		{"a signal's", foster.Exit{Leader: foster.Status{Known: true, Signal: syscall.SIGTERM}}, 143},
		{"lost, and that is a failure", foster.Exit{Leader: code(0), Cause: foster.CauseLeaderLostFail}, 1},
		{"lost, but with a status", foster.Exit{Leader: code(4), Cause: foster.CauseLeaderLostFail}, 4},
		{"lost, and the rest was stopped", foster.Exit{Leader: code(0), Cause: foster.CauseLeaderLost}, 0},
		{"nobody knows", foster.Exit{}, exitFoster},
		{"nobody knows, but it was let go", foster.Exit{Released: true}, 0},
		{"the shim was killed", foster.Exit{Leader: code(0), Cause: foster.CauseShimLost}, exitFoster},
		{"the lease is over", foster.Exit{Leader: code(3), Cause: foster.CauseExpired}, exitTimeout},
		{"the watchdog", foster.Exit{Leader: code(3), Cause: foster.CauseWatchdog}, exitTimeout},
		{"survivors", foster.Exit{Leader: code(0), Survivors: survivors}, exitSurvivors},
		{"survivors of a lease", foster.Exit{Survivors: survivors, Cause: foster.CauseExpired}, exitSurvivors},
		{"survivors without a shim", foster.Exit{Survivors: survivors, Cause: foster.CauseShimLost}, exitSurvivors},
	} {
		if got := endOfExit(c.exit).status(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// becomeRootRole is run from a setuid file by an ordinary user, who can't end it then.
func becomeRootRole() {
	if err := syscall.Setuid(0); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("root is %d\n", os.Getpid())
	forever()
}

// setuidRole is a copy of a role's program that belongs to root and is setuid.
func setuidRole(t *testing.T, role string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "foster-test-") // /tmp may be mounted nosuid
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	plain, err := exec.LookPath(role)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(plain)
	path := filepath.Join(dir, role)
	if err := errors.Join(err, os.WriteFile(path, program, 0o755), os.Chmod(path, 0o755|os.ModeSetuid), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSurvivorOfAnotherUserIsNamedAndHasAStatus(t *testing.T) {
	leaktest.Check(t)
	leaktest.Need(t, "root, to make a setuid file", needRoot())
	setuid := setuidRole(t, "become-root")
	const nobody = 65534
	own := filepath.Join(filepath.Dir(setuid), "own")
	if err := errors.Join(os.Mkdir(own, 0o700), os.Chown(own, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	p := prepare(t, "foster", "run", "--stop-timeout", "50ms", "--report", "json", "--", setuid)
	p.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+own, "XDG_RUNTIME_DIR="+own)
	p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	p.begins()
	root := p.out.pid(`^root is (\d+)$`)
	p.signal(syscall.SIGTERM)
	p.err.next(fmt.Sprintf(`"survivors":\[{"pid":%d,"name":"become-root"`, root))
	p.err.next(fmt.Sprintf(`^foster: couldn't be ended: become-root \(pid %d\): it belongs to another user$`, root))
	p.ends(exitSurvivors)
	kill(t, root) // the shim holds it until then
	leaktest.ReapOrphans(t)
}
