package foster_test

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// A process whose first thread has ended looks like a zombie in /proc/PID/stat, while its
// other threads run. The kernel's cgroup.kill doesn't reach it.

func init() {
	roles["headless"] = roleHeadless
	if len(os.Args) > 2 && os.Args[1] == roleMark && os.Args[2] == "headless" {
		runtime.LockOSThread() // the main goroutine stays on the first thread, to end it
	}
}

// roleHeadless ignores SIGTERM and ends its first thread; another says so, and runs for ever.
// With "below" it has a parent that blocks, with "left" one that has ended.
func roleHeadless(args []string) {
	if len(args) > 0 {
		start(nil, nil, "headless")
		if args[0] == "left" {
			return
		}
		signal.Ignore(syscall.SIGTERM)
		say("above %d", os.Getpid())
		forever()
	}
	signal.Ignore(syscall.SIGTERM)
	go func() {
		for {
			if s, err := procfs.Read(os.Getpid()); err == nil && s.FirstEnded {
				say("headless %d", os.Getpid())
				forever()
			}
			runtime.Gosched() // until the kernel says so: nobody announces it
		}
	}()
	_, _, err := syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0) // of the thread alone
	say("error %v", err)
}

// headless are the trees with such a process: as the leader, below it, and orphaned.
var headless = [][]string{{"headless"}, {"headless", "below"}, {"headless", "left"}}

// inHeadless runs a test with each of these trees in each containment.
func inHeadless(t *testing.T, test func(t *testing.T, c foster.Containment, args []string)) {
	t.Helper()
	for _, args := range headless {
		t.Run(args[len(args)-1], func(t *testing.T) {
			in(t, all, func(t *testing.T, c foster.Containment) { test(t, c, args) })
		})
	}
}

func TestStopEndsProcessWhoseFirstThreadEnded(t *testing.T) {
	inHeadless(t, func(t *testing.T, c foster.Containment, args []string) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = 50 * time.Millisecond }, args...)
		out.pid("headless")
		members, err := tree.Members()
		if err != nil || !anyAlive(members) {
			t.Errorf("members: %+v, %v; want one that lives", members, err)
		}
		select {
		case <-tree.Done():
			t.Fatal("the run is over, though a process lives")
		default:
		}
		exit := stop(t, tree)
		if exit.Killed == 0 {
			t.Errorf("exit %+v; want that a process was killed", exit)
		}
		out.rest() // nobody is left who could write
	})
}

func TestOwnerKilledEndsProcessWhoseFirstThreadEnded(t *testing.T) {
	inHeadless(t, func(t *testing.T, c foster.Containment, args []string) {
		cmd, out := owner(t, c, args...)
		out.pid("headless")
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as it was
		out.rest()
		leaktest.ReapOrphans(t)
	})
}

func TestShimKilledEndsProcessWhoseFirstThreadEnded(t *testing.T) {
	inHeadless(t, func(t *testing.T, c foster.Containment, args []string) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = 50 * time.Millisecond }, args...)
		pid := out.pid("headless")
		if c == foster.Subreaper {
			awaitEntry(t, "the journal knows the process", func(f journal.Found) bool {
				return f.Life != nil && slices.ContainsFunc(f.Life.Members, func(m wire.Member) bool { return m.PID == pid })
			})
		}
		killShim(t, tree)
		exit, err := tree.Wait()
		if !errors.Is(err, foster.ErrShimLost) || len(exit.Survivors) > 0 {
			t.Errorf("exit %+v, %v; want ErrShimLost, and nobody left", exit, err)
		}
		if c == foster.Cgroup && exit.Killed == 0 {
			t.Errorf("exit %+v; want that somebody was killed", exit)
		}
		out.rest()
		leaktest.ReapOrphans(t)
	})
}

func TestRecoverEndsProcessWhoseFirstThreadEnded(t *testing.T) {
	inHeadless(t, func(t *testing.T, c foster.Containment, args []string) {
		cmd, out := owner(t, c, args...)
		pid, shim := out.pid("headless"), out.pid("shim")
		if c == foster.Subreaper || c == foster.Group {
			awaitEntry(t, "the journal knows the process", func(f journal.Found) bool {
				return f.Life != nil && slices.ContainsFunc(f.Life.Members, func(m wire.Member) bool { return m.PID == pid })
			})
		}
		leaktest.Stop(t, cmd.Process.Pid) // so that it can't act between the two
		for _, pid := range []int{shim, cmd.Process.Pid} {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // killed, as it was
		awaitState(t, journal.Lost)
		lost, problems, err := foster.Recover(t.Context())
		if err != nil || len(problems) > 0 || len(lost) != 1 || lost[0].Err != nil || len(lost[0].Survivors) > 0 {
			t.Errorf("recovered %+v, %v, %v", lost, problems, err)
		}
		out.rest()
		leaktest.ReapOrphans(t)
	})
}
