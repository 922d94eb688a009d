package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/aging"
	"github.com/foster-init/foster/internal/leaktest"
)

// logOfBefore is what a life before has left: a log with one file, that has lines of some times.
func logOfBefore(t *testing.T, dir string, p Policy, times ...time.Time) string {
	t.Helper()
	l := &Log{app: "web", replica: 1, policy: p}
	var text []byte
	for _, at := range times {
		text = l.appendRecord(text, at, Stdout, false, false, []byte("text"))
	}
	path := logPath(filepath.Join(dir, "web.1"), 1)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// How old a file is, its first line says, in either format: each life writes to the file
// of the one before, and so does each line after a quiet time.
func TestAFileThatIsTooOldIsFollowedByAnother(t *testing.T) {
	for _, json := range []bool{false, true} {
		t.Run(fmt.Sprint(json), func(t *testing.T) {
			leaktest.Check(t)
			dir, now := t.TempDir(), time.Now()
			p := Policy{JSON: json, MaxAge: time.Hour}
			logOfBefore(t, dir, p, now.Add(-2*time.Hour), now)
			l := newLog(t, dir, p)
			w := pipe(t, l, Stdout)
			w.write("new\n")
			w.end()
			if _, err := os.Stat(logPath(l.dir, 2)); err != nil {
				t.Error(err)
			}
			if got := texts(t, []*Log{l}, client.LogQuery{}); strings.Join(got, " ") != "text text new" {
				t.Errorf("%q", got)
			}
		})
	}
}

// A clock that is set forward, also while nobody ran, removes nothing at once; what is
// really old is removed.
func TestAJumpOfTheClockRemovesNoLog(t *testing.T) {
	leaktest.Check(t)
	dir, start := t.TempDir(), time.Now()
	p := Policy{MaxAge: time.Hour}
	path := logOfBefore(t, dir, p, start)
	wall, up := start, time.Hour
	l := newLog(t, dir, p)
	l.store.clock = aging.New(start, func() (time.Time, time.Duration) { return wall, up })
	pass := func(really, shown time.Duration, kept bool) {
		t.Helper()
		up += really
		wall = wall.Add(shown)
		l.age(wall)
		if _, err := os.Stat(path); (err == nil) != kept {
			t.Errorf("after %v, and %v by the clock: %v", really, shown, err)
		}
	}
	w := pipe(t, l, Stdout)
	w.write("new\n")
	w.end()
	if err := os.Chtimes(path, start, start); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute, time.Minute, true)
	pass(time.Minute, 50*time.Hour, true)
	if _, err := os.Stat(logPath(l.dir, 2)); err != nil {
		t.Error("it wasn't rotated, so this tests nothing")
	}
	pass(50*time.Minute, 50*time.Minute, true)
	pass(20*time.Minute, 20*time.Minute, false)
}

func TestTheTimeBetweenTwoLivesRemovesNoLogAtOnce(t *testing.T) {
	leaktest.Check(t)
	dir, before := t.TempDir(), time.Now().Add(-48*time.Hour)
	p := Policy{MaxAge: time.Hour}
	path := logOfBefore(t, dir, p, before)
	for _, name := range []string{path, dir} { // as the life before has left it
		if err := os.Chtimes(name, before, before); err != nil {
			t.Fatal(err)
		}
	}
	l := newLog(t, dir, p)
	l.age(time.Now())
	if _, err := os.Stat(logPath(l.dir, 2)); err != nil {
		t.Error("it wasn't rotated, so this tests nothing")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	l = newLog(t, dir, p) // there was a life just now, that has seen the time pass
	l.age(time.Now())
	if _, err := os.Stat(path); err == nil {
		t.Error("it is kept, though it is old")
	}
}

// Whatever number of the newest lines somebody asks for, not more is held than a bound.
func TestTheNewestLinesAreNotHeldWhereTheyAreMany(t *testing.T) {
	leaktest.Check(t)
	s := NewStore(t.TempDir(), nil)
	const count = 300
	filler := strings.Repeat("x", 200_000) // together several times what is held
	var logs []*Log
	for _, app := range []string{"a", "b"} {
		l := s.Log(app, 1)
		w := pipe(t, l, Stdout)
		for n := range count {
			w.write(number(n) + " " + filler + "\n")
		}
		w.end()
		logs = append(logs, l)
	}
	before, most := inUse(), uint64(0)
	for _, n := range []int{1 << 31, 2*count - 7, count} {
		want := min(n, 2*count)
		next := map[string]int{"a": 2*count - want} // all of a was written before b
		got := 0
		for line, err := range read(t.Context(), client.LogQuery{Newest: n}, logs...) {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(line.Text, number(next[line.App])) {
				t.Fatalf("-n %d: %.50q of %s where %d was to come", n, line.Text, line.App, next[line.App])
			}
			next[line.App]++
			if got++; got%100 == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc+m.StackInuse)
			}
		}
		if got != want {
			t.Errorf("-n %d: %d lines, want %d", n, got, want)
		}
	}
	if most > before+16<<20 {
		t.Errorf("%d bytes were held", most-before)
	}
}
