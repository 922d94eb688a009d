package pid1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// runner is an init at work. One goroutine has all of it.
type runner struct {
	o                     *Options
	stdin, stdout, stderr *os.File
	voice                 *voice
	terminal              *terminal

	tree        *foster.Tree
	clock       *time.Timer // of a stop: what is left then is killed
	stopping    bool
	asked       bool // all that is left was sent SIGTERM
	killed      bool // the leader, since its time was over
	leaderEnded bool
	suspended   bool                    // stopped with the command, which had the terminal
	skip        map[syscall.Signal]bool // one of these is the init's own doing
}

func newRunner(o *Options, stdin, stdout, stderr *os.File) *runner {
	clock := time.NewTimer(time.Hour)
	clock.Stop()
	return &runner{
		o: o, stdin: stdin, stdout: stdout, stderr: stderr,
		voice: newVoice(o, stderr), clock: clock, skip: map[syscall.Signal]bool{},
	}
}

func (r *runner) run() int {
	defer r.voice.close()
	runtime.LockOSThread()               // for the two calls below, which are about a thread
	_ = sys.BlockSignal(syscall.SIGTTOU) // without it, the terminal stays the command's
	if sig := r.o.ParentDeath; sig != 0 {
		if err := sys.DieWithParent(sig); err != nil {
			r.voice.say(fatal, "can't be told of the parent's death: %v", err)
			return r.o.Dialect.startStatus(err)
		}
	}
	signals := catchSignals()
	r.openTerminal()
	tree, err := r.start()
	if err != nil {
		r.sayStartError(err)
		return r.startStatus(err)
	}
	r.tree = tree
	r.voice.say(info, "started %s (pid %d)", r.o.Command[0], tree.Leader())
	return r.loop(signals)
}

func (r *runner) openTerminal() {
	r.terminal = openTerminal(r.stdin)
	if !r.o.Session || r.terminal == nil {
		return
	}
	r.terminal.detach()
	r.skip[syscall.SIGHUP], r.skip[syscall.SIGCONT] = r.terminal.free, r.terminal.free
}

func (r *runner) sayStartError(err error) {
	text := units.ErrorText(err)
	r.voice.say(fatal, "%s", text)
}

// startStatus is that of a start that failed; to tini, it was the child that
// failed, so that its status is mapped, too.
func (r *runner) startStatus(err error) int {
	status := r.o.Dialect.startStatus(err)
	if r.o.Dialect == Tini && status != 1 {
		return r.mapped(status)
	}
	return status
}

// loop holds the tree until it is over.
func (r *runner) loop(signals <-chan syscall.Signal) int {
	events := make(chan foster.Event)
	go func() {
		for e := range r.tree.Events(context.Background()) {
			events <- e
		}
		close(events)
	}()
	for {
		select {
		case e, more := <-events:
			if !more {
				return r.end()
			}
			r.guard(func() { r.event(e) })
		case s := <-signals:
			r.guard(func() { r.signal(s) })
		case <-r.clock.C:
			r.guard(r.timeOver)
		}
	}
}

// guard keeps the init alive where its own code is wrong: what it holds is worth
// more than what went wrong.
func (r *runner) guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			r.voice.say(warn, "a fault of the init, passed over: %v", p)
		}
	}()
	f()
}

// catchSignals asks for all signals that can be had. What was caught waits in
// order, as long as it takes; none is lost.
func catchSignals() <-chan syscall.Signal {
	wanted := make([]os.Signal, 0, lastSignal)
	for _, s := range caught() {
		wanted = append(wanted, s)
	}
	in := make(chan os.Signal, 128)
	signal.Notify(in, wanted...)
	out := make(chan syscall.Signal)
	go pump(in, out)
	return out
}

func pump(in <-chan os.Signal, out chan<- syscall.Signal) {
	var waiting pending
	for {
		var to chan<- syscall.Signal
		var first syscall.Signal
		if len(waiting) > 0 {
			to, first = out, waiting[0]
		}
		select {
		case s := <-in:
			if sig, ok := s.(syscall.Signal); ok {
				waiting.add(sig)
			}
		case to <- first:
			waiting = waiting[1:]
		}
	}
}

func (r *runner) signal(s syscall.Signal) {
	if r.skip[s] {
		r.skip[s] = false
		r.voice.say(debug, "%s, of the terminal that was given up, isn't forwarded", units.SignalName(s))
		return
	}
	if s == syscall.SIGCONT && r.suspended {
		r.resume()
	}
	do := r.o.react(s, r.leaderEnded)
	if do.forward == 0 {
		r.voice.say(debug, "%s isn't forwarded", units.SignalName(s))
	} else if err := r.forward(do.forward, do.scope); err != nil {
		r.voice.say(info, "%s couldn't be forwarded: %v", units.SignalName(do.forward), err)
	} else {
		r.asked = r.asked || do.forward == syscall.SIGTERM && do.scope == foster.ScopeTree
		r.voice.say(debug, "%s: forwarded %s to the %s", units.SignalName(s), units.SignalName(do.forward), do.scope)
	}
	if do.stop {
		r.stop(do.scope)
	}
	if do.suspend {
		_ = sys.Kill(os.Getpid(), syscall.SIGSTOP) // itself; as PID 1 the kernel drops it
	}
}

// forward sends a signal. That the leader has ended may not have been told yet.
func (r *runner) forward(s syscall.Signal, scope foster.Scope) error {
	err := r.tree.Signal(s, scope)
	if errors.Is(err, foster.ErrEnded) && r.o.UntilTree && scope != foster.ScopeTree {
		err = r.tree.Signal(s, foster.ScopeTree)
	}
	return err
}

// stop begins the time that the command has to end. The signal was sent.
func (r *runner) stop(scope foster.Scope) {
	r.resumeStopped(scope)
	if r.stopping {
		return
	}
	r.stopping = true
	r.clock.Reset(r.o.StopTimeout)
}

// resumeStopped continues what is stopped: it would act on a signal only then. What runs gets
// no SIGCONT, which it might see before that signal.
func (r *runner) resumeStopped(scope foster.Scope) {
	stopped := procfs.MayBeStopped(r.tree.Leader())
	if scope != foster.ScopeLeader {
		members, err := r.tree.Members()
		stopped = err != nil || slices.ContainsFunc(members, func(m foster.Process) bool { return procfs.MayBeStopped(m.PID) })
	}
	if stopped {
		_ = r.tree.Signal(syscall.SIGCONT, scope) // it has ended: as wanted
	}
}

// killTime is how long the leader may take to end by SIGKILL.
const killTime = 5 * time.Second

// timeOver ends the leader, since its time is over. What it leaves behind hasn't seen a
// signal yet: it is stopped when the leader has ended. So is what was left before, of which
// another signal than SIGTERM has asked the same.
func (r *runner) timeOver() {
	r.voice.say(info, "the time to stop is over")
	if (r.leaderEnded || r.killed) && !r.asked {
		r.stopRest()
		return
	}
	if r.leaderEnded || r.killed || r.o.StopTimeout == 0 || r.tree.Signal(syscall.SIGKILL, foster.ScopeLeader) != nil {
		r.stopBy(foster.KillAtOnce())
		return
	}
	r.killed = true
	r.voice.say(warn, "had to be ended by SIGKILL: %s (pid %d)", filepath.Base(r.o.Command[0]), r.tree.Leader())
	r.clock.Reset(killTime)
}

// stopRest ends what the command has left behind.
func (r *runner) stopRest() {
	r.asked = true
	r.clock.Stop()
	plan := foster.StopPlan{Signal: syscall.SIGTERM, Timeout: r.o.StopTimeout}
	if plan.Timeout == 0 {
		plan = foster.KillAtOnce()
	}
	r.stopBy(plan)
}

// stopBy asks for a stop, and doesn't wait for its end, which is an event.
func (r *runner) stopBy(plan foster.StopPlan) {
	r.stopping = true
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = r.tree.StopWith(ctx, plan)
}

func (r *runner) event(e foster.Event) {
	switch e.Kind {
	case foster.EventLeaderPaused:
		r.pause(e.Signal)
	case foster.EventLeaderEnded:
		r.leaderEnded = true
		r.voice.say(info, "%s (pid %d) has ended: %v", r.o.Command[0], r.tree.Leader(), e.Status)
		if !r.o.UntilTree || r.stopping {
			r.stopRest()
		}
	case foster.EventKilled:
		r.voice.say(warn, "had to be ended by SIGKILL: %s", names(e.Processes, e.Count))
	case foster.EventTreeEmpty:
		r.voice.say(debug, "no process is left")
	}
}

// reaped tells of an orphan that was adopted and reaped. It's called by the shim,
// in another goroutine.
func (r *runner) reaped(pid int) {
	l := debug
	if r.o.WarnReaped {
		l = warn
	}
	r.voice.say(l, "Reaped zombie process with pid=%d", pid)
}

func (r *runner) end() int {
	exit, _ := r.tree.Wait() // the status says it
	r.terminal.restore(exit.LeaderPID, exit.Leader.Signal != 0)
	// Of the first process's own namespace, the kernel ends what is left.
	if len(exit.Survivors) > 0 && os.Getpid() != 1 {
		for _, s := range exit.Survivors {
			r.voice.say(warn, "couldn't be ended: %v", s)
		}
		if r.o.Dialect == Native {
			return exitSurvivors
		}
	}
	return r.mapped(status(exit.Leader))
}

func status(s foster.Status) int {
	switch {
	case !s.Known:
		return exitFoster
	case s.Signal != 0:
		return 128 + int(s.Signal)
	}
	return s.Code
}

func (r *runner) mapped(status int) int {
	if status >= 0 && status < len(r.o.ExitZero) && r.o.ExitZero[status] {
		return 0
	}
	return status
}

func isTerminalStop(s syscall.Signal) bool { return slices.Contains(terminalStops, s) }

// names lists processes for people, and how many more there were.
func names(list []foster.Process, total int) string {
	const most = 5
	var b strings.Builder
	for i, p := range list[:min(len(list), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (pid %d)", p.Name, p.PID)
	}
	if more := total - min(len(list), most); more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}
