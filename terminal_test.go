package foster_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are a program at a terminal, which uses foster as it would os/exec.

func init() {
	roles["terminal"] = roleTerminal
}

// roleTerminal runs a shell's script with its own standard files, says how that ended, and
// reads a line itself.
func roleTerminal(args []string) {
	cmd := foster.Command("sh", "-c", args[1])
	cmd.Containment = foster.Containment(args[0])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if args[2] != "no stdin" {
		cmd.Stdin = os.Stdin
	}
	if args[2] == "two" {
		other := *cmd
		tree, err := other.Start()
		if err != nil {
			say("error %v", err)
			return
		}
		defer func() {
			_, err := tree.Wait()
			say("both: %v.", err)
		}()
	}
	err := cmd.Run()
	say("run: %v.", err)
	if args[2] == "two" {
		return
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	say("the caller has %q, %v.", strings.TrimSpace(line), err)
}

// screen is what a person at a terminal sees.
type screen struct {
	t     *testing.T
	pty   *os.File
	shown string // all of it
	fresh string // what nobody has waited for yet
}

// sit starts a program, or a shell without one, in a session with a terminal.
func sit(t *testing.T, args ...string) *screen {
	t.Helper()
	leader, terminal, err := pty.Open()
	leaktest.Need(t, "a pseudo-terminal", err)
	defer terminal.Close()
	fd, err := unix.FcntlInt(leader.Fd(), unix.F_DUPFD_CLOEXEC, 0) // pty.Open's would block
	if err := errors.Join(err, unix.SetNonblock(fd, true)); err != nil {
		t.Fatal(err)
	}
	leader.Close()
	s := &screen{t: t, pty: os.NewFile(uintptr(fd), "pty")}
	name, argv := "bash", []string{"--norc", "--noprofile", "--noediting", "-i"}
	if len(args) > 0 {
		name, argv = role(args...)
	}
	cmd := exec.Command(name, argv...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = append(os.Environ(), "PS1=>> ", "TERM=dumb", "GORACE=atexit_sleep_ms=0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.pty.Close()
		_ = cmd.Wait() // hung up, or ended by itself
		if t.Failed() {
			t.Logf("on the screen:\n%s", s.shown)
		}
	})
	return s
}

func (s *screen) types(keys string) {
	s.t.Helper()
	if _, err := s.pty.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// sees waits until something new is shown.
func (s *screen) sees(text string) {
	s.t.Helper()
	_ = s.pty.SetReadDeadline(time.Now().Add(20 * time.Second)) // a terminal has one
	var b [4096]byte
	for {
		if _, after, ok := strings.Cut(s.fresh, text); ok {
			s.fresh = after
			return
		}
		n, err := s.pty.Read(b[:])
		s.shown, s.fresh = s.shown+string(b[:n]), s.fresh+string(b[:n])
		if err != nil {
			s.t.Fatalf("the screen doesn't show %q: %v", text, err)
		}
	}
}

// typedRole is a command line for a shell.
func typedRole(args ...string) string {
	name, argv := role(args...)
	for i, a := range argv {
		argv[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return name + " " + strings.Join(argv, " ")
}

const reads = `echo READY; read x; echo "tree has $x."`

func TestTheTerminalIsLentAndGivenBack(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		s := sit(t, "terminal", string(c), reads, "")
		s.sees("READY")
		s.types("hello\n")
		s.sees("tree has hello.")
		s.sees("run: <nil>.")
		s.types("again\n")
		s.sees(`the caller has "again", <nil>.`)
	})
}

func TestCtrlCIsForTheTree(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		s := sit(t, "terminal", string(c), "stty -echo; "+reads, "")
		s.sees("READY")
		s.types("\x03")
		s.sees("run: signal: interrupt.")
		s.types("again\n")
		s.sees("again") // the mode is as it was: it is shown
		s.sees(`the caller has "again", <nil>.`)
	})
}

// A program that reads the terminal without having it as its standard input, for a password.
func TestTheTerminalIsLentToWhoWantsIt(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		s := sit(t, "terminal", string(c), "{ "+reads+"; } </dev/tty", "no stdin")
		s.sees("READY")
		s.types("secret\n")
		s.sees("tree has secret.")
		s.sees("run: <nil>.")
		s.types("again\n")
		s.sees(`the caller has "again", <nil>.`)
	})
}

// The second has it once the first has given it back.
func TestTwoTreesHaveTheTerminalInTurn(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		s := sit(t, "terminal", string(c), reads, "two")
		s.sees("READY")
		s.sees("READY")
		s.types("one\n")
		s.sees("tree has one.")
		s.types("two\n")
		s.sees("tree has two.")
		s.sees("both: <nil>.")
	})
}

func TestCtrlZStopsTheProgramWithTheTree(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		s := sit(t)
		s.sees(">> ")
		s.types(typedRole("terminal", string(c), reads, "") + "\n")
		s.sees("READY\r\n")
		s.types("\x1a")
		s.sees("Stopped")
		s.sees(">> ")
		s.types("echo the shell'' has it\n")
		s.sees("the shell has it\r\n")
		s.sees(">> ")
		s.types("fg\n")
		s.types("hello\n")
		s.sees("tree has hello.")
		s.sees("run: <nil>.")
		s.types("again\n")
		s.sees(`the caller has "again", <nil>.`)
		s.sees(">> ")
		s.types("exit\n")
	})
}

func TestInTheBackgroundNothingIsTaken(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		s := sit(t)
		s.sees(">> ")
		s.types(typedRole("terminal", string(c), reads, "") + " &\n")
		s.sees("READY\r\n")
		s.types("\n")
		for i := 0; !strings.Contains(s.shown, "Stopped"); i++ {
			if i > 1000 {
				t.Fatal("the job isn't stopped")
			}
			s.types(fmt.Sprintf("jobs; echo look''ed %d\n", i))
			s.sees(fmt.Sprintf("looked %d\r\n", i))
		}
		s.types("fg\n")
		s.types("hello\n")
		s.sees("tree has hello.")
		s.sees("run: <nil>.")
		s.types("again\n")
		s.sees(`the caller has "again", <nil>.`)
		s.sees(">> ")
		s.types("exit\n")
	})
}
