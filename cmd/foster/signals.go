package main

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// catchSignals asks for the signals that mean something for a run. SIGURG isn't
// one: Go's runtime sends it to itself. SIGPIPE and what a program's own fault
// causes aren't either.
func catchSignals() <-chan os.Signal {
	wanted := []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGALRM, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGCHLD,
	}
	for _, s := range units.RealtimeSignals() {
		wanted = append(wanted, s)
	}
	// What foster was started to ignore, it goes on ignoring: nohup(1) sets SIGHUP
	// so, and a script's background job has SIGINT so.
	wanted = slices.DeleteFunc(wanted, signal.Ignored)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, wanted...)
	return signals
}

// signal acts on a signal that foster got: the ones that end a program stop the
// tree in the orderly way, the rest is passed on.
func (r *runner) signal(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	if !ok {
		return
	}
	switch sig {
	case syscall.SIGCHLD:
		r.reapOrphans()
	case syscall.SIGTERM:
		r.terminate()
	case syscall.SIGINT:
		r.interrupt()
	case syscall.SIGHUP:
		if r.terminal == nil {
			r.forward(sig) // a request to read the configuration again
			return
		}
		r.terminate() // the terminal is gone; who had it has got SIGHUP from the kernel
	case syscall.SIGCONT:
		if r.suspended && r.terminal.give(r.tree.Leader()) {
			r.suspended = false
		}
		r.forward(sig)
	case syscall.SIGTSTP:
		r.suspend()
	default:
		r.forward(sig)
	}
}

// stopKind orders what a signal may ask for. What means no more than what is under way
// joins it: sending SIGTERM again and again doesn't put off SIGKILL.
//
// Whatever asks for the end, the stop signal is sent before SIGKILL. A program may take
// SIGINT or SIGHUP for something else than its end, and a database that is killed has to
// recover when it starts again.
type stopKind int

const (
	notAsked        stopKind = iota
	stopByInterrupt          // SIGINT, and then as the flags say
	stopByPlan               // as the flags say
	stopAtOnce               // SIGKILL
)

// leastTime is how long the stop signal has to have an effect before an impatient user
// can have SIGKILL sent: who holds down Ctrl-C doesn't skip the orderly end.
const leastTime = 2 * time.Second

// stop asks for a stop by a plan once a time is over, and doesn't wait for it.
func (r *runner) stop(kind stopKind, plan foster.StopPlan, after time.Duration) {
	if kind <= r.asked {
		return
	}
	r.asked, r.stopping = kind, true
	go func() {
		select {
		case <-time.After(after):
			_, _ = r.tree.StopWith(context.Background(), plan) // its end is an event
		case <-r.tree.Done():
		}
	}()
}

// terminate stops the tree as the flags say, and joins a stop that has come so far.
func (r *runner) terminate() {
	if r.signalled.IsZero() {
		r.signalled = time.Now()
		r.stop(stopByPlan, r.cmd.Stop, 0)
	}
}

// interrupt stops by SIGINT first, which many programs take for their end; a second time by
// the stop signal, and a third time by SIGKILL.
func (r *runner) interrupt() {
	r.interrupts++
	again := r.interrupts > 1
	stopSignal := cmp.Or(r.cmd.Stop.Signal, syscall.SIGTERM)
	switch {
	case !r.signalled.IsZero() && again:
		r.say("interrupted again: ending the rest with SIGKILL")
		r.stop(stopAtOnce, foster.KillAtOnce(), max(0, leastTime-time.Since(r.signalled)))
	case !r.signalled.IsZero(): // it joins the stop that is under way
	case again:
		r.say("interrupted again: sending " + units.SignalName(stopSignal) + "; once more ends the rest with SIGKILL")
		r.terminate()
	case r.left != nil || stopSignal == syscall.SIGINT || r.cmd.Stop.Timeout < 0:
		r.terminate() // the jobs that a script leaves behind ignore SIGINT
	default:
		plan := r.cmd.Stop
		wait := plan.Timeout
		if wait == 0 {
			wait = foster.DefaultStopTimeout
		}
		last := foster.StopStep{Signal: stopSignal, Scope: plan.Scope, Wait: wait}
		plan.Signal, plan.Steps = syscall.SIGINT, append([]foster.StopStep{last}, plan.Steps...)
		r.stop(stopByInterrupt, plan, 0)
	}
}

// suspend passes SIGTSTP on. A command that is stopped by it is followed: see pause.
// Where the command has gone and its terminal is foster's, nobody else tells the shell
// that the job has stopped.
func (r *runner) suspend() {
	switch {
	case r.left == nil || r.terminal == nil:
		r.forward(syscall.SIGTSTP)
	case !sys.LeadsSession(): // else nobody could continue any of them
		r.toGroupOrTree(syscall.SIGTSTP)
		stopJob()
	}
}

// forward passes a signal on to the leader's group, or to all who are left where
// that has nobody. Where the tree has ended meanwhile, there's nobody to tell.
func (r *runner) forward(sig syscall.Signal) {
	go r.toGroupOrTree(sig)
}

func (r *runner) toGroupOrTree(sig syscall.Signal) {
	if r.tree.Signal(sig, foster.ScopeGroup) != nil {
		_ = r.tree.Signal(sig, foster.ScopeTree)
	}
}

// pause follows an application that was stopped by its terminal.
func (r *runner) pause(by syscall.Signal) {
	wantsTerminal := by == syscall.SIGTTIN || by == syscall.SIGTTOU
	if wantsTerminal && r.terminal.give(r.tree.Leader()) {
		r.forward(syscall.SIGCONT)
		return
	}
	if r.terminal == nil {
		return
	}
	if sys.LeadsSession() { // nobody could continue foster
		r.forward(syscall.SIGCONT)
		return
	}
	r.terminal.take(r.tree.Leader())
	r.suspended = true
	stopJob()
}

// stopJob stops what a shell takes for the job: all of foster's group, the rest of a
// pipeline included.
func stopJob() {
	_ = sys.Kill(-sys.Getpgrp(), syscall.SIGSTOP) // its own group: there is one
}

// interruptible breaks off what is being ended at Ctrl-C and the like, between two of
// its steps: who is stopped for a moment, so that it can't fork meanwhile, isn't left so.
// calm ends that, and says whether it was broken off: also by a signal that has come in the
// last moment, which is lost where that isn't heeded.
func interruptible(ctx context.Context) (broken context.Context, calm func() bool) {
	wanted := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
	// Asking for one that is ignored would end its being so, also afterwards.
	wanted = slices.DeleteFunc(wanted, signal.Ignored)
	broken, cancel := context.WithCancel(ctx)
	signals, heard := make(chan os.Signal, 1), make(chan struct{})
	if len(wanted) > 0 { // to ask for none is to ask for all
		signal.Notify(signals, wanted...)
	}
	go func() {
		defer close(heard)
		if _, came := <-signals; came {
			cancel()
		}
	}()
	return broken, func() bool {
		defer cancel()
		signal.Stop(signals) // waits for what is under way; then nobody sends any more
		close(signals)
		<-heard
		return broken.Err() != nil
	}
}
