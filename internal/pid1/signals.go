package pid1

import (
	"slices"
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/units"
)

// What an init does with the signals that it gets. All that can be caught are
// caught, so that none of them ends the init, and most are forwarded:
//
//   - SIGKILL and SIGSTOP can't be caught; SIGPROF and 32 to 34 can't by a program
//     in Go, whose runtime has a use for them;
//   - SIGCHLD is about the init's own children; SIGURG is how Go's runtime
//     interrupts its own threads;
//   - SIGPIPE says that nobody reads what the init has to say, and the signals of a
//     fault that it was at fault: neither is the command's.

// kept are the signals that are for the init alone.
var kept = map[syscall.Signal]string{
	syscall.SIGKILL: "it can't be caught",
	syscall.SIGSTOP: "it can't be caught",
	syscall.SIGPROF: "Go's runtime keeps it",
	32:              "Go's runtime keeps it",
	33:              "Go's runtime keeps it",
	34:              "Go's runtime keeps it",
	syscall.SIGURG:  "Go's runtime sends it to itself",
	syscall.SIGCHLD: "it is about the init's own children",
	syscall.SIGPIPE: "it is about what the init itself writes",
	syscall.SIGILL:  ownFault,
	syscall.SIGTRAP: ownFault,
	syscall.SIGABRT: ownFault,
	syscall.SIGBUS:  ownFault,
	syscall.SIGFPE:  ownFault,
	syscall.SIGSEGV: ownFault,
	syscall.SIGSYS:  ownFault,
}

const (
	ownFault   = "it is the sign of a fault of the init itself"
	lastSignal = syscall.Signal(64)
)

// terminalStops are how a terminal stops a job.
var terminalStops = []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU}

func forwarded(s syscall.Signal) bool { return s >= 1 && s <= lastSignal && whyNot(s) == "" }

func whyNot(s syscall.Signal) string {
	if units.SignalName(s) == "SIGSTKFLT" { // only Linux has it
		return ownFault
	}
	return kept[s]
}

// caught are the signals to ask Go's runtime for, those that are then dropped
// included.
func caught() (signals []syscall.Signal) {
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGPROF, 32, 33, 34, syscall.SIGURG, syscall.SIGCHLD:
		default:
			signals = append(signals, s)
		}
	}
	return signals
}

// reaction is what to do about a signal.
type reaction struct {
	forward syscall.Signal // 0: nothing
	scope   foster.Scope
	stop    bool // the command has StopTimeout left, from the first of them on
	suspend bool // the init stops itself
}

// react says what a signal means. Once the leader has ended, all that is left is
// meant.
func (o *Options) react(s syscall.Signal, leaderEnded bool) reaction {
	if !forwarded(s) || o.Dialect == Tini && (s == syscall.SIGTTIN || s == syscall.SIGTTOU) {
		return reaction{}
	}
	r := reaction{forward: s, scope: o.Scope}
	if leaderEnded {
		r.scope = foster.ScopeTree
	}
	if to, ok := o.Rewrite[s]; ok {
		r.forward = to
	}
	r.stop = r.forward != 0 && slices.Contains(o.StopSignals, s)
	r.suspend = o.Dialect == DumbInit && slices.Contains(terminalStops, s)
	return r
}

// pending has the signals that were caught and not acted on yet, in the order in
// which they came, each once: that is how the kernel keeps them, too.
type pending []syscall.Signal

func (p *pending) add(s syscall.Signal) {
	if !slices.Contains(*p, s) {
		*p = append(*p, s)
	}
}
