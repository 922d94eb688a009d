package supervise

import (
	"time"

	"github.com/foster-init/foster/proc"
)

// meter counts the processor time of a tree: of its members, and of those that have ended
// since it was looked at first, as far as a look has seen them. It never falls.
//
// What a process has used is, when it has ended, with the parent that has waited for it.
// Where no living member can have that, since the shim has waited for it, it is kept here.
type meter struct {
	members map[int]spending // at the last look, by their PIDs
	ended   time.Duration
	most    time.Duration
}

// spending is what a process has used, with the children that it has waited for.
type spending struct {
	id     proc.ID
	parent int
	time   time.Duration
}

func spendingOf(p *proc.Process) spending {
	return spending{p.ID(), p.PPID, p.User + p.System + p.ChildUser + p.ChildSystem}
}

// look takes the members as they are now, and gives what the tree has used.
func (m *meter) look(now map[int]spending) time.Duration {
	for pid, s := range m.members {
		if !m.heir(pid, now) {
			m.ended += s.time
		}
	}
	m.members = now
	sum := m.ended
	for _, s := range now {
		sum += s.time
	}
	// A parent that waits for nobody inherits nothing, and the look isn't of one moment.
	m.most = max(m.most, sum)
	return m.most
}

// heir says whether a member of the last look lives, or one that it descends from.
func (m *meter) heir(pid int, now map[int]spending) bool {
	for range len(m.members) { // its links are those of a look that isn't of one moment
		was, known := m.members[pid]
		if !known {
			return false
		}
		if is, lives := now[pid]; lives && is.id == was.id {
			return true
		}
		pid = was.parent
	}
	return false
}
