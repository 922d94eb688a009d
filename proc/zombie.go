package proc

import (
	"cmp"
	"slices"
	"syscall"
	"time"
)

// Zombie is a process that has ended and wasn't reaped.
type Zombie struct {
	*Process
	// Seen is when it was first seen as a zombie: of this snapshot, or of an earlier
	// one that [Table.Follow] was given. It has been one at least since then, and at
	// most since it was started.
	Seen time.Time
	// Since is when it ended, to about a second; the zero time where that isn't
	// known. The kernel keeps no such time: this is when the scheduler last gave it a
	// processor (/proc/PID/sched), so it needs a kernel with CONFIG_SCHED_DEBUG and a
	// table taken with [End]. Where its first thread ended before the others did,
	// that is the time of the first thread's.
	Since time.Time
}

// Habit is what a parent does about its zombies, as far as was observed.
type Habit int

// The habits.
const (
	// Unobserved: there was no earlier snapshot to compare with.
	Unobserved Habit = iota
	// Late: it has reaped some of what were zombies in an earlier snapshot, so it
	// does so, but late.
	Late
	// Never: it has reaped none of what were zombies in an earlier snapshot. It may
	// yet: see Neglect.Observed.
	Never
)

// String is one word.
func (h Habit) String() string {
	switch h {
	case Late:
		return "late"
	case Never:
		return "never"
	}
	return "unobserved"
}

// Neglect is a parent with zombies.
type Neglect struct {
	Parent  *Process // nil: it isn't shown
	PID     int      // of the parent
	Zombies []Zombie // those that it has had for the longest first
	// Habit is what it does, as observed for the time Observed, in which it has
	// reaped Reaped zombies that an earlier snapshot had.
	Habit    Habit
	Observed time.Duration
	Reaped   int
	// Told says what the parent does with SIGCHLD, by which the kernel tells it of an
	// end. It is known where the table was taken with [Signals].
	Told Told
}

// Told is what becomes of the SIGCHLD that a parent gets.
type Told int

// What becomes of it.
const (
	// ToldUnknown: its signals weren't read.
	ToldUnknown Told = iota
	// ToldDefault: it has no handler; it has to ask by itself.
	ToldDefault
	// ToldHandler: it has a handler.
	ToldHandler
	// ToldIgnored: it ignores the signal, so the kernel reaps for it what ends from
	// now on. Its zombies are older.
	ToldIgnored
	// ToldBlocked: its first thread has blocked the signal: it takes it by
	// sigwait(3) or signalfd(2), or not at all.
	ToldBlocked
	// ToldStopped: the parent is stopped, and can't do anything.
	ToldStopped
)

// String says it in words.
func (d Told) String() string {
	switch d {
	case ToldDefault:
		return "has no handler for SIGCHLD"
	case ToldHandler:
		return "has a handler for SIGCHLD"
	case ToldIgnored:
		return "ignores SIGCHLD"
	case ToldBlocked:
		return "has blocked SIGCHLD"
	case ToldStopped:
		return "is stopped"
	}
	return "unknown"
}

// past is what earlier snapshots had of a process.
type past struct {
	zombie time.Time // when it was first seen as one
	parent ID        // its first parent that was seen
}

// Follow tells the table of an earlier one, of the same machine and PID namespace,
// which makes it know more: [Table.Orphan] learns who was adopted since,
// [Table.Zombies] how long they are there, and what their parents do about them. It
// takes over what the earlier table knew by those that it followed. It is called
// before the table is used by several goroutines. It returns the table.
func (t *Table) Follow(earlier *Table) *Table {
	if earlier == nil || earlier.Boot != t.Boot || !earlier.At.Before(t.At) {
		return t
	}
	t.since = earlier.since
	t.past = make(map[ID]past, len(t.Processes))
	t.reaped = make(map[ID]int)
	for i := range earlier.Processes {
		was := &earlier.Processes[i]
		id := was.ID()
		if t.Find(id) != nil {
			t.past[id] = earlier.remembered(was)
		} else if was.Zombie() {
			t.reaped[earlier.parentID(was)]++
		}
	}
	for id, n := range earlier.reaped {
		if t.Find(id) != nil {
			t.reaped[id] += n
		}
	}
	return t
}

// remembered is what this table and those that it followed know of a process.
func (t *Table) remembered(p *Process) past {
	r := t.past[p.ID()]
	if r.zombie.IsZero() && p.Zombie() {
		r.zombie = t.At
	}
	if r.parent == (ID{}) {
		r.parent = t.parentID(p)
	}
	return r
}

func (t *Table) parentID(p *Process) ID {
	if parent := t.Get(p.PPID); parent != nil {
		return parent.ID()
	}
	return ID{PID: p.PPID}
}

// Zombies gives the zombies by the parent that neglects them, those with the most
// first. For all that it can tell, the table should be taken with [ForZombies] and
// [Table.Follow] an earlier one.
func (t *Table) Zombies() []Neglect {
	by := map[int][]Zombie{}
	for i := range t.Processes {
		if p := &t.Processes[i]; p.Zombie() {
			seen := t.remembered(p).zombie
			by[p.PPID] = append(by[p.PPID], Zombie{Process: p, Seen: seen, Since: p.Ended})
		}
	}
	list := make([]Neglect, 0, len(by))
	for pid, zombies := range by {
		slices.SortFunc(zombies, func(a, b Zombie) int {
			return cmp.Or(a.Since.Compare(b.Since), a.Seen.Compare(b.Seen), cmp.Compare(a.PID, b.PID))
		})
		n := Neglect{Parent: t.Get(pid), PID: pid, Zombies: zombies, Observed: t.At.Sub(t.since)}
		t.habit(&n)
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b Neglect) int {
		return cmp.Or(cmp.Compare(len(b.Zombies), len(a.Zombies)), cmp.Compare(a.PID, b.PID))
	})
	return list
}

func (t *Table) habit(n *Neglect) {
	p := n.Parent
	if p == nil {
		return
	}
	n.Reaped = t.reaped[p.ID()]
	if n.Reaped > 0 {
		n.Habit = Late
	} else if slices.ContainsFunc(n.Zombies, func(z Zombie) bool { return z.Seen.Before(t.At) }) {
		n.Habit = Never
	}
	n.Told = told(p)
}

func told(p *Process) Told {
	const chld = int(syscall.SIGCHLD)
	s := p.Signals
	switch {
	case p.State == Stopped || p.State == Traced:
		return ToldStopped
	case !p.Knows(Signals):
		return ToldUnknown
	case Has(s.Ignored, chld):
		return ToldIgnored
	case Has(s.Caught, chld):
		return ToldHandler
	case Has(s.Blocked, chld):
		return ToldBlocked
	}
	return ToldDefault
}
