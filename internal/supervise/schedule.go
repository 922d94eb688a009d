package supervise

import (
	"slices"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/schedule"
)

// Applications that run at set times, or at intervals. What is due while no supervisor
// runs is left out; what is due while the host sleeps is made up for by one run.

// lookAtClock is how often the clock is looked at, at least, while something is due by
// it: it may have been set, or the host suspended, which a timer doesn't see.
const lookAtClock = time.Minute

// setSchedule takes over what the configuration says of when an instance is due.
func (s *Supervisor) setSchedule(i *instance) {
	i.schedule, i.timetable = nil, nil
	what := "schedule of " + i.name()
	if i.spec.Schedule == nil {
		s.problem(what, nil)
		return
	}
	var err error
	i.schedule, err = schedule.Parse(i.spec.Schedule.Cron, i.spec.Schedule.Zone)
	s.problem(what, err)
}

// dueTime is when the pause is over, or the schedule is due.
func (i *instance) dueTime() time.Time {
	if i.m.State == client.Scheduled && i.timetable != nil {
		return i.timetable.Next()
	}
	return i.due
}

// scheduled says whether the schedule of an instance counts now: one that was stopped by
// hand is never due.
func (i *instance) scheduled() bool {
	return i.schedule != nil && i.m.State != client.Stopped && !i.removed
}

// setAlarm sets the timer to when the next instance is due.
func (s *Supervisor) setAlarm() {
	if s.alarm == nil && !slices.ContainsFunc(s.project.Apps, func(a config.App) bool { return a.Schedule != nil }) {
		return // as for most projects
	}
	var next time.Time
	for _, i := range s.instances() {
		switch {
		case !i.scheduled():
			i.timetable = nil
			continue
		case i.timetable == nil:
			i.timetable = i.schedule.Begin(s.clock())
		}
		if due := i.timetable.Next(); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
	if !next.IsZero() && !s.ending && !s.resigned {
		wait := min(next.Sub(s.clock().Round(0)), s.lookAtClock)
		s.alarm = time.AfterFunc(wait, func() { s.post(s.lookWhoIsDue) })
	}
}

// lookWhoIsDue tells each instance that it is due.
func (s *Supervisor) lookWhoIsDue() {
	if s.ending || s.resigned {
		return
	}
	now := s.clock()
	for _, i := range s.instances() {
		if i.scheduled() && i.timetable != nil && i.timetable.Look(now) {
			s.due(i)
		}
	}
	s.unsettled = true // the alarm has to be set again
}

// due has an instance run, or does what its overlap policy says.
func (s *Supervisor) due(i *instance) {
	if i.m.State == client.Scheduled {
		i.by, i.restarted = "by its schedule", false
	}
	was := i.m
	s.step(i, Due, "it is due", outcome{})
	switch {
	case !hasTree(was.State):
	case i.m.Queued && !was.Queued:
		s.event(i, "schedule", "it was due, and still runs: another run follows this one")
	case i.m.State != was.State:
		i.by, i.restarted = "by its schedule, in place of the run before", false
	default:
		s.event(i, "schedule", "it was due, and still runs: left out")
	}
}

// reschedule brings an instance that is at rest to what another configuration says of
// its schedule.
func (s *Supervisor) reschedule(i *instance) {
	if i.m.State == client.Scheduled && i.schedule == nil {
		i.by = "by another configuration"
		s.step(i, Start, "it has no schedule any more", outcome{})
	}
	if i.schedule != nil && (i.m.State == client.Completed || i.m.State == client.Failed) {
		s.step(i, Start, "it has a schedule now", outcome{})
	}
}

// overlap is what the configuration says of runs that overlap.
func overlap(spec *config.App) config.Overlap {
	if spec.Schedule == nil {
		return ""
	}
	return spec.Schedule.Overlap
}
