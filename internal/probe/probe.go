// Package probe asks an application, again and again, whether it works.
//
// A probe is a check, which is one question, and six numbers that say when it is asked
// and how many answers in a row count. What follows from the answers is decided by who
// asks.
package probe

import (
	"context"
	"time"
)

// Check asks once. It is nil, or says what is wrong; and it returns soon after ctx is
// done.
type Check func(ctx context.Context) error

// Settings are the numbers of a probe. Those that are not positive have defaults.
type Settings struct {
	InitialDelay     time.Duration // before the first check
	StartPeriod      time.Duration // in which failures don't count, until the first success
	Period           time.Duration // from the begin of a check to that of the next; 10s
	Timeout          time.Duration // of a check; 1s
	SuccessThreshold int           // successes in a row; 1
	FailureThreshold int           // failures in a row; 3
}

// Complete fills in the defaults.
func (s Settings) Complete() Settings {
	if s.Period <= 0 {
		s.Period = 10 * time.Second
	}
	if s.Timeout <= 0 {
		s.Timeout = time.Second
	}
	if s.SuccessThreshold <= 0 {
		s.SuccessThreshold = 1
	}
	if s.FailureThreshold <= 0 {
		s.FailureThreshold = 3
	}
	return s
}

// Health is what the answers so far say.
type Health uint8

// Of an application that was just started, nothing is known.
const (
	Unknown Health = iota
	Healthy
	Unhealthy
)

// tally counts answers. It is a value.
type tally struct {
	health Health
	inARow int // of the same kind
	ok     bool
}

// add is the tally after one more answer.
func (t tally) add(ok bool, s Settings) tally {
	if t.inARow == 0 || t.ok != ok {
		t.inARow, t.ok = 0, ok
	}
	need, health := s.FailureThreshold, Unhealthy
	if ok {
		need, health = s.SuccessThreshold, Healthy
	}
	if t.inARow < need {
		t.inARow++ // and no further: nobody asks how many there were
	}
	if t.inARow >= need {
		t.health = health
	}
	return t
}

// Answer is that of one check.
type Answer struct {
	Err     error // what is wrong
	Took    time.Duration
	Health  Health // with this answer
	Changed bool   // the health is another than before
	Early   bool   // a failure within the start period: it doesn't count
}

// Run checks until ctx is done. It tells each answer but that of a check that ctx cut
// short.
func Run(ctx context.Context, check Check, s Settings, tell func(Answer)) {
	s = s.Complete()
	timer := time.NewTimer(s.InitialDelay)
	defer timer.Stop()
	starting := time.Now().Add(s.StartPeriod)
	for t := (tally{}); ; {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		begun := time.Now()
		err := once(ctx, check, s.Timeout)
		if ctx.Err() != nil {
			return
		}
		took := time.Since(begun)
		if err == nil {
			starting = time.Time{}
		} else if begun.Before(starting) {
			tell(Answer{Err: err, Took: took, Early: true})
			timer.Reset(s.Period - took)
			continue
		}
		was := t.health
		t = t.add(err == nil, s)
		tell(Answer{Err: err, Took: took, Health: t.health, Changed: t.health != was})
		timer.Reset(s.Period - took) // at once, where the check took longer
	}
}

func once(ctx context.Context, check Check, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return check(ctx)
}
