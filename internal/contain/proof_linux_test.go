package contain

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"golang.org/x/sys/unix"
)

// TestMain makes the test binary a subreaper, in a cgroup of its own where it can be had:
// an orphan of a test falls to it, and is reaped by the test, and nobody else's trees are
// beside its own. (internal/leaktest, which does so elsewhere, imports this package.)
func TestMain(m *testing.M) {
	if os.Getenv(bystanderEnv) != "" {
		bystand()
		return
	}
	if err := sys.BecomeSubreaper(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	c, err := NewCgroup(fmt.Sprintf("contain-test-%d", os.Getpid()))
	if err != nil {
		os.Exit(m.Run()) // there can be none
	}
	join := func(folder string) error { return sys.WriteControl(filepath.Join(folder, enterFile), "0") }
	err = join(c.Path)
	code := m.Run()
	if err := errors.Join(err, join(filepath.Dir(c.Path)), c.Remove()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// family is a shell, which is a child of the test, with what descends from it:
//
//	self ─┬─ child
//	      └─ middle ─── grandchild
//
// A proof from self, which is not the test, takes all else for strangers.
type family struct {
	self, child, middle, grandchild procfs.Stat
}

const familyScript = `
sleep 100 & echo child $!
sh -c 'sleep 100 & echo grandchild $!; wait' & echo middle $!
wait`

// newFamily starts a family, and ends and reaps it when the test ends. Each is
// held by a handle from the start, so that no other is met by the end.
func newFamily(t *testing.T) family {
	t.Helper()
	cmd := exec.Command("sh", "-c", familyScript)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // by the signal
	})
	var f family
	f.self = stat(t, cmd.Process.Pid)
	members := map[string]*procfs.Stat{"child": &f.child, "middle": &f.middle, "grandchild": &f.grandchild}
	lines := bufio.NewScanner(out)
	for range members {
		if !lines.Scan() {
			t.Fatalf("the family isn't there: %v", lines.Err())
		}
		var name string
		var pid int
		if _, err := fmt.Sscan(lines.Text(), &name, &pid); err != nil {
			t.Fatal(err)
		}
		endAtCleanup(t, pid)
		*members[name] = stat(t, pid)
	}
	if f.child.PPID != f.self.PID || f.middle.PPID != f.self.PID || f.grandchild.PPID != f.middle.PID {
		t.Fatalf("not a family: %+v", f)
	}
	return f
}

// endAtCleanup ends a process when the test ends, and waits until it was reaped: by
// its parent, or by the test if it has fallen to it.
func endAtCleanup(t *testing.T, pid int) {
	t.Helper()
	fd, err := sys.PidfdOpen(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer unix.Close(fd)
		_ = sys.PidfdSignal(fd, syscall.SIGKILL) // it may have ended
		eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // not a child: its parent does it
			return !answers(fd)
		})
	})
}

func stat(t *testing.T, pid int) procfs.Stat {
	t.Helper()
	s, err := procfs.Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f family) below() []procfs.Stat {
	return []procfs.Stat{f.child, f.middle, f.grandchild}
}

// forge has a process say that it's another's child.
func forge(s procfs.Stat, parent int) procfs.Stat {
	s.PPID = parent
	return s
}

// proven gives the pids that prove finds, in order.
func proven(t *testing.T, self int, snapshot []procfs.Stat) []int {
	t.Helper()
	found, full := prove(self, snapshot)
	defer release(found)
	if !full {
		t.Error("handles ran out")
	}
	return pidsOf(stats(found))
}

func stats(found []held) (list []procfs.Stat) {
	for _, h := range found {
		list = append(list, h.stat)
	}
	return list
}

func pidsOf(list []procfs.Stat) (pids []int) {
	for _, s := range list {
		pids = append(pids, s.PID)
	}
	slices.Sort(pids)
	return pids
}

func same(t *testing.T, what string, got []int, want ...procfs.Stat) {
	t.Helper()
	if w := pidsOf(want); !slices.Equal(got, w) {
		t.Errorf("%s: got %v, want %v", what, got, w)
	}
}

func TestProveFindsChildrenAndGrandchildrenOnly(t *testing.T) {
	f, stranger := newFamily(t), newFamily(t)
	snapshot, err := procfs.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "from the shell", proven(t, f.self.PID, snapshot), f.below()...)
	same(t, "from the middle", proven(t, f.middle.PID, snapshot), f.grandchild)
	same(t, "from who has none", proven(t, f.child.PID, snapshot))
	same(t, "from the test", proven(t, os.Getpid(), snapshot),
		append(append(f.below(), stranger.below()...), f.self, stranger.self)...)
}

// TestProveNeverProvesAStranger forges what a snapshot may say once a number in it
// was given to another process.
func TestProveNeverProvesAStranger(t *testing.T) {
	f, other := newFamily(t), newFamily(t)
	strangers := append(other.below(), other.self)
	for _, pid := range []int{1, os.Getppid(), os.Getpid()} {
		if s, err := procfs.Read(pid); err == nil { // /proc may hide those of others
			strangers = append(strangers, s)
		}
	}
	for _, s := range strangers {
		for _, parent := range []procfs.Stat{f.self, f.child, f.middle, f.grandchild} {
			what := fmt.Sprintf("%d (%s) as a child of %d (%s)", s.PID, s.Comm, parent.PID, parent.Comm)
			forged := forge(s, parent.PID)
			same(t, what, proven(t, f.self.PID, append(f.below(), forged)), f.below()...)
			same(t, what+", read first", proven(t, f.self.PID, append([]procfs.Stat{forged}, f.below()...)), f.below()...)
			same(t, what+", alone", proven(t, f.self.PID, []procfs.Stat{forged}))
		}
	}
}

func TestProveNeverProvesWhoDescendsFromAStranger(t *testing.T) {
	f, other := newFamily(t), newFamily(t)
	for _, parent := range []procfs.Stat{f.self, f.child, f.grandchild} {
		// Only the line of who stands on top is wrong.
		snapshot := append(append(f.below(), forge(other.self, parent.PID)), other.below()...)
		same(t, "a family under "+parent.Comm, proven(t, f.self.PID, snapshot), f.below()...)
	}
}

func TestProveRefusesNumbersThatAreNoProcess(t *testing.T) {
	f := newFamily(t)
	for _, pid := range []int{0, -1, -f.child.PID, -f.self.PGID} {
		same(t, fmt.Sprint(pid), proven(t, f.self.PID, []procfs.Stat{forge(procfs.Stat{PID: pid, State: 'S', Threads: 1}, f.self.PID)}))
	}
}

func TestProveRefusesAnotherStartTime(t *testing.T) {
	f := newFamily(t)
	for _, off := range []uint64{1, ^uint64(0)} {
		child, middle := f.child, f.middle
		child.Start += off
		same(t, "a child that isn't the one that was seen",
			proven(t, f.self.PID, []procfs.Stat{child, f.middle, f.grandchild}), f.middle, f.grandchild)
		middle.Start += off
		same(t, "what is below a parent that isn't the one that was seen",
			proven(t, f.self.PID, []procfs.Stat{f.child, middle, f.grandchild}), f.child)
	}
}

func TestProveLeavesOutWhoseParentIsGone(t *testing.T) {
	f := newFamily(t)
	snapshot := f.below()
	if err := sys.Kill(f.middle.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The shell reaps it; what was below it has fallen to the test.
	eventually(t, "the middle was reaped", func() bool { return reaped(f.middle) })
	same(t, "by what was seen before", proven(t, f.self.PID, snapshot), f.child)
	if s := stat(t, f.grandchild.PID); s.PPID != os.Getpid() || !alive(f.grandchild) {
		t.Errorf("the grandchild is %+v", s)
	}
	same(t, "by who has it now", proven(t, os.Getpid(), []procfs.Stat{forge(f.grandchild, os.Getpid())}), f.grandchild)
}

// alive says that a process is there, and no other under its number.
func alive(s procfs.Stat) bool {
	now, err := procfs.Read(s.PID)
	return err == nil && now.Start == s.Start && !procfs.Dying(now)
}

// reaped says that a process is there no more, not as a zombie either.
func reaped(s procfs.Stat) bool {
	now, err := procfs.Read(s.PID)
	return err != nil || now.Start != s.Start
}

func TestAZombieIsNotProven(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	eventually(t, "the child is a zombie", func() bool { return stat(t, cmd.Process.Pid).Zombie() })
	same(t, "a zombie", proven(t, os.Getpid(), []procfs.Stat{stat(t, cmd.Process.Pid)}))
	if h, ok := child(os.Getpid(), cmd.Process.Pid); ok {
		t.Errorf("a zombie is taken for a living child: %+v", h)
	}
}

func TestChildProvesLivingChildrenOnly(t *testing.T) {
	f, other := newFamily(t), newFamily(t)
	for _, s := range []procfs.Stat{f.child, f.middle, f.grandchild, f.self, other.child, stat(t, os.Getpid())} {
		h, ok := child(f.self.PID, s.PID)
		if want := s.PPID == f.self.PID; ok != want || h.stat.PID != s.PID {
			t.Errorf("%d (%s), a child of %d: %t, %+v", s.PID, s.Comm, s.PPID, ok, h)
		}
		if ok {
			release([]held{h})
		}
	}
	for _, pid := range []int{0, -1} {
		if h, ok := child(f.self.PID, pid); ok || h.stat.PID != 0 {
			t.Errorf("%d is %+v", pid, h)
		}
	}
}

func TestSignalReachesWhomItProvedAndNobodyElse(t *testing.T) {
	f, stranger := newFamily(t), newFamily(t)
	found, full, err := descendants(f.self.PID)
	defer release(found)
	if err != nil || !full {
		t.Fatal(full, err)
	}
	sent := signal(found, syscall.SIGKILL, nil)
	same(t, "reached", pidsOf(sent.Reached), f.below()...)
	same(t, "denied", pidsOf(sent.Denied))
	for _, s := range f.below() {
		eventually(t, "all have ended", func() bool { return !alive(s) })
	}
	for _, s := range append(stranger.below(), stranger.self) {
		if !alive(s) {
			t.Errorf("a stranger was met: %+v", s)
		}
	}
}

func TestSignalReachesOnlyWhoIsPicked(t *testing.T) {
	f := newFamily(t)
	found, _ := prove(f.self.PID, f.below())
	defer release(found)
	sent := signal(found, syscall.SIGKILL, func(s procfs.Stat) bool { return s.PID == f.grandchild.PID })
	same(t, "reached", pidsOf(sent.Reached), f.grandchild)
	eventually(t, "the grandchild has ended", func() bool { return !alive(f.grandchild) })
	if !alive(f.child) {
		t.Error("the child was met, too")
	}
}

func TestAHandleAnswersUntilItsProcessIsReaped(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // and was reaped
	})
	pid := cmd.Process.Pid
	fd, err := sys.PidfdOpen(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if !answers(fd) {
		t.Error("it is silent while its process is alive")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is a zombie", func() bool { return stat(t, pid).State == 'Z' })
	if !answers(fd) {
		t.Error("it is silent while its process is a zombie, whose number nobody else can have")
	}
	_ = cmd.Wait() // by the signal
	if answers(fd) {
		t.Error("it answers for who was reaped")
	}
}

// A handle means the process that it was opened on, whoever has its number.
func TestSignalMeetsNobodyForWhoWasReaped(t *testing.T) {
	f := newFamily(t)
	found, _ := prove(f.self.PID, []procfs.Stat{f.child})
	defer release(found)
	if len(found) != 1 {
		t.Fatalf("found %v", stats(found))
	}
	if err := sys.Kill(f.child.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child was reaped", func() bool { return reaped(f.child) })
	if sent := signal(found, syscall.SIGKILL, nil); len(sent.Reached)+len(sent.Denied) > 0 {
		t.Errorf("sent to %+v", sent)
	}
}

func TestKillRefusesWhoWasNotNamed(t *testing.T) {
	for _, pid := range []int{0, -1} {
		// Signal 0 meets nobody, should it get through.
		if err := sys.Kill(pid, 0); !errors.Is(err, unix.EINVAL) {
			t.Errorf("kill(%d): %v", pid, err)
		}
	}
}

const insideEnv = "FOSTER_TEST_INSIDE_NAMESPACE"

// TestKillNamespaceRefusesOutsideOfPID1 asks for it as the second process of a PID
// namespace: should it get through, it ends no more than that.
func TestKillNamespaceRefusesOutsideOfPID1(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		if os.Getpid() == 1 {
			t.Fatal("not the second process of a namespace")
		}
		err := sys.KillNamespace()
		fmt.Printf("answer: %t\n", errors.Is(err, unix.EPERM))
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `"$0" -test.run='^`+t.Name()+`$'; exit $?`, exe)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); !ran {
		hosttest.Need(t, "PID namespace", err)
	}
	if err != nil || !strings.Contains(string(out), "answer: true\n") {
		t.Errorf("%v:\n%s", err, out)
	}
}
