package proc

import (
	"fmt"
	"time"
)

// Left is a living process that descends from one that has ended.
type Left struct {
	*Process
	// Verdict is how certain that is: Certain or Likely. Others aren't named.
	Verdict Verdict
	Reason  string // in plain words
}

// LeftBy gives the living processes that a zombie has left behind, the orphans of each
// verdict first, which the others descend from; for any other process there are none.
//
// The kernel forgets whose child an orphan was. What it keeps is the session and the
// process group. Only a session's maker and its descendants are ever in it, so all who are
// in the one that the zombie made are certainly its. A process group may be entered by
// others of the session, as the commands of a pipeline enter the group of the first: who
// is in the group that the zombie led is likely its where it has lost its parent, or
// descends from one that has, and began while the zombie lived. Nobody who began before
// the zombie is ever its. When the zombie ended is known where the table was taken with
// [End], and who has lost its parent is judged by [Table.Orphan].
func (t *Table) LeftBy(pid int) (list []Left) {
	z := t.Get(pid)
	if z == nil || !z.Zombie() || !z.Knows(Session|Group|Start) {
		return nil
	}
	of := map[int]bool{} // by number: those in the group that are its
	take := func(v Verdict, reason string, members []*Process, is func(p *Process) bool) {
		for _, p := range members {
			if p != z && !p.Zombie() && !of[p.PID] && p.Knows(Start) && p.start >= z.start && is(p) {
				of[p.PID] = true
				list = append(list, Left{p, v, reason})
			}
		}
	}
	if z.LeadsSession() {
		reason, members := fmt.Sprintf("it is in session %d, which that one made", z.PID), t.Session(z.PID)
		lost := func(p *Process) bool { parent := t.Get(p.PPID); return parent == nil || parent.Session != z.PID }
		take(Certain, reason, members, lost)
		take(Certain, reason, members, func(*Process) bool { return true })
	}
	if z.LeadsGroup() {
		reason, members := fmt.Sprintf("it is in process group %d, which that one led", z.PID), t.Group(z.PID)
		take(Likely, reason, members, func(p *Process) bool { return t.lostIn(z, p) })
		for n := -1; n != len(list); { // children of those that were taken, and theirs
			n = len(list)
			take(Likely, reason, members, func(p *Process) bool { return of[p.PPID] })
		}
	}
	return list
}

// endKnownTo is how exactly the end of a zombie is known.
const endKnownTo = 2 * time.Second

// lostIn says whether a member of the group that a zombie led was likely lost by it or by
// one of its descendants.
func (t *Table) lostIn(z, p *Process) bool {
	if !z.Ended.IsZero() && p.Started().After(z.Ended.Add(endKnownTo)) {
		return false
	}
	switch v := t.Orphan(p.PID).Verdict; {
	case v >= Likely:
		return true
	case v == No:
		return false
	}
	// Its parent adopts, and may have started it and put it into the group of another
	// child, as a shell does that controls jobs.
	parent := t.Get(p.PPID)
	return parent != nil && (p.TTY == 0 || parent.Session != p.Session)
}
