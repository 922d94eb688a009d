package proc

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Table is a snapshot of the process table.
type Table struct {
	// Processes are the lines, by PID. They aren't to be changed.
	Processes []Process
	// At is when the snapshot was begun.
	At time.Time
	// Boot names the boot of the machine.
	Boot string
	// Hidden says that this user isn't shown all processes (hidepid of /proc): then
	// a process that isn't here may well be there.
	Hidden bool

	at      *moment
	exists  func(pid int) bool // asks the kernel where the snapshot doesn't know
	past    map[ID]past
	since   time.Time  // of the first snapshot that this one follows; else At
	reaped  map[ID]int // by their parent: zombies of earlier snapshots that are gone
	columns Fields

	index    sync.Once
	byParent []int32 // into Processes, ordered by PPID, then PID
}

// newTable makes a table of lines in any order.
func newTable(list []Process, at *moment, columns Fields, exists func(int) bool) *Table {
	t := &Table{Processes: list, At: at.now, since: at.now, Boot: at.boot, at: at, exists: exists, columns: columns}
	byPID := func(a, b Process) int { return cmp.Compare(a.PID, b.PID) }
	if !slices.IsSortedFunc(list, byPID) {
		slices.SortFunc(list, byPID)
	}
	// While the folder was read a number may have been given again.
	t.Processes = slices.CompactFunc(list, func(a, b Process) bool { return a.PID == b.PID })
	return t
}

// Get finds a process by its number; nil: it isn't in the snapshot.
func (t *Table) Get(pid int) *Process {
	i, ok := slices.BinarySearchFunc(t.Processes, pid, func(p Process, pid int) int { return cmp.Compare(p.PID, pid) })
	if !ok {
		return nil
	}
	return &t.Processes[i]
}

// Find finds a process by its identity; nil: it isn't in the snapshot, or another
// has its number.
func (t *Table) Find(id ID) *Process {
	if p := t.Get(id.PID); p != nil && p.ID() == id {
		return p
	}
	return nil
}

// order indexes the lines by parent, once.
func (t *Table) order() []int32 {
	t.index.Do(func() {
		t.byParent = make([]int32, len(t.Processes))
		for i := range t.byParent {
			t.byParent[i] = int32(i)
		}
		slices.SortStableFunc(t.byParent, func(a, b int32) int {
			return cmp.Compare(t.Processes[a].PPID, t.Processes[b].PPID)
		})
	})
	return t.byParent
}

// kids are the places in the order that belong to one parent.
func (t *Table) kids(pid int) []int32 {
	all := t.order()
	at := func(i int32, pid int) int { return cmp.Compare(t.Processes[i].PPID, pid) }
	from, _ := slices.BinarySearchFunc(all, pid, at)
	to, _ := slices.BinarySearchFunc(all[from:], pid+1, at)
	return all[from : from+to]
}

// Children are the processes whose parent is pid, by PID.
func (t *Table) Children(pid int) []*Process {
	var list []*Process
	for _, i := range t.kids(pid) {
		if p := &t.Processes[i]; p.PID != pid {
			list = append(list, p)
		}
	}
	return list
}

// Walk goes through the descendants of pid, depth first, parents before their
// children, siblings by PID; a child has depth 1. Where visit returns false, what
// descends from that process is passed over. A process that changed its parent
// while the snapshot was taken is visited once.
func (t *Table) Walk(pid int, visit func(p *Process, depth int) bool) {
	type place struct {
		i     int32
		depth int
	}
	seen := map[int]bool{pid: true}
	var stack []place
	push := func(pid, depth int) {
		kids := t.kids(pid)
		for n := len(kids) - 1; n >= 0; n-- {
			stack = append(stack, place{kids[n], depth})
		}
	}
	push(pid, 1)
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		p := &t.Processes[top.i]
		if seen[p.PID] {
			continue
		}
		seen[p.PID] = true
		if visit(p, top.depth) {
			push(p.PID, top.depth+1)
		}
	}
}

// Descendants are all that descend from pid, in the order of [Table.Walk].
func (t *Table) Descendants(pid int) (list []*Process) {
	t.Walk(pid, func(p *Process, _ int) bool { list = append(list, p); return true })
	return list
}

// Ancestors are the parent of pid, its parent, and so on up.
func (t *Table) Ancestors(pid int) (list []*Process) {
	p := t.Get(pid)
	for p != nil && len(list) < len(t.Processes) {
		if p.PPID == p.PID {
			break
		}
		if p = t.Get(p.PPID); p == nil || p.PID == pid {
			break // a circle: it changed its parent meanwhile
		}
		list = append(list, p)
	}
	return list
}

// Roots are the processes whose parent isn't in the snapshot: the first one, kernel
// threads' parent, and those whose parent is outside of the PID namespace or hidden.
func (t *Table) Roots() (list []*Process) {
	for i := range t.Processes {
		if p := &t.Processes[i]; p.PPID == p.PID || t.Get(p.PPID) == nil {
			list = append(list, p)
		}
	}
	return list
}

// Group are the members of a process group, by PID.
func (t *Table) Group(pgid int) []*Process {
	return t.filter(func(p *Process) bool { return p.PGID == pgid && p.Knows(Group) })
}

// Session are the members of a session, by PID.
func (t *Table) Session(sid int) []*Process {
	return t.filter(func(p *Process) bool { return p.Session == sid && p.Knows(Session) })
}

func (t *Table) filter(keep func(*Process) bool) (list []*Process) {
	for i := range t.Processes {
		if p := &t.Processes[i]; keep(p) {
			list = append(list, p)
		}
	}
	return list
}

// JobControl counts the members of a process group whose parent is in another group
// of the same session: those by whom a shell controls the group. At 0 the group is
// orphaned, in the sense of setpgid(2), and can't be stopped from the terminal. It is
// the column JOBC of ps(1) on the BSDs.
func (t *Table) JobControl(pgid int) (n int) {
	for _, p := range t.Group(pgid) {
		parent := t.Get(p.PPID)
		if parent != nil && !p.Zombie() && parent.PGID != pgid && parent.Session == p.Session {
			n++
		}
	}
	return n
}

// there says whether a process exists, and whether that is known.
func (t *Table) there(pid int) bool {
	return t.Get(pid) != nil || t.exists != nil && t.exists(pid)
}
