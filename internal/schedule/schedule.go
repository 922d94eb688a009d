// Package schedule says when an application that runs at set times is due.
//
// A schedule is written as for cron(8): five fields, or six with seconds first, or
// @daily and the like, or @every and a duration. Where the clocks of a zone are put
// forward or back, it does as cron does. What is due at a set time, as 02:30, is due
// once on such a day: when the hour that was left out is over, and the first time that
// the clock shows it. What recurs, with a * in its hours, minutes or seconds, goes by
// the time that passes.
//
// The libraries that are kept well do otherwise, as of 2026: netresearch/go-cron wants
// both of a day of the month and a day of the week, where cron takes either, and is due
// twice in the hour that comes twice; hashicorp/cronexpr leaves out the day on which the
// hour is left out; adhocore/gronx errs at the ends of months.
package schedule

import (
	"fmt"
	"time"
)

// Schedule is a set of times without end.
type Schedule struct {
	every time.Duration // instead of all others
	zone  *time.Location

	second, minute, hour, day, month, weekday field

	recurs bool // goes by the time that passes
}

// Next is the first time after another. It is in the zone of the schedule.
func (s *Schedule) Next(after time.Time) time.Time {
	after = after.In(s.zone)
	switch {
	case s.every > 0:
		return after.Add(s.every)
	case s.recurs:
		return s.nextPassed(after)
	}
	for c := civil(after); ; {
		if c = s.nextCivil(c); c.IsZero() {
			return c
		}
		if t := s.firstShown(c); t.After(after) {
			return t
		}
	}
}

// civil is what a clock shows at a time, written as a time in UTC.
func civil(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// nextPassed is the next time at which the clock shows what the fields say.
func (s *Schedule) nextPassed(after time.Time) time.Time {
	for c := civil(after); ; {
		_, offset := after.Zone()
		c = s.nextCivil(c)
		if c.IsZero() {
			return c
		}
		t := c.Add(time.Duration(-offset) * time.Second).In(s.zone)
		_, change := after.ZoneBounds()
		if change.IsZero() || t.Before(change) {
			return t
		}
		after = change.In(s.zone)
		c = civil(after).Add(-time.Second) // the change itself may be a time
	}
}

// firstShown is when the clock shows a civil time first, or jumps over it.
func (s *Schedule) firstShown(c time.Time) time.Time {
	for t := c.Add(-24 * time.Hour).In(s.zone); ; { // before it in every zone
		start, change := t.ZoneBounds()
		_, offset := t.Zone()
		shown := c.Add(time.Duration(-offset) * time.Second).In(s.zone)
		switch {
		case shown.Before(start):
			return start.In(s.zone)
		case change.IsZero() || shown.Before(change):
			return shown
		}
		t = change.In(s.zone)
	}
}

// years is how long to look for a time. The 29th of February may be eight years away.
const years = 9

// nextCivil is the first civil time after another that all fields have, or zero.
func (s *Schedule) nextCivil(c time.Time) time.Time {
	c = c.Truncate(time.Second).Add(time.Second)
	for last := c.Year() + years; c.Year() <= last; {
		y, m, d := c.Date()
		switch {
		case !s.month.has(int(m)):
			c = time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
		case !s.hasDay(c):
			c = time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
		case !s.hour.has(c.Hour()):
			c = c.Truncate(time.Hour).Add(time.Hour)
		case !s.minute.has(c.Minute()):
			c = c.Truncate(time.Minute).Add(time.Minute)
		case !s.second.has(c.Second()):
			c = c.Add(time.Second)
		default:
			return c
		}
	}
	return time.Time{}
}

// hasDay says whether a day is meant. Where both the day of the month and the day of the
// week are set, either will do.
func (s *Schedule) hasDay(c time.Time) bool {
	day, weekday := s.day.has(c.Day()), s.weekday.has(int(c.Weekday()))
	if s.day.star || s.weekday.star {
		return day && weekday
	}
	return day || weekday
}

// Parse reads a schedule. The zone is a name of the time zone database; "" is that of
// the host.
func Parse(cron, zone string) (*Schedule, error) {
	s := &Schedule{zone: time.Local}
	if zone != "" {
		var err error
		if s.zone, err = time.LoadLocation(zone); err != nil {
			return nil, fmt.Errorf("zone %q: %w (expected a name of the time zone database, as Europe/Berlin or UTC)", zone, err)
		}
	}
	if err := s.parse(cron); err != nil {
		return nil, fmt.Errorf("schedule %q: %w", cron, err)
	}
	return s, nil
}
