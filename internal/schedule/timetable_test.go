package schedule

import (
	"testing"
	"time"
)

// A look is a reading of the clock, and what has to be found then.
type look struct {
	clock string
	due   bool
	next  string // afterwards
}

func TestATimetableOnAClockThatIsSet(t *testing.T) {
	for _, c := range []struct {
		name, cron, begin string
		looks             []look
	}{
		{"as time passes", "0 3 * * *", "2026-01-01 02:00:00", []look{
			{"2026-01-01 02:59:59", false, "2026-01-01 03:00:00"},
			{"2026-01-01 03:00:00", true, "2026-01-02 03:00:00"},
			{"2026-01-01 03:00:01", false, "2026-01-02 03:00:00"},
		}},
		{"suspended for days", "0 3 * * *", "2026-01-01 02:00:00", []look{
			{"2026-01-05 09:00:00", true, "2026-01-06 03:00:00"},
			{"2026-01-05 09:00:01", false, "2026-01-06 03:00:00"},
		}},
		{"put forward, each minute", "* * * * *", "2026-01-01 02:00:30", []look{
			{"2026-01-01 08:00:30", true, "2026-01-01 08:01:00"},
			{"2026-01-01 08:00:31", false, "2026-01-01 08:01:00"},
			{"2026-01-01 08:01:00", true, "2026-01-01 08:02:00"},
		}},
		{"put back by an hour after a set time", "0 3 * * *", "2026-01-01 02:00:00", []look{
			{"2026-01-01 03:00:00", true, "2026-01-02 03:00:00"},
			{"2026-01-01 02:10:00", false, "2026-01-02 03:00:00"},
			{"2026-01-01 03:10:00", false, "2026-01-02 03:00:00"},
		}},
		{"put back by an hour before a set time", "0 3 * * *", "2026-01-01 02:00:00", []look{
			{"2026-01-01 01:00:00", false, "2026-01-01 03:00:00"},
			{"2026-01-01 03:00:00", true, "2026-01-02 03:00:00"},
		}},
		{"put back by days", "0 3 * * *", "2026-01-09 02:00:00", []look{
			{"2026-01-01 02:00:00", false, "2026-01-01 03:00:00"},
			{"2026-01-01 03:00:00", true, "2026-01-02 03:00:00"},
		}},
		{"a year ahead, and corrected", "0 3 * * *", "2026-01-01 02:00:00", []look{
			{"2027-01-01 02:00:00", true, "2027-01-01 03:00:00"},
			{"2026-01-01 02:01:00", false, "2026-01-01 03:00:00"},
			{"2026-01-01 03:00:00", true, "2026-01-02 03:00:00"},
		}},
		{"put back by an hour, each five minutes", "*/5 * * * *", "2026-01-01 02:00:00", []look{
			{"2026-01-01 02:05:00", true, "2026-01-01 02:10:00"},
			{"2026-01-01 01:06:00", false, "2026-01-01 01:10:00"},
			{"2026-01-01 01:10:00", true, "2026-01-01 01:15:00"},
		}},
		{"put back by a second, each five minutes", "*/5 * * * *", "2026-01-01 02:00:00", []look{
			{"2026-01-01 02:05:00", true, "2026-01-01 02:10:00"},
			{"2026-01-01 02:04:59", false, "2026-01-01 02:10:00"},
			{"2026-01-01 02:05:00", false, "2026-01-01 02:10:00"},
		}},
		{"put back, every ten minutes", "@every 10m", "2026-01-01 02:00:00", []look{
			{"2026-01-01 00:00:00", false, "2026-01-01 00:10:00"},
			{"2026-01-01 00:09:00", false, "2026-01-01 00:10:00"},
			{"2026-01-01 00:10:00", true, "2026-01-01 00:20:00"},
		}},
	} {
		s, err := Parse(c.cron, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		table := s.Begin(at(t, "UTC", c.begin))
		for n, l := range c.looks {
			due := table.Look(at(t, "UTC", l.clock))
			if next := table.Next().Format(time.DateTime); due != l.due || next != l.next {
				t.Errorf("%s: look %d at %s: %v, next %s; want %v, %s", c.name, n, l.clock, due, next, l.due, l.next)
			}
		}
	}
}
