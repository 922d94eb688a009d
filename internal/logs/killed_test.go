package logs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

// roleVariable turns the test binary into a process that writes the log in a folder, of
// the pipes that it has as descriptors 3 and 4, until both are at their end.
const roleVariable = "FOSTER_TEST_CAPTURE"

func killedPolicy() Policy {
	return Policy{MaxSize: 300 << 10, MaxFiles: 1 << 20, Compress: true}
}

func captureUntilKilled(dir string) {
	s := NewStore(dir, func(_ string, err error) { fmt.Fprintln(os.Stderr, err) })
	s.Begin()
	l := s.Log("web", 1)
	l.SetPolicy(killedPolicy())
	for stream := range Stream(2) {
		err := syscall.SetNonblock(int(3+stream), true) // os/exec has undone it
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		c, err := l.Capture(stream, os.NewFile(uintptr(3+stream), "pipe"), false, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer func() { <-c.Done() }()
	}
}

// numbered line n: its length differs, and some are longer than a batch.
func longNumber(n int) string {
	text := strconv.Itoa(n) + " " + strings.Repeat("x", n*37%211)
	if n%20_000 == 19_999 {
		text += strings.Repeat("y", 3*batch)
	}
	return text
}

// A hundred times the writer of a log is killed, at any moment and under load, and
// another takes its place: each line is there, once and whole, and in its order.
func TestAWriterThatIsKilledLosesNoLineAndDoublesNone(t *testing.T) {
	leaktest.Check(t)
	const kills = 100
	dir := t.TempDir()
	var readers, writers [2]*os.File
	counts := make(chan int, 2)
	stop := make(chan struct{})
	for n := range 2 {
		r, w, err := sys.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		readers[n], writers[n] = r, w
		go func() { counts <- writeNumbers(w, stop) }()
	}
	for range kills {
		cmd := writerProcess(t, dir, readers)
		// polls: the kill has to come at any moment, not at one that is waited for
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond) // polls
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	close(stop)
	last := writerProcess(t, dir, readers)
	want := <-counts + <-counts
	for n := range 2 {
		readers[n].Close()
	}
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	checkNumbers(t, dir, want)
}

func writerProcess(t *testing.T, dir string, readers [2]*os.File) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+dir)
	cmd.ExtraFiles = readers[:]
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// writeNumbers writes lines, in pieces that aren't lines, until it is to stop, and closes
// the pipe.
func writeNumbers(w *os.File, stop <-chan struct{}) (count int) {
	defer w.Close()
	var piece []byte
	for {
		for len(piece) < 5000 {
			piece = append(append(piece, longNumber(count)...), '\n')
			count++
		}
		if _, err := w.Write(piece[:4093]); err != nil {
			return -1
		}
		piece = piece[:copy(piece, piece[4093:])]
		select {
		case <-stop:
			if _, err := w.Write(piece); err != nil {
				return -1
			}
			return count
		default:
		}
	}
}

func checkNumbers(t *testing.T, dir string, want int) {
	t.Helper()
	l := newLog(t, dir, killedPolicy())
	next := map[string]int{}
	for line, err := range read(t.Context(), client.LogQuery{}, l) {
		if err != nil {
			t.Fatal(err)
		}
		n := next[line.Stream]
		if line.Text != longNumber(n) {
			t.Fatalf("%s: %.60q where line %d was to come", line.Stream, line.Text, n)
		}
		next[line.Stream]++
	}
	if got := next["stdout"] + next["stderr"]; got != want {
		t.Errorf("%d lines of %d", got, want)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "web.1", "*.spool.*"))
	torn, _ := filepath.Glob(filepath.Join(dir, "web.1", "*"+tmpSuffix))
	if len(left)+len(torn) > 1 {
		t.Errorf("left: %q %q", left, torn)
	}
	t.Logf("%d lines", want)
}
