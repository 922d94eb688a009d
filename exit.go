package foster

import (
	"fmt"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// Status is how a process ended: with a code, or by a signal. What nobody could
// observe isn't known, and is never told as 0.
type Status struct {
	Known  bool
	Code   int            // where Signal is 0
	Signal syscall.Signal // 0 where it exited by itself
	Core   bool           // a core was dumped
}

// Success says that the process is known to have exited with code 0.
func (s Status) Success() bool { return s.Known && s.Signal == 0 && s.Code == 0 }

// ExitCode is the code, or -1 where the process was ended by a signal or its end
// isn't known, like os.ProcessState.ExitCode.
func (s Status) ExitCode() int {
	if !s.Known || s.Signal != 0 {
		return -1
	}
	return s.Code
}

func (s Status) String() string {
	switch {
	case !s.Known:
		return "exit status unknown"
	case s.Signal == 0:
		return fmt.Sprintf("exit status %d", s.Code)
	case s.Core:
		return fmt.Sprintf("signal: %v (core dumped)", s.Signal)
	}
	return fmt.Sprintf("signal: %v", s.Signal)
}

// wait is the status as wait(2) gives it.
func (s Status) wait() syscall.WaitStatus {
	w := syscall.WaitStatus(s.Code << 8)
	if s.Signal != 0 {
		w = syscall.WaitStatus(s.Signal)
	}
	if s.Core {
		w |= 0x80
	}
	return w
}

func newStatus(w syscall.WaitStatus) Status {
	if w.Signaled() {
		return Status{Known: true, Signal: w.Signal(), Core: w.CoreDump()}
	}
	return Status{Known: true, Code: w.ExitStatus()}
}

// Usage is what processes used up to their end, as the kernel counted it for
// those who waited for them (getrusage(2)).
type Usage struct {
	User, System time.Duration
	// MaxRSS is in bytes, of the largest process, and an upper bound: a process takes
	// along through exec what its parent had when it forked, and the shim is a Go program
	// of some MiB. os/exec has the same.
	MaxRSS int64
}

// rusage is the usage as getrusage(2) gives it, as far as it is known.
func (u Usage) rusage() *syscall.Rusage {
	return sys.Rusage(u.User, u.System, u.MaxRSS)
}

func newUsage(u wire.Usage) Usage { return Usage(u) }

// Cause is why a run ended.
type Cause string

const (
	CauseEnded       Cause = "ended"        // by itself: no process was left
	CauseStopped     Cause = "stopped"      // Tree.Stop
	CauseCanceled    Cause = "canceled"     // the context was done
	CauseLeaderEnded Cause = "leader-ended" // UntilLeader: the rest was stopped
	CauseLeaderLost  Cause = "leader-lost"  // LossStop: the rest was stopped
	// CauseLeaderLostFail is for LossFail: the rest was stopped, and the run failed.
	CauseLeaderLostFail Cause = "leader-lost-fail"
	CauseReleased       Cause = "released"   // Tree.Release
	CauseShimLost       Cause = "shim-lost"  // the shim was killed
	CauseExpired        Cause = "expired"    // the lease was over
	CauseWatchdog       Cause = "watchdog"   // the program didn't call in time
	CauseOwnerGone      Cause = "owner-gone" // and nobody claimed the tree within its grace
)

// Exit is what is known of a run when it is over.
type Exit struct {
	ID          string
	Containment Containment
	Cause       Cause

	LeaderPID  int
	Leader     Status
	LeaderLost bool // others lived on when the leader ended

	// The facts of a run, each of its own; zero where it didn't happen, or nobody
	// could observe it.
	Started     time.Time
	LeaderEnded time.Time
	TreeEmpty   time.Time
	OutputEnded time.Time // of those outputs that foster copies

	// Counted says that the shim has told what it counted: Usage, Adopted and Reaped.
	// Where it was killed before that, nobody knows, and they are zero. LeaderUsage is
	// known where LeaderEnded is.
	Counted bool

	LeaderUsage Usage
	Usage       Usage // of all that was reaped, and of the leader

	Adopted int // orphans of the tree that the shim adopted and reaped
	Reaped  int // processes that the shim reaped, the leader included
	// Killed is how many had to be ended by SIGKILL: of those that were reaped, or, in a
	// group, which leaves all but its leader to others, of its members. Where the shim was
	// killed, it is how many this program is known to have ended then.
	Killed int
	// OOMKills is how many of the tree the kernel killed since its limit of memory was
	// reached.
	OOMKills int

	Orphans         []Orphan  // some of those adopted, at most 64
	KilledProcesses []Process // some of those killed, at most 64
	Survivors       []Survivor
	Released        bool // the rest of the tree was let go

	// ReleasedProcesses are those that ReleaseProcess has let go and that lived at the end, at
	// most 64. Nobody watches them.
	ReleasedProcesses []Process
}

// ExitCode is the leader's exit code, or -1 where it was ended by a signal or its end isn't
// known, as with os.ProcessState.
func (e Exit) ExitCode() int { return e.Leader.ExitCode() }

// LastSeen is the last moment of the run that is known: the tree was empty, or its
// leader ended, or it was started.
func (e Exit) LastSeen() time.Time {
	for _, t := range []time.Time{e.TreeEmpty, e.LeaderEnded} {
		if !t.IsZero() {
			return t
		}
	}
	return e.Started
}

// Orphan is a process of the tree that lost its parent, was adopted by the shim,
// and has ended.
type Orphan struct {
	PID    int // in its PID namespace
	Name   string
	Status Status
	Ended  time.Time
}

func survivors(list []wire.Member) []Survivor {
	var s []Survivor
	for _, m := range list {
		one := Survivor{PID: m.PID, Name: m.Name}
		if m.State != 0 {
			one.State = string(rune(m.State))
		}
		if m.Error != 0 {
			one.Err = m.Error
		}
		s = append(s, one)
	}
	return s
}
