package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/fsnotify/fsnotify"
)

// joined watches by a hub until the test ends, or leaves it.
type joined struct {
	told  chan Change
	leave func()
}

func join(t *testing.T, h *Hub, paths ...string) *joined {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	j, ended := &joined{told: make(chan Change, 1000)}, make(chan error, 1)
	go func() {
		ended <- h.Run(ctx, Files{Paths: paths, Debounce: time.Millisecond}, func(c Change) { j.told <- c })
	}()
	left := false
	j.leave = func() {
		if left {
			return
		}
		left = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(j.leave)
	return j
}

// hears changes a file until the change is told, under this name.
func (j *joined) hears(t *testing.T, file, as string) {
	t.Helper()
	clock := time.NewTicker(50 * time.Millisecond)
	defer clock.Stop()
	write(t, file)
	leaktest.Eventually(t, as+" is told", func() bool {
		select {
		case c := <-j.told:
			return c.Path == as
		case <-clock.C: // it may not have been watched before
			write(t, file)
		default:
		}
		return false
	})
}

// instances is how many of inotify(7) this process has.
func instances(t *testing.T) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.Contains(to, "inotify") {
			n++
		}
	}
	return n
}

// A user has 128 instances of inotify by default.
func TestManyWatchByOneInstance(t *testing.T) {
	leaktest.Check(t)
	_, err := os.Stat("/proc/sys/fs/inotify")
	leaktest.Need(t, "inotify", err)
	var h Hub
	var all []*joined
	dir, before := t.TempDir(), instances(t)
	folder := func(n int) string { return fmt.Sprintf("%s/%d", dir, n) }
	for n := range 200 {
		must(t, os.Mkdir(folder(n), 0o700))
		all = append(all, join(t, &h, folder(n)+"/*.go", dir+"/common/*.go"))
	}
	for n, j := range all {
		j.hears(t, folder(n)+"/a.go", folder(n)+"/a.go")
	}
	for _, j := range all {
		j.hears(t, dir+"/common/a.go", dir+"/common/a.go")
	}
	if n := instances(t) - before; n != 1 {
		t.Errorf("%d instances", n)
	}
	for _, j := range all[1:] { // what they had in common is still watched
		j.leave()
	}
	for len(all[0].told) > 0 {
		<-all[0].told
	}
	all[0].hears(t, dir+"/common/b.go", dir+"/common/b.go")
	all[0].leave()
	if n := instances(t) - before; n != 0 {
		t.Errorf("%d instances when nobody watches", n)
	}
	join(t, &h, dir+"/again/*.go").hears(t, dir+"/again/a.go", dir+"/again/a.go")
}

// A folder is watched once, and yet told of by the name by which each has asked for it.
func TestAFolderOfSeveralNamesIsToldOfByEach(t *testing.T) {
	leaktest.Check(t)
	var h Hub
	dir := t.TempDir()
	write(t, dir+"/release-1/sub/x.go")
	write(t, dir+"/release-2/sub/x.go")
	link := func(to string) {
		must(t, os.Symlink(to, dir+"/link"))
		must(t, os.Rename(dir+"/link", dir+"/current"))
	}
	link("release-1")
	byLink, byName := join(t, &h, dir+"/current/**"), join(t, &h, dir+"/release-1/**")
	for range 2 {
		byLink.hears(t, dir+"/release-1/sub/x.go", dir+"/current/sub/x.go")
		byName.hears(t, dir+"/release-1/sub/x.go", dir+"/release-1/sub/x.go")
	}
	link("release-2")
	byLink.hears(t, dir+"/release-2/sub/x.go", dir+"/current/sub/x.go")
	byName.hears(t, dir+"/release-1/sub/x.go", dir+"/release-1/sub/x.go")
}

// Who doesn't take its events holds up nobody, and is told that some were lost.
func TestWhoIsSlowHoldsUpNobody(t *testing.T) {
	m := newMember(nil)
	for range mostWaiting + 2 {
		m.put(fsnotify.Event{Name: "a"}, nil)
	}
	if events, err := m.take(); len(events) != 1 || err != fsnotify.ErrEventOverflow {
		t.Errorf("%d events, %v", len(events), err)
	}
	if events, err := m.take(); len(events) != 0 || err != nil {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// fsnotify may hold its lock until an error is taken, which who adds a folder waits for.
func TestAnErrorIsTakenWhileSomebodyAddsAFolder(t *testing.T) {
	var h Hub
	m, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	defer m.leave()
	h.mu.Lock() // as Add does
	for _, err := range []error{syscall.EINVAL, syscall.ENOSPC} {
		select {
		case h.notify.Errors <- err:
		case <-time.After(10 * time.Second):
			t.Error("nobody takes the error")
		}
	}
	h.mu.Unlock()
	<-m.news
	if _, failed := m.take(); failed != syscall.ENOSPC {
		t.Errorf("the member was told %v", failed)
	}
}
