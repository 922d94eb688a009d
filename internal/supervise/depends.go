package supervise

import (
	"cmp"
	"fmt"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// fact is what others may depend on, of one instance.
type fact struct {
	name    string // "": that of its application
	state   client.State
	ready   bool
	started bool // at least once, since it was last asked to
	ran     bool // to its end, since then
}

// verdict is whether a dependency is as it should be.
type verdict uint8

const (
	pending verdict = iota + 1
	met
	held       // it can't come true until somebody starts what was stopped
	impossible // it can't come true by itself
)

// judge says whether one instance meets a condition, and if it won't by itself, why.
func judge(c config.Condition, f fact) (verdict, string) {
	switch c {
	case config.Started:
		switch f.state {
		case client.Stopping, client.Stuck, client.Stopped:
		default:
			if f.started {
				return met, ""
			}
		}
	case config.Healthy, config.LogReady:
		if f.ready {
			return met, ""
		}
		if f.state == client.Completed {
			return impossible, "has ended"
		}
	case config.Completed:
		if f.ran && (f.state == client.Completed || f.state == client.Failed || f.state == client.Scheduled) {
			return met, ""
		}
	case config.CompletedSuccessfully:
		if f.state == client.Completed {
			return met, ""
		}
	}
	switch f.state {
	case client.Failed:
		return impossible, "has failed"
	case client.Stopped:
		return held, ""
	}
	return pending, ""
}

// dependenciesOf judges all that an application waits for. Of what was stopped, why is the
// name.
func dependenciesOf(app *config.App, facts func(app string) []fact) (_ verdict, why string) {
	all := met
	for _, d := range app.DependsOn {
		for _, f := range facts(d.App) {
			switch v, text := judge(d.Condition, f); v {
			case impossible:
				return impossible, fmt.Sprintf("%s %s", cmp.Or(f.name, d.App), text)
			case held:
				if all != held {
					all, why = held, cmp.Or(f.name, d.App)
				}
			case pending:
				if all == met {
					all, why = pending, fmt.Sprintf("waits for %s (%s)", cmp.Or(f.name, d.App), d.Condition)
				}
			}
		}
	}
	return all, why
}
