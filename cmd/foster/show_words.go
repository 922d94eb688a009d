package main

import (
	"time"

	"github.com/foster-init/foster/client"
)

// words say what happened, and in which colour. Of what a person sees anyway, or has
// just asked for, there are none.
func (s *show) words(e client.Event) (string, colour) {
	switch e.Kind {
	case "state":
		return stateChange(e)
	case "ready":
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.probed[e.App] {
			return "", plain
		}
		return "ready", faint
	case "hook", "probe", "lease", "watchdog", "killed", "problem", "limits":
		return e.Cause, yellow
	}
	return e.Cause, faint
}

// askedToStop is the cause of a stop that a person wanted, who need not be told so.
const askedToStop = "asked to stop"

func stateChange(e client.Event) (string, colour) {
	switch e.To {
	case client.Running, client.Completed:
		return e.Cause, faint
	case client.LeaderLost:
		return e.Cause, yellow
	case client.Stopping:
		if e.Cause == askedToStop || e.From == client.Starting { // whose cause is the start
			return "stopping", faint
		}
		return "stopping: " + e.Cause, faint
	case client.Stopped:
		if e.From == client.Stopping || e.Cause == askedToStop {
			return "stopped", faint
		}
		return "stopped: " + e.Cause, faint
	case client.Backoff:
		if e.Due.IsZero() {
			return e.Cause + "; it is started again", yellow
		}
		return e.Cause + "; it is started again in " + short(max(0, e.Due.Sub(e.Time)).Round(time.Millisecond)), yellow
	case client.Failed:
		return "failed: " + e.Cause, red
	case client.Stuck:
		return e.Cause, red
	case client.Scheduled:
		if e.From == client.Stopped {
			return "", plain
		}
		return e.Cause, faint
	}
	return "", plain
}
