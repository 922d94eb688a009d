package supervise

import (
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/logs"
	"github.com/foster-init/foster/internal/units"
)

// What an instance may have to show before it is ready: that it says so by sd_notify(3),
// that its readiness probe succeeds, that it writes a line, or that its leader exits and
// leaves a daemon. Where nothing of this is asked for, it is ready when it runs.

// notifies says whether an application has to say by sd_notify(3) that it is ready.
func notifies(spec *config.App) bool {
	return spec.Notify || spec.Readiness != nil && spec.Readiness.Notify
}

func (i *instance) seemsReady() bool {
	return (i.told || !notifies(&i.spec)) &&
		(i.forked || !i.current.Forking) &&
		(i.lineSeen || awaitedLine(&i.spec) == "") &&
		(i.healthy || checkOf(&i.spec, i.spec.Readiness) == nil)
}

// readiness looks whether an instance is ready, and tells when that changes.
func (s *Supervisor) readiness(i *instance) {
	alive := hasLife(i.m.State) && i.over == nil
	ready := alive && i.seemsReady()
	if ready == i.ready {
		return
	}
	i.ready, s.unsettled = ready, true
	if ready {
		s.patienceEnds(i)
		i.wasReady = true
		if i.spec.StartTimeout > 0 {
			s.shown(i)
		}
		s.event(i, "ready", "it is ready")
	} else if alive {
		s.event(i, "unready", "it isn't ready any more: %s", i.health)
	}
}

// shown notes what an instance says of itself only once, so that the supervisor that may
// follow this one knows it.
func (s *Supervisor) shown(i *instance) {
	s.memory.shown(i.treeID, shownNote{i.told, i.lineSeen, i.wasReady})
	s.problem("state", s.memory.broken)
	s.readiness(i)
}

// boundStart has the start of an instance fail when it isn't ready in time.
func (s *Supervisor) boundStart(i *instance) {
	s.patienceEnds(i)
	bound := i.spec.StartTimeout
	if bound == 0 || i.wasReady {
		return
	}
	var patience *time.Timer
	patience = time.AfterFunc(time.Until(i.began().Add(bound)), func() {
		s.post(func() {
			if i.patience != patience || s.ending {
				return
			}
			cause := fmt.Sprintf("its start has failed: it wasn't ready within %s", units.FormatDuration(bound))
			if i.health != "" {
				cause += ": " + i.health
			}
			i.fault = "timeout"
			s.step(i, Unready, cause, outcome{})
		})
	})
	i.patience = patience
}

func (s *Supervisor) patienceEnds(i *instance) {
	if i.patience != nil {
		i.patience.Stop()
		i.patience = nil
	}
}

// began is when the run under way began, as far as it is known yet.
func (i *instance) began() time.Time {
	switch {
	case !i.started.IsZero():
		return i.started
	case !i.record.Started.IsZero():
		return i.record.Started
	}
	return time.Now()
}

func awaitedLine(spec *config.App) string {
	if spec.Readiness == nil {
		return ""
	}
	return spec.Readiness.Log
}

// awaited is a line that a run has to write, until it was seen.
type awaited struct {
	pattern *regexp.Regexp
	seen    atomic.Bool
}

// awaitLine has whoever reads the output of an instance's run under way look for the line
// that its configuration says now.
func (s *Supervisor) awaitLine(i *instance) {
	i.awaited.Store(nil)
	text := awaitedLine(&i.spec)
	if text == "" || i.lineSeen {
		return
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		s.event(i, "probe", "readiness probe: log_line: %v", err)
		return
	}
	i.awaited.Store(&awaited{pattern: pattern})
}

// lineWatch gives what has to see each line of an instance's run under way, by any
// goroutine. It keeps nothing of the line.
func (s *Supervisor) lineWatch(i *instance) func(line []byte) {
	run, now := i.run, &atomic.Pointer[awaited]{} // what is left of a run before may still be read
	i.awaited = now
	s.awaitLine(i)
	return func(line []byte) {
		a := now.Load()
		if a == nil || a.seen.Load() || !a.pattern.Match(line) || a.seen.Swap(true) {
			return
		}
		go s.post(func() { s.sawLine(i, run, a) }) // who reads the output doesn't wait for the loop
	}
}

func (s *Supervisor) sawLine(i *instance, run uint64, a *awaited) {
	if run == i.run && i.awaited.Load() == a && !i.lineSeen {
		i.lineSeen = true
		s.shown(i)
	}
}

// awaitAnotherLine is awaitLine where the configuration has changed: what an instance has
// said counts no more, and what it says now it may have said before.
func (s *Supervisor) awaitAnotherLine(i *instance) {
	i.lineSeen = false
	if i.awaited == nil {
		return // nobody reads its output
	}
	s.awaitLine(i)
	if !i.started.IsZero() {
		s.lookForLine(i, i.started)
	}
}

func matches(pattern *regexp.Regexp, line client.Line) bool {
	if line.Raw != nil {
		return pattern.Match(line.Raw)
	}
	return pattern.MatchString(line.Text)
}

// lookForLine looks for the line in what a run has written that was taken over, or that another
// line is awaited of: the supervisor before may have been killed when the line was in the log,
// and wasn't noted.
// What comes from now on, the capture shows.
func (s *Supervisor) lookForLine(i *instance, began time.Time) {
	if i.awaited == nil || i.awaited.Load() == nil {
		return
	}
	run, a, own := i.run, i.awaited.Load(), []*logs.Log{s.logs.Log(i.app.spec.Name, i.replica)}
	query := logs.Query{LogQuery: client.LogQuery{Since: began}, Logs: func() ([]*logs.Log, error) { return own, nil }}
	s.helpers.Go(func() {
		for line, err := range s.logs.Read(s.life, query) {
			if err != nil {
				s.post(func() {
					s.event(i, "problem", "readiness probe: log_line: what it wrote before can't be read: %v", err)
				})
				return
			}
			if line.Stream != logs.Foster.String() && matches(a.pattern, line) {
				s.post(func() { s.sawLine(i, run, a) })
				return
			}
		}
	})
}
