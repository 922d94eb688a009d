// Package hosttest says of a test what it needs of the host. In CI, where
// FOSTER_TEST_NO_SKIP is set, a test that lacks it fails: a promise that was not tried is
// not kept. What no CI can have on each of its hosts stands in the list of reasons.
package hosttest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// NoSkip says whether a test that lacks something has to fail.
func NoSkip() bool { return os.Getenv("FOSTER_TEST_NO_SKIP") != "" }

// Need skips a test that needs what this system or user doesn't have. In CI that is a
// failure.
func Need(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if NoSkip() {
		t.Fatalf("%s is needed here: %v", what, err)
	}
	t.Skipf("needs %s: %v", what, err)
}

// A Reason is why a test may be skipped in CI, too.
type Reason string

// The reasons that there are.
const (
	// A process that SIGKILL doesn't end is made by the freezer of version 1. That of
	// version 2 lets it end, and no host has both for long.
	NoFreezer Reason = "the freezer of cgroup version 1"
	// CI runs the tests twice, as root and as an ordinary user: each is tried by one.
	OtherUser Reason = "another user: CI runs the tests as root, and as an ordinary user"
	// The kernel shows sockets of TCP that are bound and nothing else since Linux 6.8.
	BoundShown Reason = "a kernel that shows sockets that are only bound"
	// A container doesn't see those of its host.
	KernelThreads Reason = "kernel threads that can be seen"
	// A container may have none.
	NoIPv6 Reason = "an address of IPv6 on the loopback"
	// Another compiler gives other bytes, and who only builds foster needs none.
	StubCompiler Reason = "the compiler that has built the stub"
	// What is measured is many times slower under the race detector.
	NotRaced Reason = "a build without the race detector"
)

// Unless skips a test for one of the reasons, where there is an error.
func Unless(t testing.TB, reason Reason, err error) {
	t.Helper()
	if err != nil {
		t.Skipf("needs %s: %v", reason, err)
	}
}

// NeedRoot skips where this isn't root, and in CI as well: its other run is.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Unless(t, OtherUser, errors.New("this isn't root"))
	}
}

// NeedFreezer skips where Freeze would, before there is anything that a skip would leave.
func NeedFreezer(t testing.TB) {
	t.Helper()
	group := fmt.Sprintf("/sys/fs/cgroup/freezer/freezer-%d", os.Getpid())
	Unless(t, NoFreezer, os.Mkdir(group, 0o755))
	if err := os.Remove(group); err != nil {
		t.Fatal(err)
	}
}

// Freeze stops a process, so that not even SIGKILL ends it until it is thawed, as it is
// when the test ends. Its group is gone then.
func Freeze(t testing.TB, pid int) (thaw func()) {
	t.Helper()
	group := fmt.Sprintf("/sys/fs/cgroup/freezer/freeze-%d", os.Getpid())
	Unless(t, NoFreezer, os.Mkdir(group, 0o755))
	set := func(file string, value any) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(group, file), fmt.Append(nil, value), 0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		set("freezer.state", "THAWED")
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) { // polls
			err := os.Remove(group)
			if err == nil {
				return
			}
			if !errors.Is(err, syscall.EBUSY) || time.Now().After(end) { // else it has its member for a moment yet
				t.Error(err)
				return
			}
		}
	})
	set("cgroup.procs", pid)
	set("freezer.state", "FROZEN")
	return func() {
		t.Helper()
		set("freezer.state", "THAWED")
	}
}
