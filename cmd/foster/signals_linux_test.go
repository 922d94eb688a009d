package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/units"
)

func TestEachSignalThatIsForwardedArrives(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		p := start(t, "--contain", contain, "--", shell(t)[0], "-c", "exec 2>/dev/null"+telltale)
		p.out.next(`^ready$`)
		for _, s := range append([]syscall.Signal{
			syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGWINCH,
			syscall.SIGTSTP, syscall.SIGCONT,
		}, units.RealtimeSignals()...) {
			if s == 34 {
				continue // a shell may not trap what the C library keeps
			}
			p.signal(s)
			p.out.next(fmt.Sprintf(`^got %d\.$`, s))
		}
		p.signal(syscall.SIGTERM)
		p.ends(128 + 15)
		nothingIsLeft(t)
	})
}

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
