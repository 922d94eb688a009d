package main

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/leaktest"
)

// A command that acts on its arguments with somebody else's privilege is a way in: it could
// run any program, read any file and signal any process.
func TestACommandWithBorrowedPrivilegeDoesNothing(t *testing.T) {
	leaktest.Check(t)
	leaktest.Need(t, "root, to make a setuid file", needRoot())
	const other, nobody = 64123, 65534
	setuid := setuidRole(t, "foster")
	dir := filepath.Dir(setuid)
	program, err := os.ReadFile(setuid)
	if err != nil {
		t.Fatal(err)
	}
	copied := func(name string, mode os.FileMode, uid, gid int) string {
		path := filepath.Join(dir, name, "foster") // by its name it is a command
		if name == "tini" {
			path = filepath.Join(dir, name, name)
		}
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, program, 0o755), os.Chown(path, uid, gid), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := copied("plain", 0o755, 0, 0)
	capable := copied("capable", 0o755, 0, 0)
	if err := unix.Setxattr(capable, "security.capability", fileCapability(unix.CAP_NET_BIND_SERVICE), 0); err != nil {
		t.Fatal(err)
	}
	as := func(uid int, ambient ...uintptr) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}, AmbientCaps: ambient}
	}
	run := func(attr *syscall.SysProcAttr, argv ...string) (status int, out string) {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.SysProcAttr, cmd.Dir = attr, "/"
		b, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode(), string(b)
		} else if err != nil {
			t.Fatal(err)
		}
		return 0, string(b)
	}
	for name, path := range map[string]string{
		"setuid root": setuid, "setuid, of another user": copied("other", 0o755|os.ModeSetuid, other, other),
		"setgid": copied("group", 0o755|os.ModeSetgid, 0, 0), "file capabilities": capable,
		"setuid, called tini": copied("tini", 0o755|os.ModeSetuid, 0, 0),
	} {
		for _, args := range []string{"init -- echo started", "run -- echo started", "validate -f /etc/shadow", "ps", "version"} {
			status, out := run(as(nobody), append([]string{path}, strings.Fields(args)...)...)
			want := 125
			if filepath.Base(path) == "tini" {
				want = 1
			}
			if first, hint, _ := strings.Cut(out, "\n"); status != want || strings.Count(out, "\n") != 2 ||
				!strings.Contains(first, "is setuid, setgid or has file capabilities") || !strings.HasPrefix(hint, "hint: ") {
				t.Errorf("%s: foster %s: status %d, want %d, and an error with a hint:\n%s", name, args, status, want, out)
			}
		}
	}
	// Who has the privilege by itself isn't refused.
	for name, c := range map[string]struct {
		attr *syscall.SysProcAttr
		argv []string
	}{
		"root, of a setuid file":             {nil, []string{setuid, "version"}},
		"ambient capabilities":               {as(nobody, unix.CAP_NET_BIND_SERVICE), []string{plain, "version"}},
		"setuid, where that has no effect":   {as(nobody), []string{"setpriv", "--no-new-privs", setuid, "version"}},
		"root, with file capabilities":       {nil, []string{capable, "version"}},
		"another user, called as by sudo(8)": {as(other), []string{plain, "version"}},
	} {
		if status, out := run(c.attr, c.argv...); status != 0 || !strings.HasPrefix(out, "foster ") {
			t.Errorf("%s: status %d: %s", name, status, out)
		}
	}
}

// fileCapability is what setcap(8) writes for one capability of those below 32, as NAME+ep.
func fileCapability(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x02000001) // version 2; effective
	b = binary.LittleEndian.AppendUint32(b, 1<<n)          // permitted
	return append(b, make([]byte, 12)...)
}
