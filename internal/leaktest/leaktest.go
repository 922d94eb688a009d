// Package leaktest lets a test end by the proof that nothing of it is left: no
// child, no cgroup, no open descriptor, no goroutine of this module.
//
// A test binary that calls [Main] is a subreaper: what escapes from custody falls
// to it, and is found.
package leaktest

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// Main makes the test binary a subreaper, runs its tests and exits.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main without the exit. Where it can be had, the test binary is in a cgroup
// of its own meanwhile, so that the cgroups of its trees aren't mixed up with those
// of other tests; that it can't be left empty is a failure.
func Run(m *testing.M) (code int) {
	heedSignals()
	folder, err := os.MkdirTemp("", "leaktest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "leaktest:", err)
		return 1
	}
	defer os.RemoveAll(folder)
	// The journal of the tests is one of their own.
	os.Setenv("XDG_STATE_HOME", filepath.Join(folder, "state"))
	os.Setenv("XDG_RUNTIME_DIR", filepath.Join(folder, "run"))
	if err := errors.Join(os.Mkdir(filepath.Join(folder, "state"), 0o700), os.Mkdir(filepath.Join(folder, "run"), 0o700)); err != nil {
		fmt.Fprintln(os.Stderr, "leaktest:", err)
		return 1
	}
	if err := sys.BecomeSubreaper(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintln(os.Stderr, "leaktest:", err)
		return 1
	}
	cg, err := contain.NewCgroup(fmt.Sprintf("leaktest-%d", os.Getpid()))
	if err != nil {
		return m.Run() // there can be none
	}
	join := func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
	}
	err = join(cg.Path)
	code = m.Run()
	if err := errors.Join(err, join(filepath.Dir(cg.Path)), cg.Remove()); err != nil {
		fmt.Fprintln(os.Stderr, "leaktest:", err)
		return 1
	}
	return code
}

// heedSignals has what the tests start hear the signals that the test binary was started
// to ignore, as by a shell in the background of a script, or by nohup(1): a signal that is
// caught is at its default action after execve(2).
func heedSignals() {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig) // nobody reads it: it's ignored here all the same
		}
	}
}

// patience bounds the wait for a condition; a test that comes near it has failed.
const patience = 20 * time.Second

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Stop stops a process by SIGSTOP, and waits until it has: it may have been at work.
func Stop(t testing.TB, pid int) {
	t.Helper()
	if err := sys.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "it is stopped", func() bool {
		s, err := procfs.Read(pid)
		return err == nil && s.State == 'T'
	})
}

// Check proves, when the test ends, that nothing of it is left. What falls to the
// test binary since the test killed its owner by intent, the test reaps with
// [ReapOrphans] first.
func Check(t testing.TB) {
	t.Helper()
	before := descriptors(t)
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			killChildren(t)
			return
		}
		eventually(t, "a child is left", children)
		eventually(t, "a cgroup is left", cgroups)
		eventually(t, "an entry or a socket is left", registered)
		eventually(t, "a goroutine is left", goroutines)
		eventually(t, "a descriptor is left", func() []string {
			var more []string
			for fd, target := range descriptors(t) {
				if _, ok := before[fd]; !ok {
					more = append(more, fd+" "+target)
				}
			}
			return more
		})
	})
}

func eventually(t testing.TB, what string, left func() []string) {
	t.Helper()
	var last []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if last = left(); len(last) == 0 {
			return
		}
	}
	t.Errorf("%s: %s", what, strings.Join(last, "\n"))
	killChildren(t)
}

// children lists what descends from the test binary.
func children() (names []string) {
	all, err := procfs.Snapshot()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // on these systems the rest is checked
	}
	if err != nil {
		return []string{err.Error()}
	}
	for _, s := range procfs.Below(all, os.Getpid()) {
		names = append(names, fmt.Sprintf("%d %s %c ppid=%d", s.PID, s.Comm, s.State, s.PPID))
	}
	return names
}

// killChildren ends what a failed test has left, so that the next begins clean.
func killChildren(t testing.TB) {
	t.Helper()
	_, left, err := contain.EmptyAdopted(patience, func(int) bool { return false })
	if err != nil || len(left) > 0 {
		t.Logf("couldn't clean up: %v, %v", left, err)
	}
	for _, path := range append(cgroups(), registered()...) {
		if err := os.Remove(path); err != nil {
			t.Logf("couldn't clean up: %v", err)
		}
	}
}

// Spare names children that are the test's own to reap; nil: none.
var Spare func(pid int) bool

// ReapOrphans reaps what has fallen to the test binary, until no child is left but
// those that keep or Spare name.
func ReapOrphans(t testing.TB, keep ...int) {
	t.Helper()
	Eventually(t, "orphans that were handed to the test end", func() bool {
		all, err := procfs.Snapshot()
		if errors.Is(err, errors.ErrUnsupported) {
			return true // without a subreaper nothing falls to the test
		}
		if err != nil {
			t.Fatal(err)
		}
		none := true
	next:
		for _, s := range all {
			if s.PPID != os.Getpid() || Spare != nil && Spare(s.PID) {
				continue
			}
			for _, k := range keep {
				if s.PID == k {
					continue next
				}
			}
			none = false
			_, _ = syscall.Wait4(s.PID, nil, syscall.WNOHANG, nil) // it's asked for again
		}
		return none
	})
}

func cgroups() (left []string) {
	own, err := contain.OwnCgroup()
	if err != nil {
		return nil // there can be none
	}
	left, _ = filepath.Glob(filepath.Join(own, "foster-*")) // the pattern is valid
	return slices.DeleteFunc(left, ofAnother)
}

// ofAnother says whether another user has made a cgroup. Who can't have one of its own for its
// tests shares that of its session with whatever else runs there.
func ofAnother(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return true // it is gone
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) != os.Geteuid()
}

// registered lists what others could find a tree, or a supervisor, by. What a supervisor
// leaves for the next one is no leak.
func registered() (left []string) {
	for _, folder := range []string{os.Getenv("XDG_STATE_HOME"), os.Getenv("XDG_RUNTIME_DIR")} {
		found, _ := filepath.Glob(filepath.Join(folder, "foster", "*")) // the pattern is valid
		left = append(left, slices.DeleteFunc(found, func(path string) bool { return filepath.Base(path) == "projects" })...)
	}
	sockets, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "foster", "projects", "*")) // as above
	return append(left, sockets...)
}

func goroutines() (left []string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	stacks := strings.Split(string(buf), "\n\n")
	for _, s := range stacks[1:] { // the first is this one's
		if strings.Contains(s, "foster-init/foster") && !strings.Contains(s, "testing.(*T).Run") {
			left = append(left, s)
		}
	}
	return left
}

// descriptors lists what is open, by number and target. The runtime's own are
// opened when they are first needed, as is the stub that starts shims, and left out.
func descriptors(t testing.TB) map[string]string {
	t.Helper()
	open := map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil && runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.Contains(target, "eventpoll") || strings.Contains(target, "eventfd") || strings.HasPrefix(target, "/memfd:foster-shim ") {
			continue
		}
		open[e.Name()] = target
	}
	return open
}

// Need is hosttest.Need, beside Check.
func Need(t testing.TB, what string, err error) {
	t.Helper()
	hosttest.Need(t, what, err)
}
