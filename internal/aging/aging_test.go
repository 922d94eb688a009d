package aging

import (
	"testing"
	"time"
)

func TestAJumpOfTheClockMakesNothingOldAtOnce(t *testing.T) {
	const hour, day, age = time.Hour, 24 * time.Hour, 7 * 24 * time.Hour
	start := time.Date(2026, 11, 25, 13, 0, 0, 0, time.UTC)
	for name, try := range map[string]struct {
		off   time.Duration // since the life before
		steps []time.Duration
		want  []time.Duration // from start, before which all is too old, after each pair of steps
	}{
		"as time passes":               {0, []time.Duration{day, day, 9 * day, 9 * day}, []time.Duration{day - age, 10*day - age}},
		"forward":                      {0, []time.Duration{hour, 10*365*day + hour, hour, hour}, []time.Duration{hour - age, 2*hour - age}},
		"forward, and long so":         {0, []time.Duration{0, 30 * day, age, age}, []time.Duration{-age, 30 * day}},
		"forward, and back":            {0, []time.Duration{0, 30 * day, hour, hour - 30*day}, []time.Duration{-age, hour - age}},
		"forward twice":                {0, []time.Duration{0, 30 * day, hour, hour + 5*day}, []time.Duration{-age, hour - age}},
		"back":                         {0, []time.Duration{0, -30 * day, hour, hour}, []time.Duration{-30*day - age, hour - 30*day - age}},
		"a little, again and again":    {0, []time.Duration{0, 30 * time.Second, 0, 30 * time.Second}, []time.Duration{30*time.Second - age, time.Minute - age}},
		"after a time without a life":  {30 * day, []time.Duration{hour, hour, age, age}, []time.Duration{hour - 30*day - age, hour}},
		"after a clock that was ahead": {-30 * day, []time.Duration{hour, hour, hour, hour}, []time.Duration{hour - age, 2*hour - age}},
	} {
		wall, up := start, 5*hour
		c := New(start.Add(-try.off), func() (time.Time, time.Duration) { return wall, up })
		for n, want := range try.want {
			up += try.steps[2*n]
			wall = wall.Add(try.steps[2*n+1])
			if got := c.Since(age).Sub(start); got != want {
				t.Errorf("%s: step %d: %v, want %v", name, n, got, want)
			}
		}
	}
}

// The clocks of the host agree, so nothing of what passes is a jump.
func TestTheHostsClock(t *testing.T) {
	before := time.Now()
	since := New(time.Time{}, nil).Since(time.Hour)
	if since.Before(before.Add(-time.Hour)) || since.After(time.Now().Add(-time.Hour)) {
		t.Errorf("%v, now %v", since, before)
	}
}
