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
