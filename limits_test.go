package foster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// The tests in this file are about limits of a tree's cgroup. They run where controllers
// can be had, be they of version 1 or 2.

func init() {
	roles["hog"] = roleHog
	roles["forks"] = roleForks
}

// roleHog takes as many MiB of memory as it is told, and keeps them.
func roleHog(args []string) {
	hog := make([][]byte, mustAtoi(args[0]))
	for i := range hog {
		hog[i] = make([]byte, 1<<20)
		for n := 0; n < len(hog[i]); n += os.Getpagesize() {
			hog[i][n] = 1
		}
	}
	say("hog %d", len(hog))
	forever()
}

// roleForks starts sleeping processes until it can't, and says how many there are.
func roleForks(args []string) {
	for n := range mustAtoi(args[0]) {
		p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
		if err != nil {
			say("forks %d %v", n, errors.Is(err, syscall.EAGAIN))
			forever()
		}
		_ = p.Release() // it isn't waited for
	}
	say("forks all")
	forever()
}

// limits wants that they can be had: also root has none where the cgroup that the
// tests are in is given no controllers.
func limits(t *testing.T, l foster.Limits) {
	t.Helper()
	cmd := foster.Command("true")
	cmd.Limits = l
	leaktest.Need(t, "limits", cmd.Run())
	leaktest.Check(t)
}

// groupsOf finds all cgroups of a tree, of whichever version.
func groupsOf(t *testing.T, leader int) (groups []string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", leader))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, path, _ := strings.Cut(rest, ":")
		if !strings.HasPrefix(filepath.Base(path), "foster-") {
			continue
		}
		for m := range strings.Lines(string(mounts)) {
			before, after, _ := strings.Cut(m, " - ")
			f := strings.Fields(before)
			v2 := name == "" && strings.HasPrefix(after, "cgroup2 ")
			v1 := name != "" && strings.HasPrefix(after, "cgroup ") && strings.HasSuffix(strings.TrimSpace(after), name)
			if v1 || v2 {
				groups = append(groups, filepath.Join(f[4], path))
			}
		}
	}
	return groups
}

// limitOf reads the first of the files that is there in one of the groups.
func limitOf(groups []string, files ...string) string {
	for _, g := range groups {
		for _, name := range files {
			if b, err := os.ReadFile(filepath.Join(g, name)); err == nil {
				return strings.TrimSpace(string(b))
			}
		}
	}
	return "none"
}

func gone(t *testing.T, groups []string) {
	t.Helper()
	for _, g := range groups {
		if _, err := os.Stat(g); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", g, err)
		}
	}
}

func TestATreeHasItsLimitsAndLeavesNoGroup(t *testing.T) {
	all := foster.Limits{Memory: 256 << 20, CPU: 1.5, PIDs: 100}
	limits(t, all)
	tree, out := begin(t, foster.Cgroup, func(cmd *foster.Cmd) { cmd.Limits = all }, "parent")
	out.pid("block")
	groups := groupsOf(t, tree.Leader())
	for _, want := range []struct {
		text  string
		files []string
	}{
		{"268435456", []string{"memory.max", "memory.limit_in_bytes"}},
		{"150000", []string{"cpu.cfs_quota_us"}},
		{"150000 100000", []string{"cpu.max"}},
		{"100", []string{"pids.max"}},
	} {
		if got := limitOf(groups, want.files...); got != want.text && got != "none" {
			t.Errorf("%v: %s, want %s", want.files, got, want.text)
		}
	}
	if limitOf(groups, "memory.max", "memory.limit_in_bytes") == "none" || limitOf(groups, "pids.max") == "none" {
		t.Errorf("in %v there is no limit", groups)
	}
	stop(t, tree)
	gone(t, groups)
}

func TestWhoEscapesItsSessionIsInTheLimitsAllTheSame(t *testing.T) {
	l := foster.Limits{PIDs: 100}
	limits(t, l)
	tree, out := begin(t, foster.Cgroup, func(cmd *foster.Cmd) { cmd.Limits = l }, "daemonize", "stay")
	daemon := out.pid("block")
	if a, b := groupsOf(t, daemon), groupsOf(t, tree.Leader()); fmt.Sprint(a) != fmt.Sprint(b) || len(a) == 0 {
		t.Errorf("the daemon is in %v, the leader in %v", a, b)
	}
	stop(t, tree)
}

func TestNoMoreProcessesThanTheLimit(t *testing.T) {
	l := foster.Limits{PIDs: 60}
	limits(t, l)
	tree, out := begin(t, foster.Cgroup, func(cmd *foster.Cmd) { cmd.Limits = l }, "forks", "100")
	words := strings.Fields(out.next("forks "))
	if n, _ := strconv.Atoi(words[0]); n < 30 || n > 60 || len(words) != 2 || words[1] != "true" {
		t.Errorf("forks %v", words)
	}
	stop(t, tree)
}

// The smallest limit is for what the program is itself, not for what starts it.
func TestALimitOfOneProcessIsEnough(t *testing.T) {
	l := foster.Limits{PIDs: 1}
	limits(t, l)
	for range 20 {
		cmd := foster.Command("true")
		cmd.Limits = l
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		cmd = foster.Command("sh", "-c", "sleep 1000 & wait")
		cmd.Limits = l
		if err := cmd.Run(); err == nil {
			t.Error("a second process was forked")
		}
	}
}

func TestAForkBombBelowALimitIsEnded(t *testing.T) {
	l := foster.Limits{PIDs: 300}
	limits(t, l)
	cmd := foster.Command(storm(t, `"$0" & "$0" & wait`))
	cmd.Limits, cmd.Stop = l, foster.KillAtOnce()
	tree, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	groups := groupsOf(t, tree.Leader())
	most := 0
	leaktest.Eventually(t, "the bomb has gone off", func() bool {
		members, err := tree.Members()
		most = max(most, len(members))
		return err == nil && len(members) > 100
	})
	if most > 300 {
		t.Errorf("there were %d members", most)
	}
	stop(t, tree)
	gone(t, groups)
}

func TestWhoIsKilledSinceMemoryIsOutIsTold(t *testing.T) {
	l := foster.Limits{Memory: 64 << 20}
	limits(t, l)
	cmd := roleCommand("hog", "1000")
	cmd.Limits = l
	tree, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	e := waitFor(t, tree, foster.EventOutOfMemory)
	exit, err := tree.Wait()
	if e.Count != 1 || exit.OOMKills != 1 || exit.Leader.Signal != syscall.SIGKILL {
		t.Errorf("event %+v, exit %+v", e, exit)
	}
	if err == nil || !strings.Contains(err.Error(), "out of memory") {
		t.Errorf("%v", err)
	}
}

func TestWhatCantBeLimitedIsRefused(t *testing.T) {
	leaktest.Check(t)
	for _, cmd := range []*foster.Cmd{
		{Path: "/bin/true", Limits: foster.Limits{PIDs: 1}, Containment: foster.Subreaper},
		{Path: "/bin/true", Limits: foster.Limits{PIDs: 1}, Containment: foster.PIDNS},
		{Path: "/bin/true", Limits: foster.Limits{PIDs: -1}},
		{Path: "/bin/true", Limits: foster.Limits{CPU: 0.001}},
	} {
		if tree, err := cmd.Start(); err == nil {
			stop(t, tree)
			t.Errorf("%+v was started", cmd.Limits)
		}
	}
}

// A limit that can't be had is an error that names the controller and says what to do, or
// passed over with a notice.
func TestALimitThatCantBeHadIsAnErrorOrTold(t *testing.T) {
	wrong := foster.Limits{Memory: 64 << 20, PIDs: 100}
	limits(t, wrong)
	sys.Fault = func(op string) error {
		if strings.HasPrefix(op, "write memory.") {
			return syscall.EACCES
		}
		return nil
	}
	defer func() { sys.Fault = nil }()
	cmd := foster.Command("true")
	cmd.Limits = wrong
	err := cmd.Run()
	for _, want := range []string{"no limit of memory: write /sys/fs/cgroup", "permission denied", "run as root"} {
		if e, ok := errors.AsType[*foster.StartError](err); !ok || e.Stage != foster.StageLimits || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v, want %s", err, want)
		}
	}
	tree, out := begin(t, foster.Cgroup, func(cmd *foster.Cmd) {
		cmd.Limits = wrong
		cmd.Limits.Optional = true
	}, "block")
	out.pid("block")
	if e := waitFor(t, tree, foster.EventLimitUnmet); !strings.Contains(e.Text, "no limit of memory") {
		t.Errorf("%q", e.Text)
	}
	groups := groupsOf(t, tree.Leader())
	if got := limitOf(groups, "pids.max"); got != "100" {
		t.Errorf("the number of processes is limited to %s", got)
	}
	stop(t, tree)
	gone(t, groups)
}

// Where limits are optional, a containment that has none is no error.
func TestOptionalLimitsNeedNoCgroup(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.PIDNS}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Limits = foster.Limits{PIDs: 10, Optional: true} }, "block")
		out.pid("block")
		if e := waitFor(t, tree, foster.EventLimitUnmet); !strings.Contains(e.Text, "the containment is "+string(c)) {
			t.Errorf("%q", e.Text)
		}
		stop(t, tree)
	})
}

// What is let go is limited no longer, and leaves no group.
func TestWhatIsReleasedLeavesItsLimits(t *testing.T) {
	l := foster.Limits{PIDs: 100, Memory: 64 << 20}
	limits(t, l)
	tree, out := begin(t, foster.Cgroup, func(cmd *foster.Cmd) { cmd.Limits = l }, "daemonize", "leave")
	daemon := out.pid("block")
	groups := groupsOf(t, daemon)
	waitFor(t, tree, foster.EventLeaderLost)
	if err := tree.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Wait(); err != nil {
		t.Error(err)
	}
	gone(t, groups)
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil { // it fell to this test
		t.Error(err)
	}
	leaktest.ReapOrphans(t)
}

// Whoever is left removes the groups.
func TestTheGroupsOfLimitsAreRemovedWhoeverIsKilled(t *testing.T) {
	limits(t, foster.Limits{PIDs: 100, Memory: 64 << 20})
	for _, who := range []string{"owner", "shim", "both"} {
		t.Run(who, func(t *testing.T) {
			leaktest.Check(t)
			cmd, out, leader := keep(t, foster.Cgroup, "pids=100", "block")
			groups := groupsOf(t, leader)
			if len(groups) == 0 {
				t.Fatal("there are no groups")
			}
			shim, err := procfs.Read(leader)
			if err != nil {
				t.Fatal(err)
			}
			if who == "both" {
				_ = syscall.Kill(cmd.Process.Pid, syscall.SIGSTOP) // so that it doesn't see the other's end
			}
			if who != "owner" {
				if err := syscall.Kill(shim.PPID, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			if who != "shim" {
				killed(t, cmd)
			} else {
				_ = out.tail() // to its end
				_ = cmd.Wait()
			}
			if who == "both" {
				awaitState(t, journal.Lost)
				if _, _, err := foster.Recover(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			leaktest.Eventually(t, "the groups are gone", func() bool {
				for _, g := range groups {
					if _, err := os.Stat(g); err == nil {
						return false
					}
				}
				return true
			})
			leaktest.ReapOrphans(t)
		})
	}
}
