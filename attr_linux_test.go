package foster_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/hosttest"
)

// What of a SysProcAttr is passed on, is passed on as it is.
func TestFromPassesAttributesOn(t *testing.T) {
	hosttest.NeedRoot(t)
	host, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	in(t, all, func(t *testing.T, c foster.Containment) {
		run := func(limits []foster.Rlimit, attr *syscall.SysProcAttr, script string) (string, error) {
			old := exec.Command("/bin/sh", "-c", script)
			old.SysProcAttr = attr
			cmd := foster.From(t.Context(), old)
			cmd.Containment, cmd.Rlimits = c, limits
			out, err := cmd.CombinedOutput()
			return strings.TrimSpace(string(out)), err
		}
		nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
		for _, limits := range [][]foster.Rlimit{nil, {{Resource: 4, Soft: 0, Hard: 0}}} { // with a stage, too
			out, err := run(limits, &syscall.SysProcAttr{Chroot: "/usr", Credential: nobody}, "pwd; echo /bin/sh /us*; id -u")
			if err != nil || out != "/\n/bin/sh /us*\n65534" {
				t.Errorf("chroot: %q, %v", out, err)
			}
			out, err = run(limits, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS}, "readlink /proc/self/ns/uts")
			if err != nil || out == host || !strings.HasPrefix(out, "uts:") {
				t.Errorf("a namespace: %q, %v", out, err)
			}
			out, err = run(limits, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWUTS}, "readlink /proc/self/ns/uts")
			if err != nil || out == host || !strings.HasPrefix(out, "uts:") {
				t.Errorf("an unshared namespace: %q, %v", out, err)
			}
		}
		users := &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 7, HostID: 0, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 8, HostID: 0, Size: 1}},
		}
		out, err := run(nil, users, "id -u; id -g")
		if err != nil || out != "7\n8" {
			t.Errorf("mappings: %q, %v", out, err)
		}
		out, err = run(nil, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, "(sleep 1000 &); echo $$")
		if err != nil || out != "1" {
			t.Errorf("a PID namespace: %q, %v", out, err)
		}
		out, err = run(nil, &syscall.SysProcAttr{AmbientCaps: []uintptr{10}, Credential: nobody}, "grep -E 'CapAmb|CapEff' /proc/self/status; id -u")
		if want := "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n65534"; err != nil || out != want {
			t.Errorf("capabilities: %q, %v; want %q", out, err, want)
		}
		for name, attr := range map[string]*syscall.SysProcAttr{
			"AmbientCaps": {AmbientCaps: []uintptr{10}}, "a user namespace": users, "a PID namespace": {Unshareflags: syscall.CLONE_NEWPID},
		} {
			_, err = run([]foster.Rlimit{{Resource: 4}}, attr, "true")
			if start, ok := errors.AsType[*foster.StartError](err); !ok || start.Stage != foster.StageAttributes || !strings.Contains(err.Error(), name) {
				t.Errorf("%s and limits: %v", name, err)
			}
		}
		_, err = run(nil, &syscall.SysProcAttr{Chroot: "/no/such/root"}, "true")
		if start, ok := errors.AsType[*foster.StartError](err); !ok || start.Stage != foster.StageAttributes || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no such root: %v", err)
		}
	})
}

// What the system refuses is told of, and nothing is started.
func TestAttributesThatAreRefusedAreNamed(t *testing.T) {
	hosttest.NeedRoot(t)
	in(t, []foster.Containment{foster.Group, foster.Subreaper}, func(t *testing.T, c foster.Containment) {
		old := exec.Command("/bin/true")
		old.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: []uintptr{63}}
		cmd := foster.From(t.Context(), old)
		cmd.Containment = c
		_, err := cmd.Start()
		if start, ok := errors.AsType[*foster.StartError](err); !ok || start.Stage != foster.StageAttributes {
			t.Errorf("a capability that there is not: %v", err)
		}
	})
}

// systemFields are fields that only Linux has, and that aren't taken over.
var systemFields = map[string]func(*exec.Cmd){
	"SysProcAttr.UseCgroupFD":  func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true} },
	"SysProcAttr.PidFD":        func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{PidFD: new(int)} },
	"SysProcAttr.Cloneflags":   func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT} },
	"SysProcAttr.Unshareflags": func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_FILES} },
}
