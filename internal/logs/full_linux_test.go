package logs

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

// insideVariable says that a test runs in a mount namespace of its own, where it may
// mount what it wants.
const insideVariable = "FOSTER_TEST_INSIDE"

// onSmallDisk runs a test in a process of its own, which gets a small file system in a
// folder that it is told.
func onSmallDisk(t *testing.T, test func(t *testing.T, dir string)) {
	if os.Getenv(insideVariable) != "" {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // the namespace ends anyway
		test(t, dir)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		leaktest.Need(t, "a user namespace", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func enlarge(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
}

// fullDisk is a log on a small disk, and a writer of more lines than it takes.
type fullDisk struct {
	*Log
	problems chan string
	lost     chan string
	written  chan struct{} // closed when all is
	w        *os.File
	capture  *Capture
}

const fullCount = 100_000

func newFullDisk(t *testing.T, dir string, p Policy) *fullDisk {
	t.Helper()
	f := &fullDisk{problems: make(chan string, 100), lost: make(chan string, 100), written: make(chan struct{})}
	s := NewStore(dir, func(_ string, err error) { f.problems <- fmt.Sprint(err) })
	s.OnLoss(func(_ string, _ int, what string) { f.lost <- what })
	f.Log = s.Log("web", 1)
	f.SetPolicy(p)
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f.w = w
	if f.capture, err = f.Capture(Stdout, r, true, nil); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.written)
		for n := range fullCount {
			if _, err := w.WriteString(number(n) + "\n"); err != nil {
				return // nobody reads any more
			}
		}
	}()
	return f
}

func (f *fullDisk) awaitProblem(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-f.problems:
		if !strings.Contains(got, want) {
			t.Fatalf("%q was told, not %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%q isn't told", want)
	}
}

// check reads the log: lines are whole, and in their order; what is missing is counted.
func (f *fullDisk) check(t *testing.T) (got, notes int) {
	t.Helper()
	last := -1
	for line, err := range read(t.Context(), client.LogQuery{}, f.Log) {
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if line.Stream == "foster" {
			notes++
			continue
		}
		if _, err := fmt.Sscanf(line.Text, "line %d ", &n); err != nil || line.Text != number(n) || n <= last {
			t.Fatalf("%q after line %d", line.Text, last)
		}
		last = n
		got++
	}
	return got, notes
}

func TestOnAFullDiskLinesAreDroppedAndCounted(t *testing.T) {
	leaktest.Check(t)
	onSmallDisk(t, func(t *testing.T, dir string) {
		f := newFullDisk(t, dir, Policy{})
		f.awaitProblem(t, "no space left")
		<-f.written // nobody waits
		enlarge(t, dir)
		f.awaitProblem(t, "nil")
		if _, err := f.w.WriteString(number(fullCount) + "\n"); err != nil {
			t.Fatal(err)
		}
		f.w.Close()
		<-f.capture.Done()
		got, notes := f.check(t)
		c := f.Counters()
		if text := <-f.lost; !strings.Contains(text, "lines of stdout were lost: ") || !strings.Contains(text, "no space left") {
			t.Errorf("%q was told", text)
		}
		if notes == 0 || c.Dropped == 0 || got+int(c.Dropped) != fullCount+1 || int(c.Lines) != got {
			t.Errorf("%d lines and %d notes, %+v", got, notes, c)
		}
	})
}

func TestOnAFullDiskTheApplicationWaitsIfItIsTo(t *testing.T) {
	leaktest.Check(t)
	onSmallDisk(t, func(t *testing.T, dir string) {
		f := newFullDisk(t, dir, Policy{Block: true})
		f.awaitProblem(t, "no space left")
		select {
		case <-f.written:
			t.Error("nobody waited")
		default:
		}
		enlarge(t, dir)
		f.awaitProblem(t, "nil")
		<-f.written
		f.w.Close()
		<-f.capture.Done()
		if got, notes := f.check(t); got != fullCount || notes != 0 {
			t.Errorf("%d lines and %d notes", got, notes)
		}
	})
}

// What ends on a full disk isn't waited for.
func TestAnEndOnAFullDiskIsAnEnd(t *testing.T) {
	leaktest.Check(t)
	onSmallDisk(t, func(t *testing.T, dir string) {
		f := newFullDisk(t, dir, Policy{Block: true})
		f.awaitProblem(t, "no space left")
		f.capture.Finish()
		<-f.capture.Done()
		<-f.written
		f.w.Close()
		f.check(t)
	})
}
