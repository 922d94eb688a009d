package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

// What somebody else may do to the folder of a log, whose newest file has a name.
var injuries = map[string]func(dir, file string) error{
	"the file is removed":   func(_, file string) error { return os.Remove(file) },
	"the folder is removed": func(dir, _ string) error { return os.RemoveAll(dir) },
	"all is removed in it": func(dir, _ string) error {
		return eachIn(dir, func(path string) error { return os.Remove(path) })
	},
	"the file is emptied":    func(_, file string) error { return os.Truncate(file, 0) },
	"the file is cut":        func(_, file string) error { return os.Truncate(file, 777) },
	"all is emptied in it":   func(dir, _ string) error { return eachIn(dir, func(path string) error { return os.Truncate(path, 0) }) },
	"the file is moved":      func(_, file string) error { return os.Rename(file, file+".1") },
	"the folder is moved":    func(dir, _ string) error { return os.Rename(dir, dir+".old") },
	"a copy is in its place": replaceByCopy,
	"a link is in its place": func(_, file string) error {
		return inPlace(file, func() error { return os.Symlink(outsider(file), file) })
	},
	"a folder is in its place": func(_, file string) error { return inPlace(file, func() error { return os.Mkdir(file, 0o700) }) },
	"a FIFO is in its place":   func(_, file string) error { return inPlace(file, func() error { return unix.Mkfifo(file, 0o600) }) },
}

func eachIn(dir string, do func(path string) error) (err error) {
	entries, rerr := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type().IsRegular() {
			if derr := do(filepath.Join(dir, e.Name())); !errors.Is(derr, os.ErrNotExist) { // a spool comes and goes
				err = errors.Join(err, derr)
			}
		}
	}
	return errors.Join(err, rerr)
}

func replaceByCopy(_, file string) error {
	text, err := os.ReadFile(file)
	if err == nil {
		err = errors.Join(os.WriteFile(file+".tmp", text, 0o600), os.Rename(file+".tmp", file))
	}
	return err
}

func inPlace(file string, do func() error) error { return errors.Join(os.Remove(file), do()) }

// outsider is a file that has nothing to do with the log.
func outsider(file string) string { return filepath.Join(filepath.Dir(filepath.Dir(file)), "outsider") }

func TestWhatOthersDoToALogIsSeenAndToldOf(t *testing.T) {
	for name, injure := range injuries {
		for _, mode := range []string{"busy", "quiet"} {
			if mode == "quiet" && !strings.HasPrefix(name, "the f") && !strings.HasPrefix(name, "a link") {
				continue // takes a second each, and a copy is as good then
			}
			t.Run(name+"/"+mode, func(t *testing.T) {
				leaktest.Check(t)
				h := newHurt(t)
				h.writeUntil(t, "100 lines are there", func() bool { return h.Counters().Lines >= 100 })
				if mode == "quiet" {
					leaktest.Eventually(t, "its files are closed", func() bool { return h.closed() })
				}
				file := logPath(h.dir, h.seq())
				if err := injure(h.dir, file); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				h.writeUntil(t, "it is told", func() bool { return len(h.told) > 0 })
				if text := <-h.told; !strings.Contains(text, filepath.Base(file)+" ") || !strings.Contains(text, "it goes on in ") {
					t.Errorf("%q was told", text)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				h.check(t)
			})
		}
	}
}

// A quiet application writes nothing by which the loss would be noticed: who asks notices.
func TestALossIsSeenOfAQuietLogWhenItIsAskedFor(t *testing.T) {
	leaktest.Check(t)
	h := newHurt(t)
	h.writeUntil(t, "100 lines are there", func() bool { return h.Counters().Lines >= 100 })
	leaktest.Eventually(t, "its files are closed", func() bool { return h.closed() })
	if err := os.Remove(logPath(h.dir, h.seq())); err != nil {
		t.Fatal(err)
	}
	h.store.Look()
	if len(h.told) != 1 {
		t.Errorf("%d losses were told", len(h.told))
	}
	h.store.Look()
	<-h.told
	if len(h.told) != 0 {
		t.Errorf("%q was told, too", <-h.told)
	}
	h.check(t)
}

// What is in the place of the state of a log, and isn't a file of its own, is never opened: a
// log of the next life goes on.
func TestAStateThatIsNoRegularFileIsReplaced(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"FIFO":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":   func(path string) error { return os.Symlink(outsider(path), path) },
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			dir := t.TempDir()
			w := pipe(t, newLog(t, dir, Policy{}), Stdout)
			w.write("before\n")
			w.end()
			path := filepath.Join(w.dir, stateFile)
			if err := errors.Join(inPlace(path, func() error { return put(path) }), os.WriteFile(outsider(path), []byte("mine"), 0o600)); err != nil {
				t.Fatal(err)
			}
			l := newLog(t, dir, Policy{})
			w = pipe(t, l, Stdout)
			w.write("after\n")
			leaktest.Eventually(t, "the line is in the log", func() bool { return l.Counters().Lines == 1 })
			w.end()
			var lines []string
			for line, err := range read(t.Context(), client.LogQuery{}, l) {
				lines = append(lines, fmt.Sprint(line.Text, err))
			}
			if got := strings.Join(lines, ", "); got != "before<nil>, after<nil>" {
				t.Errorf("%q", got)
			}
			if text, err := os.ReadFile(outsider(path)); err != nil || string(text) != "mine" {
				t.Errorf("a file outside was touched: %q, %v", text, err)
			}
		})
	}
}

// Where the folder can't be made again, that is a problem as long as it lasts.
func TestAFileInPlaceOfTheFolderIsAProblem(t *testing.T) {
	leaktest.Check(t)
	h := newHurt(t)
	h.writeUntil(t, "100 lines are there", func() bool { return h.Counters().Lines >= 100 })
	if err := errors.Join(os.RemoveAll(h.dir), os.WriteFile(h.dir, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	h.writeUntil(t, "the problem is told", func() bool { return len(h.problems) > 0 })
	if text := <-h.problems; !strings.Contains(text, "not a directory") {
		t.Errorf("%q", text)
	}
	h.writeUntil(t, "lines are dropped", func() bool { return h.Counters().Dropped > 0 })
	if text, err := os.ReadFile(h.dir); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(h.dir); err != nil {
		t.Fatal(err)
	}
	h.writeUntil(t, "it is well again", func() bool { return len(h.problems) > 0 })
	if text := <-h.problems; text != "<nil>" {
		t.Errorf("%q", text)
	}
	h.check(t)
}

// A file that can't be written any more is followed by another.
func TestAFileThatCantBeWrittenIsFollowedByAnother(t *testing.T) {
	leaktest.Check(t)
	h := newHurt(t)
	h.writeUntil(t, "100 lines are there", func() bool { return h.Counters().Lines >= 100 })
	file := logPath(h.dir, h.seq())
	leaktest.Need(t, "immutable files", setImmutable(file, true))
	t.Cleanup(func() { _ = setImmutable(file, false) })
	h.writeUntil(t, "another is begun", func() bool { return len(h.told) > 0 })
	if text := <-h.told; !strings.HasPrefix(text, filepath.Base(file)+" can't be ") {
		t.Errorf("%q", text)
	}
	before := h.n
	h.check(t)
	if h.got != before+100 {
		t.Errorf("%d lines of %d", h.got, before+100)
	}
}

const immutable = 0x10 // FS_IMMUTABLE_FL

func setImmutable(path string, on bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	if flags &^= immutable; on {
		flags |= immutable
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags)
}

// hurt is a log that is written to, and followed, while something is done to it.
type hurt struct {
	*Log
	told, problems chan string
	w              *os.File
	capture        *Capture
	n              int // lines that were written
	got            int // lines that were read
	followed       chan []string
	unfollow       context.CancelFunc
}

func newHurt(t *testing.T) *hurt {
	t.Helper()
	h := &hurt{told: make(chan string, 100), problems: make(chan string, 100), followed: make(chan []string, 1)}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "outsider"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewStore(dir, func(_ string, err error) { h.problems <- fmt.Sprint(err) })
	s.OnLoss(func(app string, replica int, what string) { h.told <- what })
	h.Log = s.Log("web", 1)
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h.w = w
	t.Cleanup(func() { w.Close() })
	if h.capture, err = h.Capture(Stdout, r, true, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h.unfollow = cancel
	go func() {
		var lines []string
		for line, err := range read(ctx, client.LogQuery{Follow: true}, h.Log) {
			if err != nil {
				t.Errorf("follow: %v", err)
			}
			lines = append(lines, line.Text)
			if strings.HasPrefix(line.Text, "the end") {
				break
			}
		}
		h.followed <- lines
	}()
	return h
}

func (h *hurt) write(t *testing.T) {
	t.Helper()
	if _, err := fmt.Fprintf(h.w, "line %d\n", h.n); err != nil {
		t.Fatal(err)
	}
	h.n++
}

// writeUntil writes lines, one after the other, until something is so.
func (h *hurt) writeUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	leaktest.Eventually(t, what, func() bool { h.write(t); return is() })
}

func (h *hurt) closed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.file == nil
}

func (h *hurt) seq() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end.seq
}

// check writes 100 lines more, and reads all: what was written since the loss is there, in
// its order, also for who followed; no file has a hole, and nothing outside was touched.
func (h *hurt) check(t *testing.T) {
	t.Helper()
	since := h.n
	for range 100 {
		h.write(t)
	}
	if _, err := h.w.WriteString("the end\n"); err != nil {
		t.Fatal(err)
	}
	h.w.Close()
	<-h.capture.Done()
	var lines []string
	for line, err := range read(t.Context(), client.LogQuery{}, h.Log) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Stream != "foster" {
			lines = append(lines, line.Text)
		}
	}
	h.got = len(lines) - 1
	h.inOrder(t, "read", lines, since)
	h.inOrder(t, "followed", <-h.followed, since)
	h.unfollow()
	if err := eachIn(h.dir, func(path string) error {
		text, err := os.ReadFile(path)
		if bytes.IndexByte(text, 0) >= 0 && filepath.Base(path) != stateFile {
			t.Errorf("%s has a hole", path)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(outsider(logPath(h.dir, 1))); err != nil || string(text) != "mine" {
		t.Errorf("a file outside was touched: %q, %v", text, err)
	}
}

func (h *hurt) inOrder(t *testing.T, how string, lines []string, since int) {
	t.Helper()
	last, late := -1, 0
	for _, text := range lines {
		n := -1
		if _, err := fmt.Sscanf(text, "line %d", &n); err != nil {
			continue // cut, or what foster says
		}
		if n <= last {
			t.Fatalf("%s: line %d after line %d", how, n, last)
		}
		if last = n; n >= since {
			late++
		}
	}
	if late != 100 {
		t.Errorf("%s: %d of 100 lines that were written afterwards", how, late)
	}
}
