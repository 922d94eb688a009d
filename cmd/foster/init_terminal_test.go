package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
)

func state(t *testing.T, pid int) byte {
	t.Helper()
	s, err := procfs.Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

// initLines are the ways to have an init.
var initLines = []string{"foster init --", "tini -s --", "dumb-init --", "dumb-init -c --"}

// TestShellUnderInitHasJobControl has an init lead the session, as in a container
// with a terminal.
func TestShellUnderInitHasJobControl(t *testing.T) {
	for _, line := range initLines {
		t.Run(line, func(t *testing.T) {
			leaktest.Check(t)
			words := strings.Fields(line)
			p := sit(t, words[0], append(words[1:], shell(t)...)...)
			p.hasJobControl()
			p.types("exit 5\n")
			p.leaves(5)
		})
	}
}

// TestShellUnderPID1HasJobControl has the terminal be that of a session outside of
// the PID namespace.
func TestShellUnderPID1HasJobControl(t *testing.T) {
	for _, line := range initLines {
		if strings.HasPrefix(line, "dumb-init --") {
			continue // its session can't have the terminal of another
		}
		t.Run(line, func(t *testing.T) {
			leaktest.Check(t)
			pid1 := namespace(t)
			p := sit(t, pid1[0], slices.Concat(pid1[1:], strings.Fields(line), shell(t))...)
			p.hasJobControl()
			p.types("exit 5\n")
			p.leaves(5)
		})
	}
}

// hasJobControl tries a shell that has shown its prompt.
func (p *person) hasJobControl() {
	p.t.Helper()
	p.sees(`>> `)
	for _, warned := range []string{"no job control", "cannot set terminal"} {
		if strings.Contains(strings.ToLower(string(p.screen)), warned) {
			p.t.Errorf("the shell says:\n%s", p.screen)
		}
	}
	p.types("sleep 100\n")
	p.runs("sleep")
	p.types(ctrlZ)
	p.sees(`Stopped +sleep 100`)
	p.sees(`>> `)
	// bash doesn't wait for a job that is still stopped, and with one it doesn't exit.
	p.types("kill %1; while [ -n \"$(jobs -s)\" ]; do :; done; echo alive $((40 + 2))\n")
	p.sees(`alive 42`)
	for _, size := range [][2]uint16{{33, 77}, {10, 20}} {
		p.resizes(size[0], size[1])
		p.types("stty size\n")
		p.sees(fmt.Sprintf(`\b%d %d\r`, size[0], size[1]))
	}
}

func TestCommandUnderInitIsSuspendedAndGoesOn(t *testing.T) {
	leaktest.Check(t)
	isSuspendedAndGoesOn(t, "foster init", "")
}

// TestCommandThatNobodyCouldContinueGoesOn: the init leads the session, so that no
// shell is there to continue it.
func TestCommandThatNobodyCouldContinueGoesOn(t *testing.T) {
	leaktest.Check(t)
	p := sit(t, "foster", "init", "--", "bash", "-c", `trap 'echo continued' CONT; echo ready; while :; do sleep 0.01; done`)
	p.sees(`ready`)
	p.types(ctrlZ)
	p.sees(`continued`)
	p.types(ctrlC)
	p.leaves(128 + 2)
}

// TestInitInTheBackgroundMayWrite: its command has the terminal, which stops whoever
// else writes.
func TestInitInTheBackgroundMayWrite(t *testing.T) {
	leaktest.Check(t)
	p := sit(t, "foster", "init", "-vv", "--", "bash", "-c", `stty tostop; kill -WINCH $PPID; sleep 1000`)
	p.sees(`SIGWINCH: forwarded SIGWINCH to the leader`)
	p.types(ctrlC)
	p.leaves(128 + 2)
}

// TestSessionLeavesTheShellItsTerminal: a command with a session of its own doesn't
// take the terminal away from the shell that has started it, also where it could.
func TestSessionLeavesTheShellItsTerminal(t *testing.T) {
	leaktest.Check(t)
	sh := shell(t)
	p := sit(t, sh[0], sh[1:]...)
	p.sees(`>> `)
	p.types("dumb-init bash -c 'sleep 0; (: </dev/tty) 2>&- || echo it has no terminal'; echo status=$?\n")
	p.sees(`it has no terminal\r`)
	p.sees(`status=0\r`)
	p.types("exit 6\n")
	p.leaves(6)
}
