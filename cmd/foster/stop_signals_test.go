package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
)

// keepsSignalling sends a signal again and again until foster has ended.
func (p *process) keepsSignalling(sig syscall.Signal) {
	p.t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		stuck := time.After(patience)
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for p.cmd.Process.Signal(sig) == nil { // until it was waited for
			select {
			case <-again.C:
			case <-stuck:
				p.t.Errorf("%v again and again puts off the end", sig)
				_ = p.cmd.Process.Kill()
				return
			}
		}
	}()
	_ = p.cmd.Wait() // how it ended is told by the caller's ends
	<-over
}

func TestSignalsAgainAndAgainDontPutOffTheEnd(t *testing.T) {
	leaktest.Check(t)
	p := begin(t, "foster", "run", "--stop-timeout", "500ms", "--", "sh", "-c", trapping)
	p.out.next(`^daemon$`)
	p.keepsSignalling(syscall.SIGTERM)
	if got := shellStatus(p.cmd.ProcessState); got != 128+9 {
		t.Errorf("exit status %d", got)
	}
	p.err.next(`^foster: had to be ended by SIGKILL: `)
	nothingIsLeft(t)
}

// A program may take a signal for something else than its end: each way to stop it sends
// the stop signal, and SIGKILL only after the timeout.
func TestEachWayToStopSendsTheStopSignal(t *testing.T) {
	const server = `trap 'echo reloaded' HUP INT USR2; trap 'echo graceful; exit 6' USR1; echo ready; while :; do :; done`
	run := func(flags ...string) []string {
		return append(append([]string{"run", "--stop-signal", "USR1", "--stop-timeout"}, flags...), "--", "sh", "-c", server)
	}
	signals := func(list ...syscall.Signal) func(*process) {
		return func(p *process) {
			for n, s := range list {
				if n > 0 {
					p.out.next(`^reloaded$`) // two at once could be taken for one
				}
				p.signal(s)
			}
		}
	}
	stop := func(flags ...string) func(*process) {
		return func(p *process) { begin(p.t, "foster", append(append([]string{"stop"}, flags...), "job")...).ends(0) }
	}
	for _, c := range []struct {
		name   string
		args   []string
		end    func(*process)
		status int
	}{
		{"interrupted", run("300ms"), signals(syscall.SIGINT), 6},
		{"interrupted twice", run("1h"), signals(syscall.SIGINT, syscall.SIGINT), 6},
		{"interrupted, then terminated", run("1h"), signals(syscall.SIGINT, syscall.SIGTERM), 6},
		{"terminated", run("1h"), signals(syscall.SIGTERM), 6},
		{"the lease", run("1h", "--lease", "1s"), func(*process) {}, exitTimeout},
		{"the watchdog", run("1h", "--watchdog", "1s"), func(*process) {}, exitTimeout},
		{"foster stop", run("1h", "--id", "job"), stop(), 6},
		{"foster stop with a signal that it takes for another", run("1h", "--id", "job"), stop("--signal", "HUP", "--timeout", "300ms"), 6},
		{"foster stop with a timeout", run("1h", "--id", "job"), stop("--timeout", "1min"), 6},
		{"foster stop with a scope", run("1h", "--id", "job"), stop("--scope", "leader"), 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaktest.Check(t)
			own := t.TempDir() // where the end of a tree with a name is kept
			t.Setenv("XDG_STATE_HOME", own)
			t.Setenv("XDG_RUNTIME_DIR", own)
			p := begin(t, "foster", c.args...)
			p.t = t
			p.out.next(`^ready$`)
			c.end(p)
			p.out.next(`^graceful$`)
			p.ends(c.status)
			nothingIsLeft(t)
		})
	}
}

// Holding down Ctrl-C doesn't skip the stop signal, nor the time to act on it.
func TestThirdInterruptLeavesTimeToTheStopSignal(t *testing.T) {
	leaktest.Check(t)
	p := begin(t, "foster", "run", "--stop-timeout", "1h", "--", "sh", "-c",
		`trap 'echo asked' INT; trap 'for i in 1 2 3 4 5; do sleep 0.1; done; echo graceful; exit 4' TERM
echo ready; while :; do :; done`)
	p.out.next(`^ready$`)
	p.signal(syscall.SIGINT)
	p.out.next(`^asked$`)
	p.signal(syscall.SIGINT)
	p.err.next(`^foster: interrupted again: sending SIGTERM; once more ends the rest with SIGKILL$`)
	p.signal(syscall.SIGINT)
	p.err.next(`^foster: interrupted again: ending the rest with SIGKILL$`)
	p.out.next(`^graceful$`)
	p.ends(4)
	nothingIsLeft(t)
}

// What ignores SIGINT may heed SIGTERM; who sends that needn't wait for the end of a stop
// by SIGINT.
func TestTerminatedWhileItIsInterrupted(t *testing.T) {
	leaktest.Check(t)
	// It forks nobody: what a shell has forked and hasn't executed yet may miss a signal.
	p := begin(t, "foster", "run", "--stop-timeout", "1h", "--", "sh", "-c",
		`trap 'echo asked' INT; trap 'echo told; exit 4' TERM; echo ready; while :; do :; done`)
	p.out.next(`^ready$`)
	p.signal(syscall.SIGINT)
	p.out.next(`^asked$`)
	p.signal(syscall.SIGTERM)
	p.out.next(`^told$`)
	p.ends(4)
	nothingIsLeft(t)
}

func TestInterruptedTwiceWhileItIsTerminated(t *testing.T) {
	leaktest.Check(t)
	p := begin(t, "foster", "run", "--stop-timeout", "1h", "--", "sh", "-c",
		`trap 'echo asked' TERM; trap '' INT; echo ready; while :; do sleep 1000 & wait $!; done`)
	p.out.next(`^ready$`)
	p.signal(syscall.SIGTERM)
	p.out.next(`^asked$`)
	p.keepsSignalling(syscall.SIGINT)
	p.err.next(`^foster: interrupted again: ending the rest with SIGKILL$`)
	p.err.next(`^foster: had to be ended by SIGKILL: `)
	nothingIsLeft(t)
}
