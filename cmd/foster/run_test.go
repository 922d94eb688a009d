package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

const startScript = "../../examples/start.sh"

func TestStartScriptKilledApplicationLivesOnAndIsStopped(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		p := start(t, "--contain", contain, "--", startScript)
		script := p.out.pid(`^start\.sh: pid (\d+) starts`)
		sub := p.out.pid(`^sub\.sh: pid (\d+), started by`)
		p.out.next(`^sub\.sh: 1$`)
		if contain == "pidns" { // where they have other numbers
			kill(t, p.named("start.sh"))
			p.err.next(`^foster: start\.sh \(pid \d+\) was killed by SIGKILL; .*sub\.sh \(pid \d+\).* on$`)
		} else {
			kill(t, script)
			p.err.next(fmt.Sprintf(
				`^foster: start\.sh \(pid %d\) was killed by SIGKILL; .*sub\.sh \(pid %d\).* on$`, script, sub))
		}
		p.out.next(`^sub\.sh: 2$`)
		p.signal(syscall.SIGTERM)
		p.err.next(`^foster: nothing is left`)
		p.ends(128 + 9)
		nothingIsLeft(t)
		p.out.rest()
	})
}

// trapping is an application that ignores what a stop sends, and has a child in a
// session of its own that does likewise.
const trapping = `trap '' TERM INT HUP
trap 'echo asked' USR1
setsid sh -c 'echo daemon; exec sleep 1000' &
echo ready
while :; do sleep 1000 & wait $!; done`

func TestInterruptIsOrderly(t *testing.T) {
	leaktest.Check(t)
	p := begin(t, "foster", "run", "--stop-timeout", "1h", "--", "sh", "-c",
		`trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 1000 & wait $!; done`)
	p.out.next(`^ready$`)
	p.signal(syscall.SIGINT)
	p.out.next(`^interrupted$`)
	p.ends(4)
	nothingIsLeft(t)
}

func TestInterruptedThreeTimesEndsTheWait(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		if contain == "group" {
			return // it loses what has a session of its own
		}
		p := begin(t, "foster", "run", "--contain", contain, "--stop-timeout", "1h", "--", "sh", "-c", `
trap 'echo asked' INT TERM
(trap '' INT TERM; exec setsid sh -c 'echo daemon; exec sleep 1000') &
while :; do sleep 1000 & wait $!; done`)
		p.out.next(`^daemon$`)
		p.signal(syscall.SIGINT)
		p.out.next(`^asked$`) // two at once could be taken for one
		p.signal(syscall.SIGINT)
		p.err.next(`^foster: interrupted again: sending SIGTERM; once more ends the rest with SIGKILL$`)
		p.out.next(`^asked$`)
		p.signal(syscall.SIGINT)
		p.err.next(`^foster: interrupted again: ending the rest with SIGKILL$`)
		p.err.next(`^foster: had to be ended by SIGKILL: .*\bs(h|leep)\b`) // of a PID namespace's dead, the numbers aren't known
		p.ends(128 + 9)
		nothingIsLeft(t)
	})
}

// telling is an application that tells of signals, until SIGTERM ends it.
const telling = `for s in HUP USR1 USR2 URG WINCH; do trap "echo got $s" $s; done
echo ready
while :; do sleep 1000 & wait $!; done`

func TestSignalsAreForwarded(t *testing.T) { inEach(t, signalsAreForwarded) }

func signalsAreForwarded(t *testing.T, contain string) {
	p := start(t, "--contain", contain, "--", "sh", "-c", telling)
	p.out.next(`^ready$`)
	for name, sig := range map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH,
	} {
		p.signal(sig)
		p.out.next("^got " + name + "$")
	}
	p.signal(syscall.SIGTERM)
	p.ends(128 + 15)
	nothingIsLeft(t)
}

func TestURGIsNotForwarded(t *testing.T) { inEach(t, urgIsNotForwarded) }

func urgIsNotForwarded(t *testing.T, contain string) {
	p := start(t, "--contain", contain, "--", "sh", "-c", telling)
	p.out.next(`^ready$`)
	for range 10 {
		p.signal(syscall.SIGURG)
		p.signal(syscall.SIGUSR1)
		p.out.next(`^got USR1$`)
	}
	p.signal(syscall.SIGTERM)
	p.ends(128 + 15)
	if rest := p.out.rest(); slices.Contains(rest, "got URG") {
		t.Errorf("the application got SIGURG: %q", rest)
	}
	nothingIsLeft(t)
}

func TestFosterKilledNothingIsLeft(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		script := trapping
		if contain == "group" { // loses what has a session of its own
			script = strings.Replace(trapping, "setsid", "", 1)
		}
		p := start(t, "--contain", contain, "--", "sh", "-c", script)
		p.out.next(`^daemon$`)
		p.signal(syscall.SIGKILL)
		p.ends(128 + 9)
		p.out.rest() // it ends when the last of them has
		leaktest.ReapOrphans(t)
	})
}

func TestShimKilledFosterEndsTree(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		p := start(t, "--contain", contain, "--", "sh", "-c", trapping)
		p.out.next(`^daemon$`)
		p.signal(syscall.SIGUSR1)
		p.out.next(`^asked$`) // so foster knows of the start
		kill(t, p.named("foster-shim"))
		p.err.next(`^foster: the shim has died: foster ends what it held$`)
		p.ends(exitFoster)
		nothingIsLeft(t)
		p.out.rest()
	})
}

func TestApplicationBeginsClean(t *testing.T) {
	ways := map[string][]string{
		"ignored": {"sh", "-c", `trap '' HUP INT QUIT TERM USR1 USR2 PIPE TSTP TTOU; exec "$@"`, "sh"},
		"blocked": {"env", "--block-signal=HUP,INT,TERM,USR1,CHLD,TSTP"},
	}
	for name, before := range ways {
		t.Run(name, func(t *testing.T) {
			if name == "blocked" {
				leaktest.Need(t, "env --block-signal", exec.Command("env", "--block-signal=HUP", "true").Run())
			}
			for _, flags := range [][]string{{}, {"--rlimit", "nofile=100"}, {"--contain", "group"}} {
				leaktest.Check(t)
				foster := append([]string{"foster", "run"}, flags...)
				// The last is that with which ls reads them.
				seen := output(t, slices.Concat(before, foster, []string{"ls", "/proc/self/fd"})...)
				if want := []string{"0", "1", "2", "3"}; !slices.Equal(seen, want) {
					t.Errorf("%v: descriptors %v, want %v", flags, seen, want)
				}
				status := output(t, slices.Concat(before, foster, []string{"cat", "/proc/self/status"})...)
				for _, mask := range []string{"SigBlk", "SigIgn"} {
					if want := mask + ":\t0000000000000000"; !slices.Contains(status, want) {
						t.Errorf("%v: want %q in\n%s", flags, want, strings.Join(status, "\n"))
					}
				}
			}
		})
	}
}

// output is what a command prints.
func output(t *testing.T, command ...string) []string {
	t.Helper()
	p := begin(t, command[0], command[1:]...)
	said := p.out.rest()
	p.ends(0)
	return said
}
