package supervise

import (
	"math"
	"time"

	"github.com/foster-init/foster/internal/config"
)

// attempts is what is remembered of an instance's restarts. It is a value.
type attempts struct {
	inARow int         // since the last run that lasted
	times  []time.Time // of the restarts that may count within the window
}

// next says how long to pause before another start, after a run that has lasted ran, or
// that there were enough. random is from 0 to 1.
func (a attempts) next(r config.Restart, now time.Time, ran time.Duration, random float64) (_ attempts, pause time.Duration, exhausted bool) {
	if ran > r.Backoff.Max {
		a.inARow = 0
	}
	if r.MaxRestarts > 0 {
		times := make([]time.Time, 0, len(a.times)+1)
		for _, t := range a.times {
			if r.Window == 0 || now.Sub(t) < r.Window {
				times = append(times, t)
			}
		}
		if len(times) >= r.MaxRestarts {
			return a, 0, true
		}
		a.times = append(times, now)
	}
	pause = pauseOf(r.Backoff, a.inARow, random)
	a.inARow++
	return a, pause, false
}

// pauseOf is the pause after so many restarts in a row.
func pauseOf(b config.Backoff, inARow int, random float64) time.Duration {
	if b.Initial == 0 {
		return 0 // times a power that is infinite, it would be no number
	}
	grown := float64(b.Initial) * math.Pow(b.Factor, float64(inARow))
	grown = min(grown, float64(b.Max)) // also where it is infinite
	grown *= 1 + b.Jitter*(2*random-1)
	if grown >= float64(b.Max) {
		return b.Max
	}
	return time.Duration(grown)
}
