package schedule

import "time"

// Timetable follows a schedule on a clock that may be set.
//
// A time that has passed unseen, since the host was suspended or its clock put forward,
// is due when it is looked next; of several, one run makes up for all. When the clock is
// put back, what recurs goes on with it at once, and the set times that the clock comes
// to once more aren't due again; unless it was put back by so much that it must have
// been wrong before.
type Timetable struct {
	schedule *Schedule
	next     time.Time
	seen     time.Time // what was due until then has been told
}

// Bounds of how far the clock may be put back without that what was due is due again.
const (
	backOfSet       = 3 * time.Hour // as cron(8) does it
	backOfRecurring = time.Minute
)

// Begin makes the timetable of a schedule at a time of the clock.
func (s *Schedule) Begin(now time.Time) *Timetable {
	return &Timetable{schedule: s, next: s.Next(now.Round(0))}
}

// Next is when it is due.
func (t *Timetable) Next() time.Time { return t.next }

// Look says whether it is due at a time of the clock, which may have been set since.
func (t *Timetable) Look(now time.Time) bool {
	now = now.Round(0) // what the clock shows, not what has passed
	if !now.Before(t.next) {
		t.seen, t.next = now, t.schedule.Next(now)
		return true
	}
	from := now
	if back := t.seen.Sub(now); back > 0 && back <= t.schedule.mayGoBack() {
		from = t.seen
	}
	if next := t.schedule.Next(from); next.Before(t.next) {
		t.next = next
	}
	return false
}

func (s *Schedule) mayGoBack() time.Duration {
	if s.recurs || s.every > 0 {
		return backOfRecurring
	}
	return backOfSet
}
