package contain

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

func nobody(int) bool { return false }

// useUpHandles leaves this process one descriptor, until the test ends or what it
// returns is called.
func useUpHandles(t *testing.T) (restore func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := syscall.Rlimit{Cur: 64, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var fds []int
	restore = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
		sys.CloseAll(fds)
		fds = nil
	}
	t.Cleanup(restore)
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == syscall.EMFILE {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	sys.Close(fds[0])
	fds = fds[1:]
	return restore
}

// TestWhoIsNotSeenIsNotTakenForEnded: with one descriptor, a process can be held or
// read, but not both.
func TestWhoIsNotSeenIsNotTakenForEnded(t *testing.T) {
	a := startApp(t, 1, "sleep 100 & echo child $!; wait")
	restore := useUpHandles(t)
	_, left, err := EmptyAdopted(time.Second, nobody)
	restore()
	for _, s := range a.members {
		if h, lives := hold(s); lives == nil {
			release([]held{h})
			if err == nil && len(left) == 0 {
				t.Errorf("process %d lives, and nothing is said to be left", s.PID)
			}
		}
	}
	if _, left, err := EmptyAdopted(10*time.Second, nobody); err != nil || len(left) > 0 {
		t.Errorf("with handles: left %v, %v", left, err)
	}
}

// TestEmptyingWhoForksOnKeepsItsTime: each of a line of processes forks the next and
// ends, so that a look finds zombies, and seldom anybody who could be killed.
func TestEmptyingWhoForksOnKeepsItsTime(t *testing.T) {
	stop := filepath.Join(t.TempDir(), "stop")
	a := startApp(t, 0, `f() { [ -e "`+stop+`" ] || { f & } ; }
		for i in 1 2 3 4 5 6 7 8 9 10 11 12; do f & done; echo started 1; read line`)
	if _, err := a.out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, left, err := EmptyAdopted(50*time.Millisecond, nobody)
		t.Logf("left %v, %v", left, err)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second): // a look at all the zombies takes its time, too
		t.Error("it goes on after its time")
		defer func() { <-done }()
	}
	if err := os.WriteFile(stop, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, left, err := EmptyAdopted(10*time.Second, nobody); err != nil || len(left) > 0 {
		t.Errorf("after the storm: left %v, %v", left, err)
	}
}
