package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// screenLines are the lines that a person was shown, without what follows them.
func (p *person) screenLines() []string {
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(p.screen), "\r\n", "\n"), "\n"), "\n")
}

func TestPsIsCutToTheWidthOfATerminal(t *testing.T) {
	leaktest.Check(t)
	f := newHousehold(t)
	pid := strconv.Itoa(f.parent)
	for _, args := range []string{"ps -o pid,args --tree " + pid, "tree " + pid} {
		sh := shell(t)
		p := sit(t, sh[0], sh[1:]...)
		p.sees(`>> `)
		p.resizes(24, 16)
		p.types("stty size; foster " + args + "; foster " + args + " | sed 's/$/./'; exit\n")
		p.leavesOthers()
		all := p.screenLines()
		cut, whole := 0, 0
		for _, l := range all {
			switch {
			case strings.Contains(l, "sleep") && strings.Contains(l, "1000."):
				whole++
			case strings.Contains(l, "sleep 1") && !strings.Contains(l, "foster"):
				cut++
				if cells(l) > 16 {
					t.Errorf("%q is longer than the terminal is wide", l)
				}
			}
		}
		if whole != 2 || cut != 2 {
			t.Errorf("%d lines whole, %d cut, want 2 and 2:\n%s", whole, cut, strings.Join(all, "\n"))
		}
	}
}

// leavesOthers is leaves(0), where processes of the test's own live on.
func (p *person) leavesOthers() {
	p.t.Helper()
	for p.read() == nil {
	}
	_ = p.cmd.Wait() // the status says it
	if got := shellStatus(p.cmd.ProcessState); got != 0 {
		p.t.Errorf("exit status %d", got)
	}
}

func TestPsHasColoursOnATerminalOnly(t *testing.T) {
	leaktest.Check(t)
	f := newHousehold(t)
	pid := strconv.Itoa(f.parent)
	for _, args := range [][]string{{"ps", "--tree", pid}, {"tree", pid}} {
		for env, want := range map[string]bool{"NO_COLOR=": true, "NO_COLOR=1": false, "TERM=dumb": false} {
			p := sit(t, "env", append([]string{"TERM=xterm", env, "foster"}, args...)...)
			p.leavesOthers()
			if got := strings.Contains(string(p.screen), "\x1b[31m"); got != want {
				t.Errorf("%s %q: colours: %t, want %t:\n%q", env, args, got, want, p.screen)
			}
			if !want && strings.Contains(string(p.screen), "\x1b") {
				t.Errorf("%s %q: %q", env, args, p.screen)
			}
		}
	}
}

func TestPsWatchRedrawsUntilCtrlC(t *testing.T) {
	leaktest.Check(t)
	f := newHousehold(t)
	p := sit(t, "foster", "ps", "--watch=100ms", "-o", "pid,s,args", "--tree", strconv.Itoa(f.parent))
	p.resizes(24, 80)
	p.sees(`\x1b\[H`)
	p.sees(strconv.Itoa(f.stopped) + ` T sleep`)
	kill(t, f.stopped)
	p.sees(strconv.Itoa(f.stopped) + ` Z `) // another picture, drawn over the first
	p.resizes(3, 80)
	p.sees(`\x1b\[2J\x1b\[H *PID[^\n]*\n[^\n]*\n\x1b\[J`) // as many lines as fit
	p.types(ctrlC)
	p.leavesOthers()
}

func TestWatchedProcessThatEndsIsNamed(t *testing.T) {
	leaktest.Check(t)
	f := newHousehold(t)
	p := sit(t, "foster", "ps", "--watch=100ms", "--tree", strconv.Itoa(f.parent))
	p.sees(`sleep 1000`)
	f.end(p.cmd.Process.Pid)
	p.sees(`foster: there is no process ` + strconv.Itoa(f.parent))
	for p.read() == nil {
	}
	_ = p.cmd.Wait() // the status says it
	if got := shellStatus(p.cmd.ProcessState); got != exitRefused {
		t.Errorf("exit status %d", got)
	}
}

func TestLinesAreCutByCells(t *testing.T) {
	c := canvas{columns: 5, colours: true}
	for _, test := range []struct {
		pieces []piece
		want   string
	}{
		{[]piece{{"abc", plain}, {"defg", plain}}, "abcde"},
		{[]piece{{"abc", red}, {"defg", bold}, {"x", red}}, "\x1b[31mabc\x1b[0m\x1b[1mde\x1b[0m"},
		{[]piece{{"日本語", plain}}, "日本"},
		{[]piece{{"├─ abc", plain}}, "├─ ab"},
		{[]piece{{"ab   ", plain}}, "ab"},
		{nil, ""},
	} {
		if got := c.line(test.pieces); got != test.want {
			t.Errorf("%v: %q, want %q", test.pieces, got, test.want)
		}
	}
	if got := (canvas{}).line([]piece{{"abc", red}}); got != "abc" {
		t.Errorf("%q", got)
	}
	if regexp.MustCompile(`\s$`).MatchString((canvas{columns: 3}).line([]piece{{"a  b", plain}})) {
		t.Error("a blank is left at the end")
	}
}
