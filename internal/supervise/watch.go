package supervise

import (
	"context"
	"reflect"

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
	files := watch.Files{Paths: a.watched.Paths, Ignore: a.watched.Ignore, Debounce: a.watched.Debounce}
	s.helpers.Go(func() {
		err := s.watches.Run(ctx, files, func(c watch.Change) {
			s.post(func() {
				if ctx.Err() == nil {
					s.filesChanged(a, c)
				}
			})
		})
		if err != nil {
			s.post(func() {
				if ctx.Err() == nil {
					s.problem("watch of "+a.spec.Name, err)
				}
			})
		}
	})
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
	sig := i.app.watched.Signal
	if err := i.signal(sig, foster.ScopeLeader); err != nil {
		s.event(i, "watch", "%s: %v", c, err)
		return
	}
	s.event(i, "watch", "%s: %s was sent to its leader", c, units.SignalName(sig))
}
