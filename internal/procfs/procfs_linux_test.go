package procfs

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

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

// start starts a child of the test. Until it is reaped, its number is its own.
func start(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := &exec.Cmd{Path: path, Args: args}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // and may have been reaped
	})
	return cmd
}

// reap waits for the end of a child and reaps it, behind the back of os/exec.
func reap(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	pid := cmd.Process.Pid
	if got, err := syscall.Wait4(pid, nil, 0, nil); got != pid {
		t.Fatalf("wait4 gave %d, %v", got, err)
	}
	_ = cmd.Process.Release() // its number isn't its own any more
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, pid int) Stat {
	t.Helper()
	s, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadOfOwnProcessAgreesWithTheKernel(t *testing.T) {
	s := read(t, os.Getpid())
	session, _, errno := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	got := [4]int{s.PID, s.PPID, s.PGID, s.Session}
	if want := [4]int{os.Getpid(), os.Getppid(), syscall.Getpgrp(), int(session)}; got != want {
		t.Errorf("pid, parent, group and session are %v, not %v", got, want)
	}
	if s.Ended() || Dying(s) || s.Threads < 1 {
		t.Errorf("it isn't taken for alive: %+v", s)
	}
	if args := Cmdline(s.PID); !slices.Equal(args, os.Args) {
		t.Errorf("its arguments are %q, not %q", args, os.Args)
	}
}

func TestStartTimeOfOwnProcessIsPastAndNear(t *testing.T) {
	// A tick and its rounding may put the start a moment after what it was.
	const tick, near = time.Second / ticks, 10 * time.Minute
	s := read(t, os.Getpid())
	started := s.StartTime()
	if ago := time.Since(started); ago < -2*tick || ago > near {
		t.Errorf("it started %v ago", ago)
	}
}

func TestStartTimeIsThatOfAStart(t *testing.T) {
	const tick = time.Second / ticks
	before := time.Now()
	s := read(t, start(t, lookPath(t, "sleep"), "sleep", "100").Process.Pid)
	after := time.Now()
	if started := s.StartTime(); started.Before(before.Add(-2*tick)) || started.After(after.Add(2*tick)) {
		t.Errorf("started at %v, not between %v and %v", started, before, after)
	}
}

func TestReadIsNotMisledByTheNameOfAProcess(t *testing.T) {
	for _, name := range []string{"a b", ") R 1 (", "(", "a\nb", `a\nb`, "\xff\xfe"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(lookPath(t, "sleep"), path); err != nil {
			t.Fatal(err)
		}
		pid := start(t, path, "sleep", "100").Process.Pid
		eventually(t, "it has its name", func() bool { return read(t, pid).Comm == name })
		if s := read(t, pid); s.PID != pid || s.PPID != os.Getpid() || s.Ended() {
			t.Errorf("%q: %+v", name, s)
		}
	}
}

func TestSnapshotShowsAChild(t *testing.T) {
	child := start(t, lookPath(t, "sleep"), "sleep", "100").Process.Pid
	all, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if below := pids(Below(all, os.Getpid())); !slices.Contains(below, child) || slices.Contains(below, os.Getpid()) {
		t.Errorf("below %d are %v, with the child %d", os.Getpid(), below, child)
	}
}

func TestAZombieHasEndedAndIsDying(t *testing.T) {
	cmd := start(t, lookPath(t, "sh"), "sh", "-c", "exit")
	pid := cmd.Process.Pid
	eventually(t, "the child is a zombie", func() bool { return read(t, pid).State == 'Z' })
	s := read(t, pid)
	if !s.Ended() || !Dying(s) || s.PPID != os.Getpid() {
		t.Errorf("a zombie is %+v, dying %t", s, Dying(s))
	}
	if args := Cmdline(pid); args != nil {
		t.Errorf("a zombie has the arguments %q", args)
	}
	reap(t, cmd)
	if s, err := Read(pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("once it was reaped: %+v, %v", s, err)
	}
}

func TestWhoWasReapedSinceIsDying(t *testing.T) {
	cmd := start(t, lookPath(t, "sleep"), "sleep", "100")
	alive := read(t, cmd.Process.Pid)
	if alive.Ended() || Dying(alive) {
		t.Fatalf("it isn't taken for alive: %+v", alive)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	reap(t, cmd)
	if !Dying(alive) {
		t.Error("what ended since is taken for alive")
	}
}

func TestOnlyWhatIsStoppedNeedsSIGCONT(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pid := cmd.Process.Pid
	if MayBeStopped(pid) {
		t.Error("it runs")
	}
	for range 100 { // at once, before it has acted on the signal
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if !MayBeStopped(pid) {
			t.Fatal("it is stopped, or about to be")
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if MayBeStopped(pid) {
		t.Error("it was continued")
	}
	if !MayBeStopped(1<<31 - 1) {
		t.Error("nobody knows")
	}
}
