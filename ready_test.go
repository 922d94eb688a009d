package foster_test

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// keepReady keeps shims ready until the test ends.
func keepReady(t testing.TB, n int) {
	t.Helper()
	if err := foster.KeepReady(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := foster.KeepReady(0); err != nil {
			t.Error(err)
		}
	})
}

func TestAReadyShimHoldsOneTreeAfterTheOther(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		keepReady(t, 1)
		shims := map[int]bool{}
		for range 5 {
			tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop = foster.KillAtOnce() }, "stubborn")
			for range 3 {
				out.pid("stubborn")
			}
			shims[foster.ShimPID(tree)] = true
			exit := stop(t, tree)
			if exit.Killed != 3 || exit.Reaped != 3 {
				t.Errorf("%d killed, %d reaped, want 3: a tree's count isn't another's", exit.Killed, exit.Reaped)
			}
		}
		if len(shims) != 1 {
			t.Errorf("%d shims held 5 trees, want 1", len(shims))
		}
		cmd := foster.Command("sh", "-c", "umask; ulimit -n; cut -d' ' -f19 /proc/self/stat")
		cmd.Containment = c
		got, err := cmd.Output()
		want, werr := foster.Command("sh", "-c", "umask; ulimit -n; cut -d' ' -f19 /proc/self/stat").Output()
		if err != nil || werr != nil || string(got) != string(want) {
			t.Errorf("a program of a used shim sees %q, of a new one %q (%v, %v)", got, want, err, werr)
		}
	})
}

func TestAReadyShimThatWasKilledIsReplaced(t *testing.T) {
	leaktest.Check(t)
	keepReady(t, 1)
	for _, s := range childrenOf(os.Getpid()) {
		if s.Comm == "foster-shim" {
			if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := foster.Command("true").Run(); err != nil {
		t.Error(err)
	}
}

// unread is how much of what this process has sent to others waits to be read.
func unread(t *testing.T) (bytes int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fds {
		if n, err := unix.IoctlGetInt(mustAtoi(f.Name()), unix.TIOCOUTQ); err == nil {
			bytes += n
		}
	}
	return bytes
}

// A shim that is killed before it has read the start hasn't started the program, though it was
// sent: it is certain that a second try makes no two.
func TestAShimThatIsKilledBeforeItReadsTheStartIsReplaced(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		keepReady(t, 1)
		shim := childrenOf(os.Getpid())[0].PID
		leaktest.Stop(t, shim)
		before := unread(t)
		done := make(chan error, 1)
		go func() {
			cmd := foster.Command("true")
			cmd.Containment = c
			done <- cmd.Run()
		}()
		leaktest.Eventually(t, "the start is sent", func() bool { return unread(t) > before })
		if err := syscall.Kill(shim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("it isn't tried again: %v", err)
		}
	})
}

// TestAShimThatIsKilledWhileItIsIdleLeavesNoZombie: be it ready, or one of many without a
// tree.
func TestAShimThatIsKilledWhileItIsIdleLeavesNoZombie(t *testing.T) {
	for name, keep := range map[string]func(*testing.T){
		"ready": func(t *testing.T) { keepReady(t, 2) },
		"shared": func(t *testing.T) {
			leaktest.Need(t, "cgroup", canHave(foster.Cgroup))
			share(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			keep(t)
			for _, s := range childrenOf(os.Getpid()) {
				if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			leaktest.Eventually(t, "all are reaped", func() bool { return len(childrenOf(os.Getpid())) == 0 })
			if err := foster.Command("true").Run(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeepReadyZeroLeavesNone(t *testing.T) {
	leaktest.Check(t)
	keepReady(t, 3)
	if n := len(childrenOf(os.Getpid())); n != 3 {
		t.Errorf("%d children, want 3 shims", n)
	}
	if err := foster.KeepReady(0); err != nil {
		t.Error(err)
	}
	if n := len(childrenOf(os.Getpid())); n != 0 {
		t.Errorf("%d children, want none", n)
	}
}
