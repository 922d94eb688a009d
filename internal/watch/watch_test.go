package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/fsnotify/fsnotify"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// watched watches below a new folder until the test ends.
func watched(t *testing.T, dir string, paths ...string) <-chan Change {
	t.Helper()
	leaktest.Check(t)
	for n := range paths {
		paths[n] = filepath.Join(dir, paths[n])
	}
	ctx, cancel := context.WithCancel(context.Background())
	changes, ended := make(chan Change, 100), make(chan error, 1)
	go func() {
		ended <- new(Hub).Run(ctx, Files{Paths: paths, Debounce: 20 * time.Millisecond}, func(c Change) { changes <- c })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	// It watches when a first change is told: one that is made again and again.
	first := filepath.Join(dir, "first.go")
	leaktest.Eventually(t, "it watches", func() bool {
		write(t, first)
		select {
		case <-changes:
			return true
		case <-time.After(30 * time.Millisecond):
			return false
		}
	})
	settled(changes)
	return changes
}

// settled takes what is still on its way.
func settled(changes <-chan Change) {
	for {
		select {
		case <-changes:
		case <-time.After(300 * time.Millisecond):
			return
		}
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(time.Now().String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, changes <-chan Change) Change {
	t.Helper()
	select {
	case c := <-changes:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("no change was told")
	}
	return Change{}
}

func TestChangesAreSeenHoweverTheyAreMade(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("sub/old.go"))
	changes := watched(t, dir, "**/*.go")
	for _, c := range []struct {
		name, path string
		do         func()
	}{
		{"written", "sub/old.go", func() { write(t, in("sub/old.go")) }},
		{"new", "sub/new.go", func() { write(t, in("sub/new.go")) }},
		{"touched", "sub/new.go", func() { now := time.Now(); must(t, os.Chtimes(in("sub/new.go"), now, now)) }},
		{"another in its place, as editors save", "sub/old.go", func() {
			must(t, os.Rename(in("sub/old.go"), in("sub/old.go~")))
			write(t, in("sub/.old.go.swp"))
			must(t, os.Rename(in("sub/.old.go.swp"), in("sub/old.go")))
		}},
		{"removed", "sub/new.go", func() { must(t, os.Remove(in("sub/new.go"))) }},
		{"in folders that are new", "deep/er/still/x.go", func() { write(t, in("deep/er/still/x.go")) }},
		{"later in a folder that was new", "deep/er/still/x.go", func() { write(t, in("deep/er/still/x.go")) }},
		{"a folder is moved away", "deep/er", func() { must(t, os.Rename(in("deep/er"), filepath.Join(t.TempDir(), "er"))) }},
		{"and another comes", "deep/er/y.go", func() { write(t, in("deep/er/y.go")) }},
		{"later in that", "deep/er/y.go", func() { write(t, in("deep/er/y.go")) }},
	} {
		t.Log(c.name)
		c.do()
		if got := next(t, changes); got.Path != in(c.path) {
			t.Errorf("%s: %s", c.name, got)
		}
		settled(changes)
	}
	write(t, in("sub/readme.txt"))
	must(t, os.Chmod(in("deep/er/y.go"), 0o640))
	write(t, in("sub/last.go"))
	if got := next(t, changes); got.Path != in("sub/last.go") && got.Path != in("deep/er/y.go") { // it was just written
		t.Errorf("what doesn't count was told: %s", got)
	}
}

func TestABaseThatIsNotThereYetOrIsReplaced(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	changes := watched(t, dir, "first.go", "src/app/*.go", "current/*.go")
	write(t, in("src/app/a.go"))
	if got := next(t, changes); got.Path != in("src/app/a.go") {
		t.Errorf("it came: %s", got)
	}
	settled(changes)
	must(t, os.RemoveAll(in("src")))
	next(t, changes)
	settled(changes)
	write(t, in("src/app/b.go"))
	if got := next(t, changes); !strings.HasPrefix(got.Path, in("src")) {
		t.Errorf("it came again: %s", got)
	}
	settled(changes)
	write(t, in("src/app/b.go"))
	next(t, changes)
	settled(changes)

	write(t, in("release-1/x.go"))
	write(t, in("release-2/x.go"))
	for _, release := range []string{"release-1", "release-2"} {
		must(t, os.Symlink(in(release), in("link")))
		must(t, os.Rename(in("link"), in("current")))
		if got := next(t, changes); got.Path != in("current/x.go") {
			t.Errorf("%s is current: %s", release, got)
		}
		settled(changes)
		write(t, in(release+"/x.go"))
		if got := next(t, changes); got.Path != in("current/x.go") {
			t.Errorf("written in %s: %s", release, got)
		}
		settled(changes)
	}
}

func TestABurstIsOneChange(t *testing.T) {
	for _, c := range []struct {
		name  string
		times []time.Duration // of changes, from the begin
		told  string
	}{
		{"one", []time.Duration{0}, "100ms: a0 has changed"},
		{"a burst", []time.Duration{0, 50e6, 149e6, 248e6}, "348ms: a0 and others have changed"},
		{"two bursts", []time.Duration{0, 50e6, 151e6}, "150ms: a0 and others have changed, 251ms: a2 has changed"},
		{"never quiet", every(90*time.Millisecond, 7*time.Second), "5s: a0 and others have changed, 7.03s: a56 and others have changed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			seen, begun := make(chan string), time.Now()
			var told []string
			go debounce(ctx, 100*time.Millisecond, seen, func(c Change) {
				told = append(told, fmt.Sprintf("%s: %s", time.Since(begun), c))
			})
			for n, at := range c.times {
				<-time.After(at - time.Since(begun)) // of the test's own clock
				seen <- fmt.Sprintf("a%d", n)
			}
			<-time.After(time.Second)
			cancel()
			synctest.Wait()
			if got := strings.Join(told, ", "); got != c.told {
				t.Errorf("%s: %s; want %s", c.name, got, c.told)
			}
		})
	}
}

func every(pause, total time.Duration) (times []time.Duration) {
	for at := time.Duration(0); at < total; at += pause {
		times = append(times, at)
	}
	return times
}

// refusing is a system that has no more to give.
type refusing struct{ err error }

func (r refusing) Add(string) error  { return r.err }
func (refusing) Remove(string) error { return nil }

func TestALimitIsAnErrorThatNamesIt(t *testing.T) {
	dir := t.TempDir()
	m, err := newMatcher(Files{Paths: []string{dir + "/**"}})
	must(t, err)
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "sysctl fs.inotify.max_user_watches=", syscall.EMFILE: "sysctl fs.inotify.max_user_instances=", syscall.EACCES: "permission denied",
	} {
		if _, err := newFolders(m, refusing{errno}).rescan(); !errors.Is(err, errno) && !strings.Contains(fmt.Sprint(err), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v: %v", errno, err)
		}
	}
	for n := range 5 {
		must(t, os.Mkdir(fmt.Sprintf("%s/%d", dir, n), 0o700))
	}
	f := newFolders(m, refusing{nil})
	f.most = 4
	if _, err := f.rescan(); err == nil || !strings.Contains(err.Error(), "more than 4 folders") {
		t.Errorf("%v", err)
	}
}

// late is a watcher that is late: something happens before its watch of a folder begins.
type late map[string]func()

func (l late) Add(path string) error {
	happens := l[path]
	delete(l, path)
	if happens != nil {
		happens()
	}
	return nil
}

func (late) Remove(string) error { return nil }

// Of what happens between a look and the watch, nobody tells.
func TestABaseThatComesOrGoesBeforeTheWatchBeginsIsSeen(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "src/app")
	m, err := newMatcher(Files{Paths: []string{base + "/*.go"}})
	must(t, err)
	f := newFolders(m, late{
		dir:                       func() { must(t, os.Mkdir(filepath.Join(dir, "src"), 0o700)) },
		filepath.Join(dir, "src"): func() { write(t, filepath.Join(base, "a.go")) },
	})
	found, err := f.rescan()
	if err != nil || len(found) != 1 || !f.watched[base] {
		t.Errorf("it comes: %v, %v; watched: %v", found, err, f.watched)
	}
	must(t, os.RemoveAll(base))
	f = newFolders(m, late{filepath.Join(dir, "src"): func() { must(t, os.Remove(filepath.Join(dir, "src"))) }})
	if _, err := f.rescan(); err != nil || !f.watched[dir] {
		t.Errorf("it goes: %v; watched: %v", err, f.watched)
	}
}

// What the kernel couldn't keep is taken for a change, and new folders are found.
func TestAnOverflowIsAChange(t *testing.T) {
	dir := t.TempDir()
	m, err := newMatcher(Files{Paths: []string{dir + "/**"}})
	must(t, err)
	notified := newMember(nil)
	f := newFolders(m, refusing{nil})
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := make(chan string), make(chan error, 1)
	go func() { ended <- follow(ctx, f, notified, seen) }()
	must(t, os.Mkdir(filepath.Join(dir, "new"), 0o700))
	notified.put(fsnotify.Event{}, fsnotify.ErrEventOverflow)
	if path := <-seen; path != "" {
		t.Errorf("%q", path)
	}
	cancel()
	if err := <-ended; err != nil || !f.watched[filepath.Join(dir, "new")] {
		t.Errorf("%v, watched: %v", err, f.watched)
	}
}
