package contain

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/sys"
)

func TestParseOwnV1(t *testing.T) {
	const hybrid = "9:name=systemd:/init\n4:memory:/a b:c\n1:cpu,cpuacct:/x\n2:pids:/../y\n0::/init\n"
	for _, tt := range []struct {
		name, want string
		ok         bool
	}{
		{"memory", "/a b:c", true}, {"cpu", "/x", true}, {"cpuacct", "/x", true},
		{"pids", "", false}, {"systemd", "", false}, {"name=systemd", "/init", true}, {"", "/init", true}, {"io", "", false},
	} {
		got, ok := parseOwnV1([]byte(hybrid), tt.name)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: %q, %t; want %q, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestParseMountV1(t *testing.T) {
	const both = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"34 31 0:31 /docker/x /sys/fs/cgroup/pids rw - cgroup pids rw,pids\n"
	for _, tt := range []struct {
		name, path, want string
		ok               bool
	}{
		{"cpu", "/a", "/sys/fs/cgroup/cpu,cpuacct/a", true},
		{"cpuacct", "/", "/sys/fs/cgroup/cpu,cpuacct", true},
		{"pids", "/docker/x/y", "/sys/fs/cgroup/pids/y", true},
		{"pids", "/", "", false},
		{"memory", "/", "", false},
	} {
		got, ok := parseMountV1([]byte(mountRoot+mountUnified+both), tt.name, tt.path)
		if ok != tt.ok || got != tt.want {
			t.Errorf("%s %s: %q, %t; want %q, %t", tt.name, tt.path, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseV1(f *testing.F) {
	f.Add([]byte("4:memory:/a\n33 31 0:30 / /m rw - cgroup cgroup rw,memory\noom_kill 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path, ok := parseOwnV1(b, "memory")
		if ok && (strings.Contains(path, "\n") || strings.HasPrefix(path, "/..")) {
			t.Errorf("got %q", path)
		}
		if dir, ok := parseMountV1(b, "memory", path); ok && dir != filepath.Clean(dir) {
			t.Errorf("got %q", dir)
		}
		if n := parseOOMKills(b); n < 0 {
			t.Errorf("%d kills", n)
		}
	})
}

func TestParseOOMKills(t *testing.T) {
	for text, want := range map[string]int{
		"low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n": 1,
		"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n":                7,
		"oom_kill -1\n": 0, "oom_kill x\n": 0, "": 0,
	} {
		if got := parseOOMKills([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// fakeV2 is a folder that looks like a cgroup that has controllers, with that of a tree.
func fakeV2(t *testing.T, enabled string) *Cgroup {
	t.Helper()
	home := t.TempDir()
	c := &Cgroup{Path: filepath.Join(home, "foster-x")}
	if err := os.Mkdir(c.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cgroup.controllers": "cpu memory pids\n", "cgroup.subtree_control": enabled, "cgroup.procs": "",
		"foster-x/memory.max": "max\n", "foster-x/cpu.max": "max 100000\n", "foster-x/pids.max": "max\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(b), "\n", " "))
}

// What is written is what the kernel of a unified host reads.
func TestLimitsOfVersion2AreThoseOfTheTreesOwnCgroup(t *testing.T) {
	c := fakeV2(t, "cpu memory pids\n")
	writes, failed := c.Limit(Limits{Memory: 4096, CPU: 0.25, PIDs: 7})
	if len(failed) > 0 || len(c.Groups) > 0 {
		t.Errorf("%v, groups %v", failed, c.Groups)
	}
	// The file is longer than what is written over it here, as no file of a cgroup is.
	if got := content(t, c.file("memory.max")); !strings.HasPrefix(got, "4096") {
		t.Errorf("memory.max %q", got)
	}
	// What the stage would feel by itself is written by it, the last: what it still does to
	// become the leader would else take it many periods of the CPU's quota.
	if want := fmt.Sprintf("[{%s 7} {%s 25000 100000}]", c.file("pids.max"), c.file("cpu.max")); fmt.Sprint(writes) != want {
		t.Errorf("the leader writes %v, want %s", writes, want)
	}
}

// Where the cgroup has processes, they make way first: with them in it, the kernel would
// give the controllers of threads, and take no tree in the cgroups below.
func TestControllersAreEnabledWhenNoProcessIsInTheWay(t *testing.T) {
	c := fakeV2(t, "")
	home := filepath.Dir(c.Path)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
	write("cgroup.type", "domain\n")
	write("cgroup.procs", fmt.Sprintln(os.Getpid()))
	var done []string
	sys.Fault = func(op string) error {
		if op == "write cgroup.procs" { // as the kernel moves it
			write(filepath.Join(ownLeaf, "cgroup.procs"), "")
			write("cgroup.procs", "")
		}
		if strings.HasPrefix(op, "write cgroup.") {
			done = append(done, op)
		}
		return nil
	}
	defer func() { sys.Fault = nil }()
	if _, failed := c.Limit(Limits{PIDs: 10}); len(failed) > 0 {
		t.Error(failed)
	}
	if got := content(t, filepath.Join(home, "cgroup.subtree_control")); got != "+pids" {
		t.Errorf("subtree_control %q", got)
	}
	if got := content(t, filepath.Join(home, ownLeaf, "cgroup.procs")); got != strconv.Itoa(os.Getpid()) {
		t.Errorf("aside is %q", got)
	}
	if want := "[write cgroup.procs write cgroup.subtree_control]"; fmt.Sprint(done) != want {
		t.Errorf("%v, want %s", done, want)
	}
	for who, want := range map[string]string{"0\n": "one outside of this PID namespace", "1\n": " (pid 1), so"} {
		c = fakeV2(t, "")
		home = filepath.Dir(c.Path)
		write("cgroup.type", "domain\n")
		write("cgroup.procs", who)
		if _, failed := c.Limit(Limits{PIDs: 10}); len(failed) != 1 || !strings.Contains(failed[0].Error(), want) {
			t.Errorf("%v, want %s", failed, want)
		}
		if got := content(t, filepath.Join(home, "cgroup.subtree_control")); got != "" {
			t.Errorf("with %q in the way, subtree_control is %q", who, got)
		}
	}
	for refusal, want := range map[error]string{
		syscall.EACCES: "run as root, or in a cgroup that was delegated",
		syscall.EROFS:  "mount it read-write",
		syscall.EINVAL: "is it more than the cgroup above has?",
	} {
		sys.Fault = func(op string) error {
			if op == "write memory.max" {
				return refusal
			}
			return nil
		}
		c = fakeV2(t, "memory")
		if _, failed := c.Limit(Limits{Memory: 4096}); len(failed) != 1 || !strings.Contains(failed[0].Error(), want) {
			t.Errorf("%v, want %s", failed, want)
		}
	}
}

func TestStepAsideMovesWhatIsOursAlone(t *testing.T) {
	c, err := NewCgroup(fmt.Sprintf("steps-%d", os.Getpid()))
	hosttest.Need(t, "a cgroup", err)
	defer func() {
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	}()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(c.Dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if err := stepAside(c.Path); err != nil {
		t.Fatal(err)
	}
	if left := c.procs(); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if moved := (&Cgroup{Path: filepath.Join(c.Path, ownLeaf)}).procs(); len(moved) != 1 || moved[0] != cmd.Process.Pid {
		t.Errorf("%v were moved, not %d", moved, cmd.Process.Pid)
	}
	if ours(1) {
		t.Error("process 1 is taken for one of ours")
	}
}

// Who stepped aside and is the last goes back, and leaves the cgroup as it was.
func TestWhoIsTheLastStepsBack(t *testing.T) {
	own, err := OwnCgroup()
	hosttest.Need(t, "a cgroup", err)
	c, err := NewCgroup(fmt.Sprintf("back-%d", os.Getpid()))
	hosttest.Need(t, "a cgroup", err)
	join := func(folder string) {
		t.Helper()
		if err := sys.WriteControl(filepath.Join(folder, enterFile), "0"); err != nil {
			t.Fatal(err)
		}
	}
	leaf := filepath.Join(c.Path, ownLeaf)
	defer func() {
		join(own)
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	}()
	join(c.Path)
	StepBack() // from where it is already
	if err := stepAside(c.Path); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(c.Path, "foster-tree")
	if err := sys.Mkdir(tree); err != nil {
		t.Fatal(err)
	}
	StepBack()
	if got, err := ownFolder(); got != leaf {
		t.Errorf("beside a tree, this process has gone to %s, %v", got, err)
	}
	if err := sys.Rmdir(tree); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000") // as the shim of a tree that is over, in the leaf
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_ = cmd.Process.Kill()
		ended <- cmd.Wait()
	}()
	StepBack()
	<-ended
	if got, err := ownFolder(); got != c.Path {
		t.Errorf("this process is in %s, %v; want %s", got, err, c.Path)
	}
	if _, err := os.Stat(leaf); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", leaf, err)
	}
}

// A program that has started itself once more, as for --detach, isn't in its own way.
func TestTheSameProgramAsParentIsOurs(t *testing.T) {
	const mark = "FOSTER_TEST_PARENT"
	if os.Getenv(mark) != "" {
		if !ours(os.Getppid()) {
			t.Error("the parent, the same program, is taken for another's")
		}
		return
	}
	if ours(os.Getppid()) {
		t.Error("the parent, another program, is taken for one of ours")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
