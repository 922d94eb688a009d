package main

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/leaktest"
)

// A signal that comes when what it would have broken off has just been done isn't lost:
// what follows isn't begun.
func TestASignalInTheLastMomentIsHeeded(t *testing.T) {
	leaktest.Check(t)
	runtime.LockOSThread() // what is sent to this thread has come when that returns
	defer runtime.UnlockOSThread()
	for range 100 {
		ctx, calm := interruptible(t.Context())
		if err := unix.Tgkill(os.Getpid(), unix.Gettid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if !calm() {
			t.Fatal("it was lost")
		}
		if ctx.Err() == nil {
			t.Fatal("what it breaks off goes on")
		}
	}
	if _, calm := interruptible(t.Context()); calm() {
		t.Error("nothing came, and yet it was broken off")
	}
}
