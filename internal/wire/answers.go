package wire

import (
	"fmt"
	"syscall"
	"time"
)

// What a shim says: answers, and news of its tree.

// Hello is the first message of a shim: it is ready for a Start, or says at which
// step of getting ready it failed.
type Hello struct {
	Version int
	Step    string
	Errno   syscall.Errno
}

// Check says whether the shim is ready, and speaks as this source does.
func (h *Hello) Check() error {
	switch {
	case h.Errno != 0:
		return fmt.Errorf("%s: %w", h.Step, h.Errno)
	case h.Version != Version:
		return fmt.Errorf("%w: it speaks version %d, this program %d: use the program that started the tree, or its version",
			ErrProtocol, h.Version, Version)
	}
	return nil
}

// Started tells of the leader; on Linux its pidfd travels with it.
type Started struct {
	PID    int
	Start  uint64 // clock ticks after boot, 0 where unknown
	At     time.Time
	PIDFDs int
}

// Failed says that nothing was started, and at which step.
type Failed struct {
	Stage string
	Errno syscall.Errno
	Text  string // more than the number says, where there is more
}

// Paused tells that the leader was stopped by a signal, or continued (Signal 0).
type Paused struct {
	Signal syscall.Signal
	At     time.Time
}

// LeaderEnded tells of the leader's end. Lost says that living processes of the
// tree are left, and Left names some of them.
type LeaderEnded struct {
	Status syscall.WaitStatus
	Usage  Usage
	At     time.Time
	Lost   bool
	Left   []Member
}

// Signaled tells of a signal of a stop: whom it reached, and who couldn't be
// signalled.
type Signaled struct {
	At     time.Time
	Signal syscall.Signal
	Scope  Scope
	Count  int
	Names  []Member // some of those, named where it is SIGKILL
	Left   Plan     // what is left of the plan, this step included, from At on; none where it is SIGKILL
}

// Ended is the last message of a tree: it is empty, or released, or there are
// survivors that can't be ended, which the shim goes on holding.
type Ended struct {
	At        time.Time
	Usage     Usage
	Reaped    int
	Adopted   int
	Killed    int
	Released  bool
	OwnerGone bool
	Read      bool // somebody else reads the outputs that are kept
	Survivors []Member
	Orphans   []Orphan // some of those adopted
	OOMKills  int      // how many the kernel has killed since they had reached a limit of memory
	LetGo     []Member // some of those that were released before, and live
}

// LetGo tells of processes that were released, while the rest of the tree is held.
type LetGo struct {
	At        time.Time
	Count     int
	Processes []Member // some of them
}

// Orphan is a process that the shim adopted, and how it ended.
type Orphan struct {
	PID    int
	Name   string
	Status syscall.WaitStatus
	At     time.Time
}

// Member names one process.
type Member struct {
	PID   int
	Start uint64
	Name  string
	State uint8
	Error syscall.Errno // why it couldn't be signalled

	// 0: not known, or led from outside of this PID namespace. See SessionKnown.
	Group, Session int
}

// SessionKnown says whether Session was read. A member with a group that this PID namespace
// has may well be in session 0: that of whoever entered the namespace, as docker exec does.
func (m Member) SessionKnown() bool { return m.Session != 0 || m.Group != 0 }

// Usage is what processes used up to their end (getrusage(2)).
type Usage struct {
	User, System time.Duration
	MaxRSS       int64 // bytes, of the largest
}

// Replied answers the request with the same ID.
type Replied struct {
	ID    uint64
	Errno syscall.Errno
	Count int
	Text  string        // what was wrong, in words
	Left  time.Duration // of the lease, after an Extend
	// Outputs are the streams whose descriptors came along, after a Claim with Output.
	Outputs []uint8
	// Kept are the names of the descriptors that came after those, with Kept.
	Kept []string
	// Processes are some of those that a Release with a PID let go, Count in all.
	Processes []Member
}

// Stopping tells that a stop has begun, and why.
type Stopping struct {
	At    time.Time
	Cause string
}

// LeaseNews tells of the lease: that it will end, was extended, or is over, or that
// the program didn't call its watchdog in time.
type LeaseNews struct {
	At   time.Time
	Kind LeaseKind
	Left time.Duration
}

// LeaseKind is what a LeaseNews tells.
type LeaseKind uint8

const (
	LeaseEnding   LeaseKind = 1
	LeaseExtended LeaseKind = 2
	LeaseOver     LeaseKind = 3
	WatchdogOver  LeaseKind = 4
)

// Notified is what the program told of itself (sd_notify(3)).
type Notified struct {
	At      time.Time
	Ready   bool
	Text    string // STATUS=
	MainPID int
}

// OwnerNews tells that the owner is gone, or that another has the tree.
type OwnerNews struct {
	At    time.Time
	Gone  bool
	Grace time.Duration // where it's gone: how long the tree waits for another
	Owner Member        // who has it, or had it
}

// Status is what a shim knows of its tree now.
type Status struct {
	Reply       uint64 // the ID of the Inspect
	ID          string
	State       string
	Stopping    string // the cause of a stop under way
	Leader      Member
	LeaderDone  bool
	Containment Containment
	Owner       Member
	OwnerGone   bool
	GraceLeft   time.Duration
	HasLease    bool
	LeaseLeft   time.Duration
	LeaseMax    time.Duration // how much it can be extended to, from now; 0: any
	Outputs     []uint8
	Reader      int // the process that reads the outputs
	Reaped      int
	Adopted     int // of those reaped
	Ready       bool
	Text        string // what the program says of itself
	MainPID     int
	Watchdog    time.Duration
	LetGo       []Member // those that were released, and live
}
