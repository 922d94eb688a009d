package procfs

import "fmt"

// Halt is why a process doesn't go on by itself.
type Halt struct {
	PID    int
	State  byte // T: stopped by a signal; t: by a debugger; D: it waits in the kernel
	Tracer int  // the debugger; 0: there is none, or it can't be known
}

// HaltOf says why a process doesn't go on. Halt.State is 0 where it does, or isn't there.
func HaltOf(pid int) (h Halt) {
	if pid <= 0 {
		return h
	}
	s, err := Read(pid)
	if err != nil || s.State != 'T' && s.State != 't' && s.State != 'D' {
		return h
	}
	h = Halt{PID: pid, State: s.State}
	if status, err := ReadStatus(pid); err == nil && s.State == 't' {
		h.Tracer = status.Tracer
	}
	return h
}

// Stopped says whether it stays so until somebody resumes it.
func (h Halt) Stopped() bool { return h.State == 'T' || h.State == 't' }

// String says how it is, as in "it is …"; "": it goes on.
func (h Halt) String() string {
	switch {
	case h.State == 'T':
		return "stopped"
	case h.State == 't' && h.Tracer > 0:
		return fmt.Sprintf("stopped by a debugger (pid %d)", h.Tracer)
	case h.State == 't':
		return "stopped by a debugger"
	case h.State == 'D':
		return "waiting in the kernel, which nothing can interrupt (state D)"
	}
	return ""
}

// Remedy says what has it go on; "": it goes on.
func (h Halt) Remedy() string {
	switch h.State {
	case 'T':
		return fmt.Sprintf("kill -CONT %d resumes it", h.PID)
	case 't':
		return "continue it in the debugger, or detach that"
	case 'D':
		return fmt.Sprintf("foster explain %d shows what it waits for", h.PID)
	}
	return ""
}

// Stopped says whether a process is known to be stopped, by a signal or by a debugger.
func Stopped(pid int) bool { return HaltOf(pid).Stopped() }
