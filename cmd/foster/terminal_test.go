package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
	"golang.org/x/sys/unix"
)

// person sits at a terminal of its own and types, once the screen shows what
// there is to answer.
type person struct {
	t      *testing.T
	cmd    *exec.Cmd
	pty    *os.File
	screen []byte // what was shown
	seen   int    // how much of it was waited for
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// sit starts a command in a session whose controlling terminal is the person's.
// The prompt of a shell that it starts is ">> ".
func sit(t *testing.T, name string, args ...string) *person {
	t.Helper()
	leader, terminal, err := pty.Open()
	if err != nil {
		leaktest.Need(t, "a pseudo-terminal", err)
	}
	defer terminal.Close()
	p := &person{t: t, pty: withDeadlines(t, leader), cmd: exec.Command(name, args...)}
	t.Cleanup(func() { p.pty.Close() })
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = terminal, terminal, terminal
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p.cmd.Env = append(os.Environ(), "PS1=>> ", "TERM=dumb")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("on the screen:\n%s", p.screen)
			if p.cmd.ProcessState == nil {
				_ = p.cmd.Process.Kill() // what it leaves, leaktest ends
			}
		}
	})
	return p
}

// withDeadlines opens a file once more, since pty has used File.Fd, which makes it
// block.
func withDeadlines(t *testing.T, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err := errors.Join(err, unix.SetNonblock(fd, true)); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// shell is a command line for an interactive shell without a line editor of its
// own: the terminal shows what is typed.
func shell(t *testing.T) []string {
	t.Helper()
	path, err := exec.LookPath("bash")
	leaktest.Need(t, "bash", err)
	return []string{path, "--norc", "--noprofile", "--noediting", "-i"}
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.pty.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until the screen shows something new that matches, and gives its
// submatches.
func (p *person) sees(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	_ = p.pty.SetReadDeadline(time.Now().Add(patience)) // a terminal has one
	for {
		if m := re.FindSubmatchIndex(p.screen[p.seen:]); m != nil {
			shown := p.screen[p.seen:]
			p.seen += m[1]
			var found []string
			for i := 0; i < len(m); i += 2 {
				found = append(found, string(shown[m[i]:m[i+1]]))
			}
			return found
		}
		if err := p.read(); err != nil {
			p.t.Fatalf("the screen doesn't show %q: %v", pattern, err)
		}
	}
}

func (p *person) read() error {
	var b [4096]byte
	n, err := p.pty.Read(b[:])
	p.screen = append(p.screen, b[:n]...)
	return err
}

// runs waits until a program is in the foreground of the terminal, where what is
// typed is for it, and isn't stopped.
func (p *person) runs(name string) {
	p.t.Helper()
	leaktest.Eventually(p.t, name+" is in the foreground", func() bool {
		s, err := procfs.Read(p.foreground())
		return err == nil && s.Comm == name && s.State != 'T'
	})
}

// foreground is the process group in the foreground of the terminal.
func (p *person) foreground() (group int) {
	p.control(func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return group
}

// resizes makes the window another size.
func (p *person) resizes(rows, columns uint16) {
	p.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
}

func (p *person) control(f func(fd int) error) {
	p.t.Helper()
	raw, err := p.pty.SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the end of what sit started, and checks its status.
func (p *person) leaves(status int) {
	p.t.Helper()
	_ = p.pty.SetReadDeadline(time.Now().Add(patience)) // a terminal has one
	var err error
	for err == nil {
		err = p.read()
	}
	if !errors.Is(err, syscall.EIO) { // nobody has it open any more
		p.t.Fatalf("the terminal is still in use: %v", err)
	}
	_ = p.cmd.Wait() // the status says it
	if got := shellStatus(p.cmd.ProcessState); got != status {
		p.t.Errorf("exit status %d, want %d", got, status)
	}
	nothingIsLeft(p.t)
}

func TestShellUnderFosterHasJobControl(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		p := sit(t, "foster", append([]string{"run", "--contain", contain, "--"}, shell(t)...)...)
		p.sees(`>> `)
		if warned := regexp.MustCompile(`(?i)no job control|cannot set terminal`).Find(p.screen); warned != nil {
			t.Errorf("the shell says %q", warned)
		}
		p.types("sleep 100\n")
		p.runs("sleep")
		p.types(ctrlC)
		p.sees(`\^C`)
		p.sees(`>> `)
		p.types("echo alive $((40 + 2))\n")
		p.sees(`alive 42`)

		p.types("sleep 100\n")
		p.runs("sleep")
		p.types(ctrlZ)
		p.sees(`Stopped +sleep 100`)
		p.sees(`>> `)
		p.types("jobs\n")
		p.sees(`\[1\]\+ +Stopped +sleep 100`)
		p.types("kill %1; while kill -0 %1 2>/dev/null; do sleep 0.01; done\n")
		p.sees(`Terminated +sleep 100`)

		for _, size := range [][2]uint16{{33, 77}, {10, 20}} {
			p.resizes(size[0], size[1])
			p.types("stty size\n")
			p.sees(fmt.Sprintf(`\b%d %d\r`, size[0], size[1]))
		}
		p.types("exit 5\n")
		p.leaves(5)
	})
}

func TestApplicationUnderShellIsSuspendedAndGoesOn(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		isSuspendedAndGoesOn(t, "foster run", "--contain "+contain)
	})
}

// isSuspendedAndGoesOn suspends an application twice from a shell, and then interrupts
// it.
func isSuspendedAndGoesOn(t *testing.T, command, flags string) {
	t.Helper()
	sh := shell(t)
	p := sit(t, sh[0], sh[1:]...)
	p.sees(`>> `)
	p.types(command + " " + flags + " -- sleep 1000\n")
	for range 2 {
		p.runs("sleep")
		p.types(ctrlZ)
		p.sees(`\[1\]\+ +Stopped +` + command)
		p.sees(`>> `)
		p.types("fg\n")
	}
	p.runs("sleep")
	p.types(ctrlC)
	p.sees(`>> `)
	p.types("echo status=$?; jobs; exit 6\n")
	p.sees(`status=130\r`)
	p.leaves(6)
}

func TestStartScriptKilledAtTerminalCtrlCStopsTheRest(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		p := sit(t, "foster", "run", "--contain", contain, "--", startScript)
		p.sees(`sub\.sh: 1\r`)
		p.runs("start.sh")
		kill(t, p.foreground()) // start.sh, which leads its group
		p.sees(`foster: start\.sh \(pid \d+\) was killed by SIGKILL; .*sub\.sh .* on; Ctrl-C stops (it|them)\r`)
		p.types(ctrlC)
		p.sees(`foster: nothing is left`)
		p.leaves(128 + 9)
	})
}

func TestApplicationWithoutStartScriptIsSuspendedAndGoesOn(t *testing.T) {
	leaktest.Check(t)
	sh := shell(t)
	p := sit(t, sh[0], sh[1:]...)
	p.sees(`>> `)
	p.types("foster run -- sh -c 'sleep 1000 & exit 0'\n")
	pid, err := strconv.Atoi(p.sees(`; s\w+ \(pid (\d+)\) lives on; Ctrl-C stops (it|them)`)[1])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p.types(ctrlZ)
		p.sees(`\[1\]\+ +Stopped +foster run`)
		p.sees(`>> `)
		leaktest.Eventually(t, "the application is suspended", func() bool { return state(t, pid) == 'T' })
		p.types("fg\n")
		p.runs("foster")
		leaktest.Eventually(t, "the application goes on", func() bool { return state(t, pid) != 'T' })
	}
	p.types(ctrlC)
	p.sees(`nothing is left`)
	p.sees(`>> `)
	p.types("echo status=$?; jobs; exit 6\n")
	p.sees(`status=0\r`)
	p.leaves(6)
}

func TestApplicationInPipelineMayReadTheTerminal(t *testing.T) {
	leaktest.Check(t)
	sh := shell(t)
	p := sit(t, sh[0], sh[1:]...)
	p.sees(`>> `)
	p.types("foster run -- sh -c 'read x </dev/tty; echo got $x' | cat\n")
	p.runs("sh")
	p.types("a line\n")
	p.sees(`got a line\r`)
	p.sees(`>> `)
	p.types("foster run -- sh -c 'read x </dev/tty; echo got $x' | cat\n")
	p.runs("sh")
	p.types(ctrlC)
	p.sees(`>> `)
	p.types("exit 7\n")
	p.leaves(7)
}

func TestApplicationThatWasKilledLeavesNoTerminalMode(t *testing.T) {
	leaktest.Check(t)
	sh := shell(t)
	p := sit(t, sh[0], sh[1:]...)
	p.sees(`>> `)
	p.types("foster run -- sh -c 'stty -echo raw; kill -9 $$'; stty -a; exit\n")
	p.sees(`\bicanon\b`)
	p.sees(`[^-]echo\b`)
	p.leaves(0)
}

// A script is no shell with job control, which would take the terminal back: where foster
// leaves it to a group in which nobody is left, Ctrl-C is shown, and nobody hears it.
func TestScriptHearsCtrlCAfterFosterHowever(t *testing.T) {
	sh := shell(t)[0]
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, script string
		ends         func(*person)
	}{
		{"the program can't be executed", "foster run -- " + broken, func(*person) {}},
		{"it was a shell that ended in the middle of a job", "foster run --on-leader-loss stop --stop-timeout 0 -- " + sh + " --norc --noprofile --noediting -i", func(p *person) {
			p.sees(`>> `)
			p.types("echo pid=$$; sleep 100\n")
			pid, err := strconv.Atoi(p.sees(`pid=(\d+)`)[1])
			if err != nil {
				t.Fatal(err)
			}
			p.runs("sleep")
			kill(t, pid)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaktest.Check(t)
			p := sit(t, "sh", "-c", c.script+"; exec tail -f /dev/null")
			p.t = t
			c.ends(p)
			p.runs("tail")
			p.types(ctrlC)
			p.leaves(128 + 2)
		})
	}
}

// TestNobodyInTheBackgroundTakesTheTerminal: in a PID namespace that was made in the
// background, foster's group has no number, and neither has the one in the foreground.
func TestNobodyInTheBackgroundTakesTheTerminal(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	state, end := filepath.Join(dir, "state"), filepath.Join(dir, "end")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	sh := shell(t)
	p := sit(t, sh[0], sh[1:]...)
	p.sees(">> ")
	p.types(fmt.Sprintf("XDG_STATE_HOME=%[1]s XDG_RUNTIME_DIR=%[1]s %[2]s foster run -- sh -c 'echo be; echo gun; until [ -e %[3]s ]; do sleep 0.01; done' &\n",
		state, strings.Join(namespace(t), " "), end))
	p.sees("gun\r\n")
	p.runs("bash")
	p.types("echo $((40 + 2)) are heard\n")
	p.sees("42 are heard")
	p.types("touch " + end + "; wait; exit 7\n")
	p.leaves(7)
}

func TestTerminalClosedEndsTree(t *testing.T) { inEach(t, terminalClosedEndsTree) }

func terminalClosedEndsTree(t *testing.T, contain string) {
	leave := "setsid "
	if contain == "group" {
		leave = "" // it would lose the daemon
	}
	p := sit(t, "foster", "run", "--contain", contain, "--stop-timeout", "100ms", "--", "sh", "-c",
		"trap '' HUP; "+leave+"tail -f /dev/null & trap - HUP; sleep 1000")
	var daemon procfs.Stat
	leaktest.Eventually(t, "the daemon runs", func() bool {
		all, err := procfs.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range procfs.Below(all, p.cmd.Process.Pid) {
			if s.Comm == "tail" {
				daemon = s
			}
		}
		return daemon.PID != 0
	})
	p.pty.Close()
	_ = p.cmd.Wait() // below
	if s, err := procfs.Read(daemon.PID); err == nil && s.Start == daemon.Start && !s.Zombie() {
		t.Errorf("the daemon lives on: %+v", s)
	}
	if contain == "group" {
		leaktest.ReapOrphans(t)
	}
	nothingIsLeft(t)
}

// Many servers take SIGHUP for a request to read their configuration again.
func TestTerminalClosedSendsTheStopSignal(t *testing.T) {
	leaktest.Check(t)
	out := filepath.Join(t.TempDir(), "out")
	server := filepath.Join(t.TempDir(), "server")
	script := "#!/bin/sh\ntrap 'echo reloaded >>" + out + "' HUP\ntrap 'echo graceful >>" + out + "; exit 0' INT\necho is up\nwhile :; do sleep 0.1; done\n"
	if err := os.WriteFile(server, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	yaml := inProject(t, "apps: {a: {command: "+server+", stop: {signal: INT, timeout: 1h}}}")
	for _, command := range [][]string{
		{"run", "--stop-signal", "INT", "--stop-timeout", "1h", "--", server},
		{"up", "-f", yaml},
	} {
		p := sit(t, "foster", command...)
		p.sees(`is up`)
		p.pty.Close()
		_ = p.cmd.Wait() // what the server wrote says it
		if said, err := os.ReadFile(out); err != nil || !bytes.HasSuffix(said, []byte("graceful\n")) {
			t.Errorf("%s: %q, %v", command[0], said, err)
		}
		_ = os.Remove(out) // the next writes it anew
		nothingIsLeft(t)
	}
}
