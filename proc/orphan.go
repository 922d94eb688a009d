package proc

import (
	"fmt"
	"path"
	"strings"
)

// Verdict is how certain it is that a process is an orphan.
type Verdict int

// The verdicts, from the least certain.
const (
	// No: its parent is the one that started it, or nothing was lost with that one:
	// a service, a thread of the kernel, the first process.
	No Verdict = iota
	// Possible: its parent adopts, and nothing tells whether it adopted this one.
	Possible
	// Likely: what is seen has another explanation, but a rare one.
	Likely
	// Certain: what is seen can't come about otherwise, but for clone(2) with
	// CLONE_PARENT, which only container runtimes use.
	Certain
)

// String is one word.
func (v Verdict) String() string {
	switch v {
	case No:
		return "no"
	case Possible:
		return "possible"
	case Likely:
		return "likely"
	case Certain:
		return "certain"
	}
	return "unknown"
}

// Orphanhood is the answer to the question whether a process is an orphan, which is
// that the parent which started it has ended. The kernel doesn't say so: it gives
// the process to a subreaper or to process 1 at once. What is left are traces.
type Orphanhood struct {
	Process *Process
	Verdict Verdict
	// Reasons say in plain words what the verdict rests on, the weightiest first.
	// What a process calls itself is escaped in them.
	Reasons []string
	// AdoptedBy is the process that adopted it, or may have; 0: none.
	AdoptedBy int
	// LostSession: the leader of the session that it is in is gone.
	LostSession bool
	// LostGroup: the leader of the process group that it is in is gone. That alone
	// means little: so it is with the last command of a pipeline.
	LostGroup bool
	// Service is the unit of systemd in whose cgroup it is, if any and if that was
	// read. Where it may be the service's main process, it is no orphan, whatever else
	// was lost.
	Service string
	// Detached: it looks like a daemon that gave up its parent on purpose: it leads
	// its session, or is in the group of that session's lost leader, and has no
	// terminal. A script that was started by setsid(1) and killed leaves the same.
	Detached bool
}

// Orphans gives the processes that are orphans at least likely, by PID.
func (t *Table) Orphans() (list []Orphanhood) {
	for i := range t.Processes {
		if o := t.Orphan(t.Processes[i].PID); o.Verdict >= Likely {
			list = append(list, o)
		}
	}
	return list
}

// Orphan says whether a process is an orphan, and why. For one that isn't in the
// snapshot the verdict is No, and Process is nil.
//
// The traces are these. A process inherits its session, and leaves it only by
// making one that it leads itself; so one that is in another's session than its
// parent wasn't started by that parent, unless the parent has left that session
// since. An earlier snapshot, given to [Table.Follow], in which it had another
// parent is proof. A child of an adopter (see [Table.Adopts]) is likely an orphan
// where the leader of its group is gone, where its cgroup is that of a login
// session, or where it has a terminal that the adopter hasn't.
//
// For this, a table should be taken with [ForOrphans].
func (t *Table) Orphan(pid int) Orphanhood {
	p := t.Get(pid)
	o := Orphanhood{Process: p}
	if p == nil {
		return o
	}
	o.LostSession = p.Knows(Session) && p.Session > 0 && !t.there(p.Session)
	o.LostGroup = p.Knows(Group) && p.PGID > 0 && !t.there(p.PGID)
	if why := t.neverOrphan(p); why != "" {
		o.Reasons = []string{why}
		return o
	}
	parent := t.Get(p.PPID)
	if parent == nil {
		o.Verdict = Possible
		o.Reasons = []string{fmt.Sprintf("its parent, %d, isn't shown", p.PPID)}
		return o
	}
	t.judge(&o, p, parent)
	t.excuse(&o, p, parent)
	o.Detached = detached(&o, p)
	return o
}

// neverOrphan is why the question doesn't arise.
func (t *Table) neverOrphan(p *Process) string {
	switch {
	case !p.Knows(Parent):
		return "its parent isn't known"
	case p.Kernel:
		return "it is a thread of the kernel"
	case p.PID == 1:
		return "it is the first process"
	case p.PPID == 0:
		return "its parent is outside of this PID namespace"
	case t.Get(p.PPID) != nil && t.Get(p.PPID).Kernel:
		return "the kernel started it"
	}
	return ""
}

// judge weighs the traces, the strongest first.
func (t *Table) judge(o *Orphanhood, p, parent *Process) {
	adopts, whyAdopts := t.Adopts(parent.PID)
	add := func(v Verdict, format string, args ...any) {
		o.Verdict = max(o.Verdict, v)
		o.Reasons = append(o.Reasons, fmt.Sprintf(format, args...))
		o.AdoptedBy = parent.PID
	}
	if old, ok := t.past[p.ID()]; ok && old.parent.PID != 0 && old.parent.PID != parent.PID {
		add(Certain, "it was a child of %d, and %s adopted it since", old.parent.PID, called(parent))
	}
	if foreign(p, parent) {
		session := fmt.Sprintf("session %d", p.Session)
		if p.Session == 0 {
			session = "a session from outside of this PID namespace"
		}
		switch {
		case !parent.LeadsSession(), adopts == Certain && p.Session > 0:
			add(Certain, "%s adopted it: it is in %s, where only a process of that session could have started it",
				called(parent), session)
		default: // which parent may have left that session since, process 1 only one from outside
			add(Likely, "it is in %s and its parent, %s, isn't", session, called(parent))
		}
	}
	if adopts == No {
		if o.Verdict == No {
			o.Reasons = append(o.Reasons, fmt.Sprintf("its parent, %s, is there, and nothing shows that it adopts", called(parent)))
		}
		return
	}
	t.judgeAdopted(o, p, parent, add)
	if o.Verdict == No {
		add(Possible, "its parent, %s, adopts (%s), but may have started it too", called(parent), whyAdopts)
	}
}

// judgeAdopted weighs what is a trace in a child of an adopter alone.
func (t *Table) judgeAdopted(o *Orphanhood, p, parent *Process, add func(Verdict, string, ...any)) {
	// What is lost to its parent too, it need not have lost by its parent's end.
	if o.LostSession && p.Session != parent.Session {
		add(Likely, "the leader of its session, %d, is gone", p.Session)
	}
	if o.LostGroup && p.PGID != p.Session && p.PGID != parent.PGID {
		add(Likely, "the leader of its process group, %d, is gone", p.PGID)
	}
	if p.Knows(Cgroup) && parent.PID == 1 {
		if unit := unitOf(p.Cgroup); strings.HasSuffix(unit, ".scope") && unit != "init.scope" {
			add(Likely, "its cgroup is that of %s, in which process 1 starts nothing", Printable(unit))
		}
	}
	if p.Knows(Terminal) && p.TTY != 0 && parent.TTY != p.TTY && !p.LeadsSession() {
		add(Likely, "it has a terminal, and its parent, %s, hasn't that", called(parent))
	}
}

// excuse acquits what may be the main process of a service: systemd starts it in a
// session of its own, and a service that forks (Type=forking) loses that session's
// leader by intent. In a session whose leader is there in the same service, only an
// orphan is the manager's child.
func (t *Table) excuse(o *Orphanhood, p, parent *Process) {
	if !p.Knows(Cgroup) {
		return
	}
	unit := unitOf(p.Cgroup)
	if !strings.HasSuffix(unit, ".service") || strings.HasPrefix(unit, "user@") {
		return
	}
	o.Service = unit
	if o.Verdict == No || parent.Name != "systemd" {
		return // in a service, but adopted by one of its own processes
	}
	leader := t.Get(p.Session)
	if leader != nil && leader != p && leader.Cgroup == p.Cgroup {
		o.Reasons = append(o.Reasons, "it is in the service "+Printable(unit)+", beside its main process")
		return
	}
	o.Verdict, o.AdoptedBy = No, 0
	o.Reasons = append([]string{"it may be the main process of the service " + Printable(unit)}, o.Reasons...)
}

// detached says that a process looks like a daemon that detached itself.
func detached(o *Orphanhood, p *Process) bool {
	if !p.Knows(Session|Group|Terminal) || p.TTY != 0 || o.AdoptedBy == 0 {
		return false
	}
	return p.LeadsSession() || o.LostSession && p.PGID == p.Session
}

// foreign says that a process is in a session that neither it nor its parent is
// the origin of. That may be session 0, into which nobody in this PID namespace can get but
// from a process that is in it.
func foreign(p, parent *Process) bool {
	return p.Knows(Session) && parent.Knows(Session) && p.Session >= 0 &&
		!p.LeadsSession() && p.Session != parent.Session
}

// called is a process's name and number.
func called(p *Process) string { return fmt.Sprintf("%s (%d)", Printable(p.Name), p.PID) }

// unitOf is the innermost unit of systemd in a cgroup's path; "" if there is none.
func unitOf(cgroup string) string {
	for dir := cgroup; dir != "" && dir != "/" && dir != "."; dir = path.Dir(dir) {
		base := path.Base(dir)
		if strings.HasSuffix(base, ".service") || strings.HasSuffix(base, ".scope") {
			return base
		}
	}
	return ""
}

// adopters are programs that make themselves subreapers, by the name that they have
// on Linux, of 15 bytes at most.
var adopters = []string{
	"foster-shim", "foster-init", "foster", "containerd-shim", "conmon", "systemd", "tini", "dumb-init", "docker-init",
	"catatonit", "s6-svscan", "runsvdir", "crun", "bwrap", "openrc-init", "init", "launchd",
}

// Adopts says whether a process takes in orphans, and why we think so. Whether one
// is a subreaper can't be asked of another process (prctl(2),
// PR_GET_CHILD_SUBREAPER): process 1 is, and the init of a PID namespace; what has
// a child that it can't have started has adopted; some are known by their names.
func (t *Table) Adopts(pid int) (Verdict, string) {
	p := t.Get(pid)
	switch {
	case p == nil || p.Kernel:
		return No, ""
	case pid == 1:
		return Certain, "it is process 1"
	case p.Knows(Namespaces) && p.InnerPID == 1:
		return Certain, "it is process 1 of its PID namespace"
	}
	for _, i := range t.kids(pid) {
		if kid := &t.Processes[i]; foreign(kid, p) && !p.LeadsSession() {
			return Certain, fmt.Sprintf("it has a child, %d, that it can't have started", kid.PID)
		}
	}
	for _, name := range adopters {
		if p.Name == name || strings.HasPrefix(p.Name, "containerd-shim") {
			return Likely, "it is known to"
		}
	}
	return No, ""
}
