package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// inProject writes a foster.yaml, and gives its path.
func inProject(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "foster.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoApps = `
name: two
apps:
  db: {command: [sh, -c, 'trap "exit 0" TERM; echo db is up; sleep 1000 & wait']}
  web: {command: [sh, -c, 'trap "" TERM INT; echo web is up; sleep 1000 & wait; sleep 1000'], depends_on: [db], stop: {timeout: 1h}}
`

func TestCtrlCStopsAllAndMoreOfThemSooner(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, twoApps)
	// At a Ctrl-C, a terminal throws away what it hasn't shown yet, if it isn't told not to.
	p := sit(t, "sh", "-c", `stty noflsh; exec foster up -f "$0"`, path)
	p.sees(`web \| web is up`) // and so has its trap
	p.types(ctrlC)
	p.sees(`stopping all; Ctrl-C once more stops them without delay`)
	p.sees(`web: stopping\r\n`)
	for exec.Command("foster", "status", "-f", path).Run() == nil { // two at the same moment count as one
		p.types(ctrlC)
	}
	p.sees(`sending the stop signal to all at once; Ctrl-C once more ends the rest with SIGKILL`)
	p.sees(`db: stopped`)
	p.sees(`ending the rest with SIGKILL`)
	p.sees(`nothing is left`)
	p.leaves(0)
}

func TestNamesHaveColoursOnATerminalOnly(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, "apps: {a: {command: [echo, one]}, b: {command: [echo, two]}}")
	for _, c := range []struct {
		command string
		colours bool
	}{
		{"TERM=xterm foster up -f " + path, true},
		{"TERM=xterm foster up --no-color -f " + path, false},
		{"TERM=xterm NO_COLOR=1 foster up -f " + path, false},
		{"foster up -f " + path, false},
	} {
		p := sit(t, "sh", "-c", c.command)
		p.sees(`nothing is left`)
		p.leaves(0)
		if got := strings.Contains(string(p.screen), "\x1b["); got != c.colours {
			t.Errorf("%s: colours: %v\n%q", c.command, got, p.screen)
		}
	}
}

// Applications share the terminal of foster up and logs: none clears it, and a prompt is seen.
func TestSharedTerminalIsClearedByNobody(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	yaml := inProject(t, `
name: shared
apps:
  ui:
    command: [sh, -c, 'printf "\033[2J\033[H\033c\033]0;title\007\033[32mbuilt\033[0m\n10%%\r20%%\rall\nsure? "; until [ -e "$0" ]; do sleep 0.05; done; echo yes; sleep 1000', `+dir+`/go]
`)
	p := sit(t, "foster", "up", "-f", yaml)
	p.sees(`ui \| \x1b\[32mbuilt\x1b\[0m\x1b\[0m\r\nui \| all\r\n`)
	p.sees(`ui \| sure\? $`)
	logs := sit(t, "foster", "logs", "--follow", "-f", yaml)
	logs.sees(`ui \| \x1b\[32mbuilt\x1b\[0m\x1b\[0m\r\nui \| all\r\nui \| sure\? $`)
	piped := output(t, "foster", "logs", "-f", yaml)
	if want := "ui | \x1b[2J\x1b[H\x1bc\x1b]0;title\a\x1b[32mbuilt\x1b[0m ui | 10%\r20%\rall"; strings.Join(piped, " ") != want {
		t.Errorf("a pipe gets %q", piped)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.sees(`^yes\r\n`)
	logs.sees(`^yes\r\n`)
	p.types(ctrlC)
	p.sees(`nothing is left`)
	logs.leavesOthers()
	p.leaves(0)
}

// SIGHUP is an update; but from a terminal that is gone, it's the end.
func TestUpEndsWithItsTerminal(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, "apps: {a: {command: [sh, -c, 'echo is up; sleep 1000']}}")
	p := sit(t, "foster", "up", "-f", path)
	p.sees(`a \| is up`)
	if err := p.pty.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	nothingIsLeft(t)
}

func TestStatusWatchShowsWhatChanges(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, "name: seen\napps: {a: {command: [sleep, '1000']}, b: {command: [sleep, '1000'], autostart: false}}")
	up := begin(t, "foster", "up", "-f", path)
	up.err.next(`a: started`)
	p := sit(t, "foster", "status", "--watch", "-f", path)
	p.sees(`a +running`)
	p.sees(`b +stopped`)
	start := begin(t, "foster", "start", "-f", path, "b")
	start.ends(0)
	p.sees(`b +running`)
	p.types(ctrlC)
	_ = p.cmd.Wait() // by SIGINT
	up.signal(syscall.SIGTERM)
	up.ends(0)
	leaktest.ReapOrphans(t)
}

func TestAttachIsTheTerminalOfAnApplication(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, "name: seat\napps: {console: {command: [sh, -i], terminal: true, environment: {PS1: '>> ', ENV: ''}}}")
	up := begin(t, "foster", "up", "-f", path)
	up.err.next(`console: started`)
	p := sit(t, "foster", "attach", "-f", path, "console")
	p.sees(`attached to console; Ctrl-P Ctrl-Q detaches`)
	p.types("echo alive $((40 + 2))\r")
	p.sees(`alive 42\r\n`)
	p.types("trap 'echo got it' INT; echo set$((1))\r")
	p.sees(`set1\r\n>> `)
	p.types(ctrlC)
	p.types("\r")
	p.sees(`got it\r\n`)
	p.resizes(33, 77)
	if err := p.cmd.Process.Signal(syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	p.types("until [ \"$(stty size)\" = '33 77' ]; do :; done; echo as large$((1))\r")
	p.sees(`as large1\r\n`)
	p.types("\x10\x11")
	p.sees(`detached from console, which goes on`)
	p.leavesOthers()
	p = sit(t, "foster", "attach", "-f", path, "console")
	p.sees(`attached to console`)
	p.types("\rexit\r")
	p.leavesOthers()
	up.signal(syscall.SIGTERM)
	up.err.next(`nothing is left`)
	up.ends(0)
}

// What runs as another user must not reach the terminal of who typed foster up: it could type
// commands into it (TIOCSTI), and write to it what no log has.
func TestAnotherUsersApplicationCannotReachTheTerminal(t *testing.T) {
	leaktest.Check(t)
	leaktest.Need(t, "root, to run as another user", needRoot())
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	said := filepath.Join(dir, "said")
	path := inProject(t, `
name: shut
apps:
  other:
    user: "65534"
    working_dir: /
    command: [sh, -c, '(: </dev/tty) 2>/dev/null && echo open || echo shut; touch `+said+`; exec sleep 1000']
    hooks: {pre_start: [sh, -c, '! (: </dev/tty) 2>/dev/null'], timeout: 1m}
    readiness_probe: {exec: {command: [sh, -c, 'test -e `+said+` && ! (: </dev/tty) 2>/dev/null']}, period: 100ms, timeout: 1m}
    stop: {command: [sh, -c, '! (: </dev/tty) 2>/dev/null'], timeout: 1m}
  own: {command: [sh, -c, '(: </dev/tty) && echo open; sleep 1000'], depends_on: {other: {condition: process_healthy}}}
`)
	p := sit(t, "foster", "up", "-f", path)
	p.sees(`own +\| open`) // so the hook and the probe of the other have succeeded
	p.types(ctrlC)
	p.sees(`nothing is left`)
	p.leaves(0)
	// The stop command is told of where it has failed.
	if text := string(p.screen); !strings.Contains(text, "other | shut") || strings.Contains(text, "stop command") {
		t.Errorf("it could open the terminal:\n%s", text)
	}
}
