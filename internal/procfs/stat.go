// Package procfs reads what custody needs of Linux's /proc: who is whose parent,
// since when, and in what state. It reads and parses; it decides nothing.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// Stat is the part of /proc/PID/stat (proc(5)) that custody needs.
type Stat struct {
	PID     int
	Comm    string // the name of the program, at most 15 bytes, as the process set it
	State   byte   // R S D Z T t X I …
	PPID    int
	PGID    int
	Session int
	Flags   uint64 // PF_* of the kernel's sched.h
	Threads uint64
	Start   uint64 // clock ticks after boot: with PID, the identity of a process

	// FirstEnded says that the first thread has ended, or is about to, while another runs on.
	// State and Flags are then those of that one.
	FirstEnded bool
}

// Identity tells a process from a later one with the same number.
type Identity struct {
	PID   int
	Start uint64
}

// Identity is that of the process.
func (s Stat) Identity() Identity { return Identity{s.PID, s.Start} }

// ErrMalformed says that a line isn't what proc(5) promises.
var ErrMalformed = errors.New("malformed /proc/PID/stat")

// parseStat parses the content of /proc/PID/stat. The command stands in brackets
// and may hold anything, brackets, blanks and newlines included; so the fields
// behind it are counted from the last closing bracket.
func parseStat(b []byte) (Stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return Stat{}, ErrMalformed
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	if err != nil || pid <= 0 {
		return Stat{}, fmt.Errorf("%w: pid %q", ErrMalformed, b[:open])
	}
	f := bytes.Fields(b[end+1:])
	// Field n of proc(5) is f[n-3]: state is 3, the start time is 22.
	if len(f) < 20 || len(f[0]) != 1 {
		return Stat{}, fmt.Errorf("%w: %d fields", ErrMalformed, len(f))
	}
	s := Stat{PID: pid, Comm: string(b[open+1 : end]), State: f[0][0]}
	for _, n := range []struct {
		field int
		to    *int
	}{{4, &s.PPID}, {5, &s.PGID}, {6, &s.Session}} {
		if *n.to, err = strconv.Atoi(string(f[n.field-3])); err != nil {
			return Stat{}, fmt.Errorf("%w: field %d", ErrMalformed, n.field)
		}
	}
	for _, n := range []struct {
		field int
		to    *uint64
	}{{9, &s.Flags}, {20, &s.Threads}, {22, &s.Start}} {
		if *n.to, err = strconv.ParseUint(string(f[n.field-3]), 10, 64); err != nil {
			return Stat{}, fmt.Errorf("%w: field %d", ErrMalformed, n.field)
		}
	}
	return s, nil
}

const pfExiting = 0x4 // PF_EXITING of the kernel's sched.h

// Exiting says that the thread that State and Flags are of has ended or is on its way to.
func (s Stat) Exiting() bool { return s.State == 'Z' || s.State == 'X' || s.Flags&pfExiting != 0 }

// Ended says that the process is a zombie, or is on its way to be one and runs
// no code of its own any more.
func (s Stat) Ended() bool {
	return s.Exiting() && s.Threads <= 1
}

// Zombie says that the process has ended and only waits to be reaped: it holds
// nothing any more, and its children were given to another.
func (s Stat) Zombie() bool { return (s.State == 'Z' || s.State == 'X') && s.Threads <= 1 }

// ticks is the unit of Start: USER_HZ, which is 100 a second for user space on
// every architecture that Go runs on (time(7)).
const ticks = 100

// StartTime is when the process was started, to a hundredth of a second; zero
// where it isn't known.
func (s Stat) StartTime() time.Time {
	up := sys.BootTime()
	if up == 0 || s.Start == 0 {
		return time.Time{}
	}
	started := time.Duration(s.Start) * (time.Second / ticks)
	return time.Now().Add(started - time.Duration(up)).Round(time.Second / ticks)
}

// parsePending finds the signals that are pending for the first thread of a
// process in the content of /proc/PID/status, as a bit mask in which bit n-1
// stands for signal n.
func parsePending(b []byte) (uint64, bool) {
	const key = "\nSigPnd:\t"
	_, rest, ok := bytes.Cut(b, []byte(key))
	if !ok {
		return 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	mask, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	return mask, err == nil
}

// splitCmdline splits the content of /proc/PID/cmdline into arguments. A process
// may have overwritten it with anything.
func splitCmdline(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	var args []string
	for arg := range bytes.SplitSeq(b, []byte{0}) {
		args = append(args, string(arg))
	}
	return args
}

// stopSignals is the mask of the signals that stop a process: STOP, TSTP, TTIN and TTOU.
var stopSignals uint64 = 1<<(syscall.SIGSTOP-1) | 1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1)

// MayBeStopped says whether a process needs SIGCONT to act on another signal: it is stopped,
// or about to be, or that can't be known. To one that runs SIGCONT is news, and it may see it
// before a signal that was sent earlier.
func MayBeStopped(pid int) bool {
	// In this order: a signal that is no longer pending has stopped it by the second look.
	status, err := ReadStatus(pid)
	if err == nil && (status.Pending|status.SharedPending)&stopSignals != 0 {
		return true
	}
	s, err := Read(pid)
	switch {
	case err != nil:
		return true
	case s.State == 'Z' || s.State == 'X': // its other threads may be stopped
		return !s.Ended()
	}
	return s.State == 'T' || s.State == 't'
}
