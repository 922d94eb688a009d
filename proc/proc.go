// Package proc is the process table: a snapshot of all processes that is cheap
// enough to be taken often, the trees that they form, and the questions that custody
// has to ask. Which are orphans, and how certain is that; which are zombies, and
// which parent neglects them; what listens where.
//
// [Take] reads the table in one pass:
//
//	t, err := proc.Take(proc.Args | proc.Owner)
//	for _, o := range t.Orphans() { … }
//
// A snapshot isn't one moment in time: while it is taken, processes start, end and
// change their parents. What a process is when it is to be signalled, its [ID]
// knows: its number, when it was started, and the boot of the machine. [ID.Signal]
// and [ID.Wait] never reach another process that got the number since.
//
// # What isn't known
//
// A column that wasn't asked for, that this system doesn't have, or that may not be
// read is unknown: [Process.Knows] says so, and the column has its zero value.
//
// # Systems
//
// Linux gives everything, from /proc (proc(5)); /proc has to show the PID namespace
// that the caller is in. macOS gives the columns that sysctl(3) has. On FreeBSD,
// and for what a system doesn't have, the error wraps [errors.ErrUnsupported].
//
// All functions may be used by several goroutines at once, and so may a [Table].
package proc

import (
	"strings"
	"time"
)

// Fields is a set of columns of the process table.
type Fields uint32

// The columns that [Take] reads at all times, as far as the system has them.
const (
	Parent     Fields = 1 << iota // PPID
	Group                         // PGID
	Session                       // Session
	Terminal                      // TTY, Foreground
	Status                        // State, Kernel
	Start                         // ID, Started, Age
	Times                         // User, System
	ChildTimes                    // ChildUser, ChildSystem
	Memory                        // VirtualSize, Resident
	Threads                       // Threads
	Priority                      // Priority, Nice
	Name                          // Name
)

// The columns that cost more, and are read where they are asked for.
const (
	Owner      Fields = 1 << (iota + 16) // UID, GID: one call more for each process
	Args                                 // Args: one file more
	Exe                                  // Exe: one link more; of others, for root only
	Cgroup                               // Cgroup: one file more
	Signals                              // Signals and RealUID: one larger file more
	Namespaces                           // PIDNamespace, NetNamespace, InnerPID: links and a file
	End                                  // Exit and Ended, of zombies alone: one file more
	Wait                                 // WaitsIn: one file more; Linux only
	Locked                               // LockedKB, and Resident exactly: one larger file more; Linux only
)

// Always are the columns that need not be asked for.
const Always = Parent | Group | Session | Terminal | Status | Start | Times |
	ChildTimes | Memory | Threads | Priority | Name

// ForOrphans are the columns that [Table.Orphan] makes use of, beside those that
// are always there. Without them it is less certain.
const ForOrphans = Cgroup | Args

// ForZombies are the columns that [Table.Zombies] makes use of.
const ForZombies = Signals | End

// Process is a line of the process table, as it was when the line was read.
type Process struct {
	PID        int
	PPID       int    // of the parent; 0: it has none, or it is outside of the PID namespace
	PGID       int    // 0: the group's leader is outside of the PID namespace
	Session    int    // 0: the session's leader is outside of the PID namespace
	Foreground int    // the foreground group of its terminal; -1: no terminal
	TTY        uint32 // device number of the controlling terminal; 0: none. See [TTYName]
	State      State
	Kernel     bool // a thread of the kernel
	// Thread is the thread that the state and the memory were read from, PID being the
	// first one. It is another where the first has ended and others run on: see
	// [Process.FirstThreadEnded].
	Thread  int
	Threads int

	User, System           time.Duration // processor time, in steps of 10 ms on Linux
	ChildUser, ChildSystem time.Duration // the same of the children it has waited for
	VirtualSize, Resident  uint64        // memory, in bytes
	Priority, Nice         int           // as in ps -l; nice is -20 to 19

	// Name is what the process calls itself, at most 15 bytes on Linux, any bytes:
	// see [Printable].
	Name string

	UID, GID int      // the effective user and group
	Args     []string // empty for a zombie and a kernel thread; it may have overwritten them
	Exe      string   // path of its program; ends with " (deleted)" where that is gone; "" for a kernel thread
	Cgroup   string   // path in the cgroup hierarchy, "/" being the root of the caller's cgroup namespace

	Signals SignalState
	RealUID int // who started it, where a program is setuid; read with Signals
	// Tracer is the process that traces it (ptrace(2)); 0: none. Read with Signals, on Linux.
	// Unless it is the parent, that can't reap it before the tracer has asked for its end.
	Tracer int

	PIDNamespace, NetNamespace uint64 // numbers of the namespaces that it is in
	InnerPID                   int    // its number in its own PID namespace: 1 is its init

	// Exit is how a zombie ended, as wait(2) would tell: known to those who may
	// trace it.
	Exit ExitStatus
	// Ended is when a zombie ended: see [Zombie.Since].
	Ended time.Time

	// WaitsIn is the function of the kernel that it sleeps in, as the kernel names it;
	// "" where it doesn't sleep, or the caller may not see it.
	WaitsIn string
	// LockedKB is how much of its memory is locked (mlock(2)).
	LockedKB uint64

	// Flags are the kernel's own (PF_* of sched.h on Linux, P_* of proc.h on macOS).
	Flags uint64

	known Fields
	start uint64
	at    *moment
}

// moment is what all lines of a snapshot have in common.
type moment struct {
	boot string
	now  time.Time
	up   time.Duration // since boot, time suspended included
}

// Knows says whether all these columns are known.
func (p *Process) Knows(f Fields) bool { return p.known&f == f }

// ID is the identity of the process. It is the zero ID where Start isn't known.
func (p *Process) ID() ID {
	if !p.Knows(Start) || p.at == nil {
		return ID{}
	}
	return ID{PID: p.PID, Start: p.start, Boot: p.at.boot}
}

// Started is when the process was started, to a hundredth of a second on Linux, by
// the clock as it is set now; the zero time where that isn't known.
func (p *Process) Started() time.Time {
	if !p.Knows(Start) || p.at == nil {
		return time.Time{}
	}
	return started(p.start, p.at)
}

// Age is how long ago it was started when the snapshot was taken, time in which the
// machine was suspended included.
func (p *Process) Age() time.Duration {
	s := p.Started()
	if s.IsZero() {
		return 0
	}
	return max(0, p.at.now.Sub(s))
}

// Zombie says that the process has ended and only waits to be reaped. A process
// whose first thread has ended while others run on isn't one, though ps(1) shows it
// as Z: its state is that of a thread that runs.
func (p *Process) Zombie() bool { return p.State == Defunct || p.State == Dead }

// FirstThreadEnded says that the first thread has ended, by pthread_exit(3) say, while
// others run on. The kernel keeps its line as that of a zombie, and has the memory, the
// descriptors and the arguments of the process only by its other threads: see
// [Process.Thread].
func (p *Process) FirstThreadEnded() bool { return p.Thread > 0 && p.Thread != p.PID }

// LeadsSession says that the process called setsid(2), or was started so.
func (p *Process) LeadsSession() bool { return p.Knows(Session) && p.Session == p.PID }

// LeadsGroup says that it leads its process group.
func (p *Process) LeadsGroup() bool { return p.Knows(Group) && p.PGID == p.PID }

// State is the state of a process, by the letter that ps(1) shows.
type State byte

// The states.
const (
	Running  State = 'R' // runs, or could
	Sleeping State = 'S' // waits for an event, and can be interrupted
	Disk     State = 'D' // waits, most often for a device, and can't be interrupted
	Stopped  State = 'T' // was stopped by a signal
	Traced   State = 't' // was stopped by a debugger
	Defunct  State = 'Z' // has ended, and wasn't waited for
	Dead     State = 'X' // is being removed
	Idle     State = 'I' // an idle kernel thread; on macOS, being created
	Parked   State = 'P' // a kernel thread that is parked
	NoState  State = 0   // unknown
)

// String is the letter.
func (s State) String() string {
	if s == 0 {
		return "?"
	}
	return Printable(string(rune(s)))
}

// Words say what the state means.
func (s State) Words() string {
	switch s {
	case Running:
		return "running or able to run"
	case Sleeping:
		return "sleeping until an event"
	case Disk:
		return "waiting, and can't be interrupted"
	case Stopped:
		return "stopped by a signal"
	case Traced:
		return "stopped by a debugger"
	case Defunct:
		return "zombie: has ended and wasn't reaped"
	case Dead:
		return "dead: being removed"
	case Idle:
		return "idle"
	case Parked:
		return "parked"
	case 'W':
		return "waking"
	case 'K':
		return "waiting, and can be killed only"
	}
	return "unknown"
}

// Stat is the column STAT of ps(1): the state's letter, and behind it < for a high
// priority, N for a low one, L for locked memory, where it was asked for by [Locked], s
// for the leader of a session, l for several threads, and + for the terminal's
// foreground group.
func (p *Process) Stat() string {
	var b strings.Builder
	b.WriteString(p.State.String())
	if p.Knows(Priority) && p.Nice < 0 {
		b.WriteByte('<')
	} else if p.Knows(Priority) && p.Nice > 0 {
		b.WriteByte('N')
	}
	if p.LockedKB > 0 {
		b.WriteByte('L')
	}
	if p.LeadsSession() {
		b.WriteByte('s')
	}
	if p.Knows(Threads) && p.Threads > 1 {
		b.WriteByte('l')
	}
	if p.Knows(Terminal|Group) && p.Foreground > 0 && p.Foreground == p.PGID {
		b.WriteByte('+')
	}
	return b.String()
}

// SignalState are masks of signals, in which bit n-1 stands for signal n.
type SignalState struct {
	Pending uint64 // waits to be taken, by the process or its first thread
	Blocked uint64 // by its first thread, or by [Process.Thread]
	Ignored uint64
	Caught  uint64 // has a handler
}

// Has says whether a signal is in a mask.
func Has(mask uint64, sig int) bool { return sig > 0 && sig <= 64 && mask&(1<<(sig-1)) != 0 }

// ExitStatus is how a process ended: a code, or a signal.
type ExitStatus struct {
	Code   int
	Signal int // 0: it exited
	Core   bool
}

// exitStatus reads what wait(2) gives.
func exitStatus(w int) ExitStatus {
	if sig := w & 0x7f; sig != 0 {
		return ExitStatus{Code: -1, Signal: sig, Core: w&0x80 != 0}
	}
	return ExitStatus{Code: w >> 8 & 0xff}
}
