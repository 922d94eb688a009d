package supervise

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/watch"
)

// Applications that are restarted, or sent a signal, when files change.

// setWatch watches the files of an application, as the configuration says now.
func (s *Supervisor) setWatch(a *app) {
	if reflect.DeepEqual(a.watched, a.spec.Watch) {
		return
	}
	s.unwatch(a)
	a.watched = a.spec.Watch
	if a.watched == nil {
		return
	}
	ctx, cancel := context.WithCancel(s.life)
	a.unwatch = cancel
	tell := func(f func()) {
		s.post(func() {
			if ctx.Err() == nil {
				f()
			}
		})
	}
	what := "watch of " + a.spec.Name
	files := watch.Files{
		Paths: a.watched.Paths, Ignore: a.watched.Ignore, Debounce: a.watched.Debounce,
		Watching: func() { tell(func() { s.problem(what, nil) }) },
	}
	s.helpers.Go(func() {
		s.watchAgain(ctx, files, func(c watch.Change) { tell(func() { s.filesChanged(a, c) }) },
			func(err error) { tell(func() { s.problem(what, fmt.Errorf("%w; it is tried again", err)) }) })
	})
}

// A watch that has failed is begun again after a pause, which grows up to a bound: the limits
// of inotify are those of all programs of a user, and others end.
const (
	firstWatchPause = time.Second
	mostWatchPause  = time.Minute
)

// watchAgain watches files until ctx is done.
func (s *Supervisor) watchAgain(ctx context.Context, files watch.Files, changed func(watch.Change), failed func(error)) {
	pause := firstWatchPause
	for {
		began := time.Now()
		err := s.watchFiles(ctx, files, changed)
		if err == nil || ctx.Err() != nil {
			return
		}
		failed(err)
		if time.Since(began) > mostWatchPause {
			pause = firstWatchPause
		}
		clock := time.NewTimer(pause)
		select {
		case <-clock.C:
		case <-ctx.Done():
			clock.Stop()
			return
		}
		pause = min(2*pause, mostWatchPause)
	}
}

func (s *Supervisor) unwatch(a *app) {
	if a.unwatch != nil {
		a.unwatch()
		a.unwatch = nil
		s.problem("watch of "+a.spec.Name, nil)
	}
	a.watched = nil
}

// filesChanged restarts the instances that run, and those that have ended: what was
// changed may be what they lacked. Those that were stopped by hand stay so.
func (s *Supervisor) filesChanged(a *app, c watch.Change) {
	if s.ending || s.resigned {
		return
	}
	for _, i := range a.instances {
		if sig := a.watched.Signal; sig != 0 {
			if hasLife(i.m.State) {
				s.signalChange(i, c)
			}
			continue
		}
		switch i.m.State {
		case client.Starting, client.Running, client.LeaderLost, client.Backoff, client.Completed, client.Failed:
			if !i.staysStopped() {
				s.restart(i, "after a change of files", c.String())
			}
		}
	}
}

func (s *Supervisor) signalChange(i *instance, c watch.Change) {
	sig, tree := i.app.watched.Signal, i.tree
	s.helpers.Go(func() {
		err := signalTree(tree, sig, foster.ScopeLeader)
		s.post(func() {
			if err != nil {
				s.event(i, "watch", "%s: %v", c, err)
				return
			}
			s.event(i, "watch", "%s: %s was sent to its leader", c, units.SignalName(sig))
		})
	})
}
