package supervise

import (
	"context"
	"fmt"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/probe"
)

// Which probe of an application.
type which uint8

const (
	readiness which = iota
	liveness
	probes // how many there are
)

func (w which) String() string { return [...]string{"readiness", "liveness"}[w] }

// probeState is what is known by one probe of an instance.
type probeState struct {
	counters api.ProbeCounters
	failing  string // what the last check found wrong
}

// hasLife says whether an instance is one that can be asked: it runs, and isn't being
// stopped.
func hasLife(s client.State) bool { return s == client.Running || s == client.LeaderLost }

// startProbes begins to ask an instance. What asks ends by stopProbes.
func (s *Supervisor) startProbes(i *instance) {
	s.stopProbes(i)
	if i.over != nil {
		return
	}
	s.boundStart(i)
	ctx, cancel := context.WithCancel(s.life)
	i.probing = cancel
	run := i.run
	for w, p := range [probes]*config.Probe{i.spec.Readiness, i.spec.Liveness} {
		current := i.current
		check := checkOf(&current, p)
		if check == nil {
			continue
		}
		settings := settingsOf(p)
		if settings.StartPeriod > 0 { // what is left of it, where it was taken over
			settings.StartPeriod = time.Until(i.began().Add(settings.StartPeriod))
		}
		s.helpers.Go(func() {
			probe.Run(ctx, check, settings, func(a probe.Answer) {
				s.post(func() {
					if run == i.run && ctx.Err() == nil {
						s.answered(i, which(w), a)
					}
				})
			})
		})
	}
}

func (s *Supervisor) stopProbes(i *instance) {
	if i.probing != nil {
		i.probing()
		i.probing = nil
	}
	s.patienceEnds(i)
	i.healthy = false
	for w := range i.probes {
		i.probes[w].failing = ""
	}
}

func settingsOf(p *config.Probe) probe.Settings {
	return probe.Settings{
		InitialDelay: p.InitialDelay, StartPeriod: p.StartPeriod, Period: p.Period, Timeout: p.Timeout,
		SuccessThreshold: p.SuccessThreshold, FailureThreshold: p.FailureThreshold,
	}
}

// checkOf is what a probe asks; nil: there is nothing to ask again and again. A command
// runs as the application does, as a tree of its own.
func checkOf(current *config.App, p *config.Probe) probe.Check {
	switch {
	case p == nil:
		return nil
	case len(p.Exec) > 0:
		timeout := settingsOf(p).Complete().Timeout
		return func(ctx context.Context) error { return runFor(ctx, current, timeout, p.Exec) }
	case p.HTTP != nil:
		return probe.HTTP(*p.HTTP).Check()
	case p.TCP != nil:
		return probe.TCP(*p.TCP).Check()
	}
	return nil
}

// answered takes the answer of a check.
func (s *Supervisor) answered(i *instance, w which, a probe.Answer) {
	p := &i.probes[w]
	p.counters.Seconds += a.Took.Seconds()
	p.counters.Last = a.Took
	was := p.failing
	if a.Err == nil {
		p.counters.Successes++
		p.failing = ""
	} else {
		p.counters.Failures++
		if a.Early {
			return
		}
		p.failing = fmt.Sprintf("%s probe failed: %v", w, a.Err)
	}
	switch {
	case was == "" && p.failing != "":
		s.event(i, "probe", "%s", p.failing)
	case was != "" && p.failing == "":
		s.event(i, "probe", "%s probe succeeds", w)
	}
	i.health = i.probes[readiness].failing
	if text := i.probes[liveness].failing; text != "" {
		i.health = text
	}
	switch {
	case w == readiness && a.Health != probe.Unknown:
		i.healthy = a.Health == probe.Healthy
		s.readiness(i)
	case w == liveness && a.Changed && a.Health == probe.Unhealthy && !s.ending: // it ends in its turn
		i.fault = "watchdog"
		s.step(i, Unwell, p.failing, outcome{})
	}
}

// counters are the totals of an instance's probes, by their names.
func (i *instance) probeCounters() map[string]api.ProbeCounters {
	found := map[string]api.ProbeCounters{}
	for w, p := range i.probes {
		if p.counters.Successes+p.counters.Failures > 0 {
			found[which(w).String()] = p.counters
		}
	}
	return found
}
