package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/watch"
)

// watcher is an application that is restarted when files in a folder change.
func watcher(t *testing.T) (app config.App, folder, out string) {
	folder, out = t.TempDir(), filepath.Join(t.TempDir(), "out")
	app = script("web", fmt.Sprintf(`trap 'echo reads it again >> %[1]s' HUP; trap 'exit 0' TERM; echo start >> %[1]s; while :; do sleep 0.01; done`, out))
	app.Watch = &config.Watch{Paths: []string{folder + "/**/*.go"}, Debounce: 700 * time.Millisecond}
	return app, folder, out
}

// change changes a file until something is seen to follow.
func change(t *testing.T, folder, what string, follows func() bool) {
	t.Helper()
	clock := time.NewTicker(2 * time.Second) // longer than the debounce
	defer clock.Stop()
	leaktest.Eventually(t, what, func() bool {
		select {
		case <-clock.C: // it may not have been watched before
			touch(t, filepath.Join(folder, "first.go"))
		default:
		}
		return follows()
	})
}

func TestABurstOfChangesRestartsOnce(t *testing.T) {
	app, folder, out := watcher(t)
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	said(t, out, "start")
	change(t, folder, "it is restarted", func() bool { return instanceOf(t, s, "web").Restarts > 0 })
	leaktest.Eventually(t, "it is quiet", func() bool {
		i := instanceOf(t, s, "web")
		return i.State == client.Running && time.Since(i.Since) > 2*app.Watch.Debounce
	})
	before := instanceOf(t, s, "web")
	for n := range 20 {
		touch(t, filepath.Join(folder, fmt.Sprintf("new-%d.go", n)))
		touch(t, filepath.Join(folder, "notes.txt"))
	}
	leaktest.Eventually(t, "it is restarted again", func() bool {
		i := instanceOf(t, s, "web")
		return i.State == client.Running && i.PID != before.PID && time.Since(i.Since) > 2*app.Watch.Debounce
	})
	if i := instanceOf(t, s, "web"); i.Restarts != before.Restarts+1 || !strings.HasPrefix(i.Cause, "started after a change of files") {
		t.Errorf("%d restarts, were %d; %q", i.Restarts, before.Restarts, i.Cause)
	}
	told(t, s, "state", "new-0.go and others have changed")
}

func TestAChangeMayBeToldByASignal(t *testing.T) {
	app, folder, out := watcher(t)
	app.Watch.Signal = syscall.SIGHUP
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{})
	said(t, out, "start")
	change(t, folder, "it reads its files again", func() bool { return strings.Contains(lines(t, out), "reads it again") })
	if i := instanceOf(t, s, "web"); i.Restarts != 0 || i.State != client.Running {
		t.Errorf("%s, %d restarts", i.State, i.Restarts)
	}
	told(t, s, "watch", "HUP was sent to its leader")
}

// What has ended is started, since what has changed may be what it lacked; what was
// stopped by hand isn't.
func TestAChangeStartsWhatHasEndedButNotWhatWasStopped(t *testing.T) {
	app, folder, _ := watcher(t)
	fixed := filepath.Join(folder, "fixed")
	app.Command = []string{"/bin/sh", "-c", "test -e " + fixed + " && exec sleep 1000"}
	other := app
	other.Name = "other"
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app, other}}, Options{})
	awaitState(t, s, "web", client.Failed)
	if err := s.Stop(t.Context(), []client.Target{{App: "other"}}); err != nil {
		t.Fatal(err)
	}
	touch(t, fixed)
	change(t, folder, "it runs", func() bool { return instanceOf(t, s, "web").State == client.Running })
	if i := instanceOf(t, s, "other"); i.State != client.Stopped {
		t.Errorf("%s", i.State)
	}
}

func TestWhatCannotBeWatchedIsAProblem(t *testing.T) {
	app, folder, out := watcher(t)
	app.Watch.Paths = []string{folder + "/[x"}
	next := app
	next.Watch = nil
	load := func() (*config.Project, error) {
		return &config.Project{Name: "test", Apps: []config.App{next}}, nil
	}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{app}}, Options{Load: load})
	said(t, out, "start")
	problems := func() string { return strings.Join(s.Status().Problems, "\n") }
	leaktest.Eventually(t, "it is told", func() bool { return strings.Contains(problems(), "watch of web: watch: ") })
	if _, err := s.Update(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if problems() != "" {
		t.Errorf("%s", problems())
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}

// A watch that fails is told, and begun again: what changes then is seen.
func TestAWatchThatFailsIsBegunAgain(t *testing.T) {
	leaktest.Check(t)
	app, folder, out := watcher(t)
	s := New(oneApp(app), Options{State: t.TempDir()})
	var tries atomic.Int32
	s.watchFiles = func(ctx context.Context, files watch.Files, changed func(watch.Change)) error {
		if tries.Add(1) == 1 {
			return errors.New("watch: the limit is reached")
		}
		return s.watches.Run(ctx, files, changed)
	}
	run(t, s)
	said(t, out, "start")
	told(t, s, "problem", "watch of web: watch: the limit is reached; it is tried again")
	told(t, s, "problem", "watch of web works again")
	if problems := s.Status().Problems; len(problems) > 0 {
		t.Errorf("%q", problems)
	}
	change(t, folder, "it is restarted", func() bool { return instanceOf(t, s, "web").Restarts > 0 })
}

// What has ended, and is watched, is not at rest for good: only by a change that is a signal
// is it left alone.
func TestWhatIsWatchedWaitsForItsFiles(t *testing.T) {
	for _, c := range []struct {
		sig  syscall.Signal
		text string
		want Rest
	}{
		{0, "exit 1", Rest{Failed: true, Watches: true}}, {0, "exit 0", Rest{Watches: true}}, {syscall.SIGHUP, "exit 1", Rest{Failed: true}},
	} {
		app, _, _ := watcher(t)
		app.Command[2], app.Watch.Signal = c.text, c.sig
		s, end := running(t, oneApp(app), Options{})
		leaktest.Eventually(t, "it is at rest", func() bool { _, ok := s.AtRest(); return ok })
		if got, _ := s.AtRest(); got != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
		if err := s.Stop(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got, ok := s.AtRest(); !ok || got != (Rest{}) {
			t.Errorf("%+v, stopped by hand: %+v, %v", c, got, ok)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
}
