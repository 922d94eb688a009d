package logs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

// session writes lines to the log in a folder, by a store of its own, and gives what the
// log has then.
func session(t *testing.T, dir string, p Policy, lines ...string) []string {
	t.Helper()
	l := newLog(t, dir, p)
	w := pipe(t, l, Stdout)
	for _, line := range lines {
		w.write(line + "\n")
	}
	w.end()
	return texts(t, []*Log{l}, client.LogQuery{})
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(lines, "|") {
		t.Errorf("%q, want %q", got, lines)
	}
}

// What a life before has left is read as it was whole, whatever stands behind it.
func TestWhatIsLeftIsReadAsItWasWhole(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(t *testing.T, dir string)
		want []string
	}{
		{"nothing", func(*testing.T, string) {}, []string{"one", "two", "three"}},
		{"a batch that wasn't committed", func(t *testing.T, dir string) {
			add(t, logPath(dir, 1), "2026-11-25T13:00:00.123456Z stdout F twice\n2026-")
		}, []string{"one", "two", "three"}},
		{"a file of a rotation that wasn't committed", func(t *testing.T, dir string) {
			add(t, logPath(dir, 2), "2026-11-25T13:00:00.123456Z stdout F twice\n")
		}, []string{"one", "two", "three"}},
		{"a file that was being compressed", func(t *testing.T, dir string) {
			add(t, logPath(dir, 1)+gzSuffix+tmpSuffix, "half")
		}, []string{"one", "two", "three"}},
		{"a state of another boot, and a torn end", func(t *testing.T, dir string) {
			harmState(t, dir, 48)
			add(t, logPath(dir, 1), "2026-11-25T13:00")
		}, []string{"one", "two", "three"}},
		{"a state that isn't whole", func(t *testing.T, dir string) { harmState(t, dir, 60) }, []string{"one", "two", "three"}},
		{"a spool of nobody", func(t *testing.T, dir string) {
			add(t, filepath.Join(dir, "stdout.spool.00000000000003e8"), "twice\n")
		}, []string{"one", "two", "three"}},
		{"files that were removed by hand", func(t *testing.T, dir string) {
			if err := os.Remove(logPath(dir, 1)); err != nil {
				t.Fatal(err)
			}
		}, []string{"three"}},
		{"a file that was cut by hand", func(t *testing.T, dir string) {
			if err := os.Truncate(logPath(dir, 1), 0); err != nil {
				t.Fatal(err)
			}
		}, []string{"three"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaktest.Check(t)
			dir := t.TempDir()
			want(t, session(t, dir, Policy{}, "one", "two"), "one", "two")
			c.harm(t, filepath.Join(dir, "web.1"))
			want(t, session(t, dir, Policy{}, "three"), c.want...)
		})
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := create(path, os.O_APPEND)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// harmState changes one byte of a state.
func harmState(t *testing.T, dir string, at int) {
	t.Helper()
	path := filepath.Join(dir, stateFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherFormatBeginsAnotherFile(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	session(t, dir, Policy{}, "plain")
	session(t, dir, Policy{JSON: true}, "json")
	want(t, session(t, dir, Policy{}, "plain again"), "plain", "json", "plain again")
	if files, _ := filepath.Glob(filepath.Join(dir, "web.1", "*.log")); len(files) != 3 {
		t.Errorf("%q", files)
	}
}

// What is older than the policy keeps is removed, also where nothing is written.
func TestOldFilesAreRemoved(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	session(t, dir, Policy{}, "old")
	session(t, dir, Policy{JSON: true}, "of now") // another format: another file
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(logPath(filepath.Join(dir, "web.1"), 1), past, past); err != nil {
		t.Fatal(err)
	}
	l := newLog(t, dir, Policy{JSON: true, MaxAge: time.Minute})
	l.age(time.Now())
	want(t, texts(t, []*Log{l}, client.LogQuery{}), "of now")
	l.age(time.Now().Add(2 * time.Minute)) // the last becomes old, and is no longer written to
	l.age(time.Now().Add(4 * time.Minute))
	if got := texts(t, []*Log{l}, client.LogQuery{}); got != nil {
		t.Errorf("%q", got)
	}
	want(t, session(t, dir, Policy{JSON: true}, "new"), "new")
}

func TestCurrentIsTheFileThatIsWrittenTo(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	session(t, dir, Policy{MaxSize: 100, MaxFiles: 10}, number(1), number(2), number(3))
	text, err := os.ReadFile(filepath.Join(dir, "web.1", "current"))
	if err != nil || !strings.HasSuffix(string(text), " stdout F "+number(3)+"\n") || strings.Count(string(text), "\n") != 1 {
		t.Errorf("%q, %v", text, err)
	}
}

func FuzzState(f *testing.F) {
	s := state{end: position{3, 4}, used: [2]int64{5, 6}, mid: [2]bool{true, false}}
	b := s.encode()
	f.Add(b[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := decodeState(b)
		if again := s.encode(); ok && string(again[:]) != string(b) {
			t.Errorf("%q was read as %+v", b, s)
		}
	})
}
