package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A schedule is held against a model that looks at each minute.

// drawn is a field of an expression with the numbers that it has.
type drawn struct {
	text string
	has  func(int) bool
	star bool
}

func drawField(t *rapid.T, k kind) drawn {
	number := func(what string) int { return rapid.IntRange(k.first, min(k.end, 31)).Draw(t, k.name+what) }
	switch rapid.IntRange(0, 4).Draw(t, k.name) {
	case 0:
		return drawn{"*", func(int) bool { return true }, true}
	case 1:
		n := number("")
		return drawn{fmt.Sprint(n), func(m int) bool { return m == n }, false}
	case 2:
		a, b := number(" from"), number(" to")
		a, b = min(a, b), max(a, b)
		return drawn{fmt.Sprintf("%d-%d", a, b), func(m int) bool { return m >= a && m <= b }, false}
	case 3:
		a, b := number(" one"), number(" another")
		return drawn{fmt.Sprintf("%d,%d", a, b), func(m int) bool { return m == a || m == b }, false}
	}
	step := rapid.IntRange(1, min(k.end, 30)).Draw(t, k.name+" step")
	return drawn{fmt.Sprintf("*/%d", step), func(m int) bool { return (m-k.first)%step == 0 }, true}
}

// expression is a cron expression of five fields.
type expression struct {
	text                              string
	minute, hour, day, month, weekday drawn
}

func drawExpression(t *rapid.T) (e expression) {
	e.minute, e.hour = drawField(t, minutes), drawField(t, hours)
	e.day, e.weekday = drawField(t, days), drawField(t, kind{"weekday", 0, 6, nil})
	e.month = drawn{"*", func(int) bool { return true }, true} // else most aren't due for months
	e.text = strings.Join([]string{e.minute.text, e.hour.text, e.day.text, e.month.text, e.weekday.text}, " ")
	return e
}

func (e *expression) has(civil time.Time) bool {
	day, weekday := e.day.has(civil.Day()), e.weekday.has(int(civil.Weekday()))
	either := day && weekday
	if !e.day.star && !e.weekday.star {
		either = day || weekday
	}
	return either && e.minute.has(civil.Minute()) && e.hour.has(civil.Hour())
}

func (e *expression) recurs() bool { return e.minute.star || e.hour.star }

// due are all times at which an expression is due from one to another, both in one zone. A
// set time is due when the clock first shows it, or when it has jumped over it; what recurs is
// due whenever the clock shows it.
func (e *expression) due(from, to time.Time) map[int64]bool {
	list, shown := map[int64]bool{}, map[int64]bool{} // by the minute, the clock's in UTC
	add := func(at, clock time.Time) {
		if e.has(clock) {
			if (e.recurs() || !shown[clock.Unix()]) && !at.Before(from) {
				list[at.Unix()] = true
			}
			shown[clock.Unix()] = true
		}
	}
	at := from.Add(-26 * time.Hour) // the clock is put back by no more
	if e.recurs() {
		at = from
	}
	for last := civil(at).Add(-time.Minute); at.Before(to); at = at.Add(time.Minute) {
		c := civil(at)
		for skipped := last.Add(time.Minute); skipped.Before(c) && !e.recurs(); skipped = skipped.Add(time.Minute) {
			add(at, skipped)
		}
		last = c
		add(at, c)
	}
	return list
}

// zones have no change of their clocks, one of an hour, of half an hour, at midnight, and of a
// whole day.
var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kolkata"}

// drawTime gives a minute, often just before the clock of a zone changes.
func drawTime(t *rapid.T, zone *time.Location) time.Time {
	from := time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 60
	at := time.Unix(rapid.Int64Range(from, from+12*365*24*60).Draw(t, "minute")*60, 0).In(zone)
	if _, change := at.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
		at = change.Truncate(time.Minute).Add(-time.Duration(rapid.IntRange(0, 40*60).Draw(t, "minutes before")) * time.Minute).In(zone)
	}
	return at
}

// In each zone, and across each change of its clock, a schedule is due exactly when a look at
// each minute finds it.
func TestASchedulesTimesAreThoseOfEachMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		e, from := drawExpression(t), drawTime(t, zone)
		s, err := Parse(e.text, name)
		if err != nil {
			return // there is no such day
		}
		to := from.Add(50 * time.Hour)
		want := e.due(from.Add(time.Minute), to)
		got := map[int64]bool{}
		for at := s.Next(from); at.Before(to); {
			if got[at.Unix()] = true; !want[at.Unix()] {
				t.Fatalf("%q is due at %s, from %s on, which no look at that minute finds", e.text, at, from)
			}
			next := s.Next(at)
			if next.IsZero() {
				break
			}
			if !next.After(at) {
				t.Fatalf("%q: after %s comes %s", e.text, at, next)
			}
			at = next
		}
		for at := range want {
			if !got[at] {
				t.Fatalf("%q isn't due at %s, from %s on", e.text, time.Unix(at, 0).In(zone), from)
			}
		}
	})
}

// On a clock that only goes forward, be it by leaps, a timetable is due at a look if a time
// has passed since the look before, and once however many have.
func TestATimetableMissesNothingOnAClockThatGoesForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, now := drawExpression(t), drawTime(t, time.UTC)
		s, err := Parse(e.text, "UTC")
		if err != nil {
			return
		}
		table := s.Begin(now)
		for range rapid.IntRange(1, 30).Draw(t, "looks") {
			later := now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "minutes")) * time.Minute)
			passed := len(e.due(now.Add(time.Minute), later.Add(time.Minute))) > 0
			if got := table.Look(later); got != passed {
				t.Fatalf("%q: between %s and %s: due is %v", e.text, now, later, got)
			}
			now = later
		}
	})
}

// A clock that is put back by less than the bound, again and again, makes no set time due
// twice, and none is lost.
func TestATimetableIsDueOnceOnAClockThatIsPutBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		s, err := Parse(fmt.Sprintf("%d %d * * *", minute, hour), "UTC")
		if err != nil {
			t.Fatal(err)
		}
		begin := drawTime(t, time.UTC)
		table := s.Begin(begin)
		now, latest, runs := begin, begin, 0
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			if rapid.IntRange(0, 3).Draw(t, "direction") == 0 {
				back := now.Add(-time.Duration(rapid.IntRange(0, 170).Draw(t, "minutes back")) * time.Minute)
				if latest.Sub(back) < backOfSet && back.After(begin) {
					now = back
				}
			} else {
				now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "minutes")) * time.Minute)
			}
			if now.After(latest) {
				latest = now
			}
			if table.Look(now) {
				runs++
			}
		}
		days := 0
		for at := s.Next(begin); !at.After(latest); at = s.Next(at) {
			days++
		}
		if runs > days || days > 0 && runs == 0 {
			t.Fatalf("%d:%02d, from %s to %s: due %d times on %d days", hour, minute, begin, latest, runs, days)
		}
	})
}
