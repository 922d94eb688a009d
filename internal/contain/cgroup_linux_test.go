package contain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/sys"
)

func TestParseOwn(t *testing.T) {
	for _, tt := range []struct {
		name, content, want string
		ok                  bool
	}{
		{"unified", "0::/user.slice/user-1000.slice/session-2.scope\n", "/user.slice/user-1000.slice/session-2.scope", true},
		{"hybrid", "9:name=systemd:/init\n4:memory:/a\n1:cpu,cpuacct:/\n0::/init\n", "/init", true},
		{"in a namespace of its own", "0::/\n", "/", true},
		{"without an end of line", "0::/a", "/a", true},
		{"with blanks and colons", "0::/a b:c\n", "/a b:c", true},
		{"a name that begins with dots", "0::/a/..b\n", "/a/..b", true},
		{"version 1 alone", "9:name=systemd:/init\n4:memory:/a\n", "", false},
		{"a version 1 hierarchy 10", "10::/a\n", "", false},
		{"outside of the namespace", "0::/../x\n", "", false},
		{"at its root's parent", "0::/..\n", "", false},
		{"removed", "0::/a (deleted)\n", "", false},
		{"nothing", "", "", false},
	} {
		got, ok := parseOwn([]byte(tt.content))
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s: got %q, %t; want %q, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseOwn(f *testing.F) {
	f.Add([]byte("9:name=systemd:/\n0::/a b\n"))
	f.Add([]byte("0::/../x\n"))
	f.Add([]byte("0::/a (deleted)"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path, ok := parseOwn(b)
		if !ok {
			return
		}
		if strings.Contains(path, "\n") || strings.HasPrefix(path, "/..") || strings.HasSuffix(path, " (deleted)") {
			t.Errorf("got %q", path)
		}
		if again, ok := parseOwn([]byte("0::" + path + "\n")); !ok || again != path {
			t.Errorf("%q became %q, %t", path, again, ok)
		}
	})
}

// Lines of /proc/self/mountinfo.
const (
	mountRoot    = "23 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
	mountV1      = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	mountUnified = "38 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	mountV2      = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountDocker  = "701 700 0:26 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
	mountOther   = "702 700 0:26 /docker/abc/below /mnt/below rw - cgroup2 cgroup rw\n"
	mountBlanks  = "39 31 0:38 /a\\040b /mnt/c\\040d\\011e\\134040 rw - cgroup2 cgroup2 rw\n"
)

func TestParseCgroupMount(t *testing.T) {
	for _, tt := range []struct {
		name, content, path, want string
		ok                        bool
	}{
		{"unified", mountRoot + mountV2, "/user.slice/a.scope", "/sys/fs/cgroup/user.slice/a.scope", true},
		{"unified, at the root", mountRoot + mountV2, "/", "/sys/fs/cgroup", true},
		{"hybrid", mountRoot + mountV1 + mountUnified, "/init", "/sys/fs/cgroup/unified/init", true},
		{"hybrid, at the root", mountRoot + mountV1 + mountUnified, "/", "/sys/fs/cgroup/unified", true},
		{"with a prefix, at its root", mountDocker, "/docker/abc", "/sys/fs/cgroup", true},
		{"with a prefix, below it", mountDocker, "/docker/abc/x/y", "/sys/fs/cgroup/x/y", true},
		{"with a prefix, elsewhere", mountDocker, "/docker/abcd", "", false},
		{"with a prefix, above it", mountDocker, "/docker", "", false},
		{"with a prefix, at the root", mountDocker, "/", "", false},
		{"a name that begins with dots", mountDocker, "/docker/abc/..x", "/sys/fs/cgroup/..x", true},
		{"the first that shows it", mountOther + mountDocker, "/docker/abc/x", "/sys/fs/cgroup/x", true},
		{"one of two that show it", mountOther + mountDocker, "/docker/abc/below/x", "/mnt/below/x", true},
		{"escaped blanks", mountBlanks, "/a b/x y", "/mnt/c d\te\\040/x y", true},
		{"from outside of the namespace", "41 31 0:38 /.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/", "", false},
		{"a blank that isn't escaped", "38 31 0:38 /a\u00a0b /mnt rw - cgroup2 cgroup2 rw\n", "/a\u00a0b", "/mnt", true},
		{"no cgroup2", mountRoot + mountV1, "/", "", false},
		{"cgroup2 by its name only", "1 2 0:3 / /cgroup2 rw - tmpfs cgroup2 rw\n", "/", "", false},
		{"a line that is cut off", "38 31 0:38 / - cgroup2 cgroup2 rw\n", "/", "", false},
		{"a line without its middle", "38 31 0:38 / /sys/fs/cgroup rw cgroup2 cgroup2 rw\n", "/", "", false},
		{"nothing", "", "/", "", false},
		{"a path that is none", mountV2, "", "", false},
	} {
		got, ok := parseCgroupMount([]byte(tt.content), tt.path)
		if ok != tt.ok || got != tt.want {
			t.Errorf("%s: got %q, %t; want %q, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseCgroupMount(f *testing.F) {
	for _, line := range []string{mountRoot, mountV1, mountUnified, mountV2, mountDocker, mountBlanks} {
		f.Add([]byte(line), "/docker/abc/x")
	}
	f.Fuzz(func(t *testing.T, b []byte, path string) {
		dir, ok := parseCgroupMount(b, path)
		if !ok {
			return
		}
		if dir != filepath.Clean(dir) || !strings.Contains(string(b), " - cgroup2 ") {
			t.Errorf("got %q", dir)
		}
	})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // polls
	}
}

// newCgroup makes a cgroup, which is emptied and removed when the test ends. Its
// name is none that leaktest looks for: tests of other packages run meanwhile.
func newCgroup(t *testing.T) *Cgroup {
	t.Helper()
	c, err := NewCgroup(fmt.Sprintf("contain-test-%d", os.Getpid()))
	hosttest.Need(t, "cgroup", err)
	t.Cleanup(func() {
		if err := errors.Join(c.Kill(), c.AwaitEmpty(), c.Remove()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func mustBePopulated(t *testing.T, c *Cgroup, want bool) {
	t.Helper()
	if got, err := c.Populated(); err != nil || got != want {
		t.Errorf("populated is %t, %v", got, err)
	}
}

// join moves a process into a cgroup.
func join(t *testing.T, path string, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), fmt.Append(nil, pid), 0); err != nil {
		t.Fatal(err)
	}
}

func TestCgroupHoldsKillsAndIsRemoved(t *testing.T) {
	c := newCgroup(t)
	mustBePopulated(t, c, false)
	if err := c.AwaitEmpty(); err != nil {
		t.Errorf("of an empty one: %v", err)
	}

	inside, outside := newFamily(t), newFamily(t)
	nested := filepath.Join(c.Path, "nested", "deep")
	if err := os.MkdirAll(nested, 0o755); err != nil {
		t.Fatal(err)
	}
	join(t, c.Path, inside.child.PID)
	join(t, c.Path, inside.middle.PID)
	join(t, nested, inside.grandchild.PID)
	mustBePopulated(t, c, true)
	if err := c.Remove(); err == nil {
		t.Error("a cgroup was removed with its members in it")
	}
	same(t, "members of the cgroup itself", slices.Sorted(slices.Values(c.procs())), inside.child, inside.middle)

	empty := make(chan error, 1)
	go func() { empty <- c.AwaitEmpty() }()
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-empty; err != nil {
		t.Error(err)
	}
	mustBePopulated(t, c, false)
	for _, s := range inside.below() {
		if alive(s) {
			t.Errorf("alive in an empty cgroup: %+v", s)
		}
	}
	for _, s := range append(outside.below(), outside.self) {
		if !alive(s) {
			t.Errorf("a stranger was met: %+v", s)
		}
	}

	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder: %v", err)
	}
	// The owner's side and the shim may both do it, in either order.
	mustBePopulated(t, c, false)
	if err := errors.Join(c.Kill(), c.AwaitEmpty(), c.Remove()); err != nil {
		t.Errorf("of a removed one: %v", err)
	}
}

func TestCgroupIsPopulatedByWhatIsNestedAlone(t *testing.T) {
	c, f := newCgroup(t), newFamily(t)
	nested := filepath.Join(c.Path, "nested")
	if err := os.Mkdir(nested, 0o755); err != nil {
		t.Fatal(err)
	}
	join(t, nested, f.child.PID)
	mustBePopulated(t, c, true)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitEmpty(); err != nil || alive(f.child) {
		t.Errorf("empty, %v, with %+v", err, f.child)
	}
}

// What is born into a cgroup ends with it, also what is being forked.
func TestCgroupKillEndsWhatForksMeanwhile(t *testing.T) {
	c := newCgroup(t)
	cmd := exec.Command("sh", "-c", "echo begun; i=0; while [ $i -lt 50000 ]; do (:) & i=$((i+1)); done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(c.Dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // by the signal
		eventually(t, "what has fallen to the test is reaped", func() bool {
			for {
				if w, err := sys.WaitAny(); err != nil || w.PID == 0 {
					return errors.Is(err, syscall.ECHILD)
				}
			}
		})
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	mustBePopulated(t, c, true)
	if err := errors.Join(c.Kill(), c.AwaitEmpty()); err != nil {
		t.Error(err)
	}
	mustBePopulated(t, c, false)
}

func TestNewCgroupRefusesANameThatIsTaken(t *testing.T) {
	c := newCgroup(t)
	if _, err := NewCgroup(filepath.Base(c.Path)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want ErrExist", err)
	}
	if _, err := os.Stat(c.Path); err != nil {
		t.Errorf("the first one: %v", err)
	}
}
