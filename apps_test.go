package foster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/shim"
)

// The applications of the tests are this test binary once more, in a role that
// its first argument names. Each line that they print is a fact that a test can
// wait for.
var roles = map[string]func(args []string){
	"block":     roleBlock,
	"parent":    roleParent,
	"daemonize": roleDaemonize,
	"stubborn":  roleStubborn,
	"polite":    rolePolite,
	"counting":  roleCounting,
	"beside":    roleBeside,
	"stray":     roleStray,
	"drain":     roleDrain,
	"orphans":   roleOrphans,
	"spew":      roleSpew,
	"owner":     roleOwner,
	"greedy":    roleGreedy,
	"becomes0":  roleBecomeRoot,
	"exit":      roleExit,
	"folders":   roleFolders,
}

const roleMark = "foster-test-role"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == roleMark {
		if os.Getenv(shareVariable) != "" && (os.Args[2] == "owner" || os.Args[2] == "greedy") {
			if err := foster.Share(100); err != nil {
				panic(err)
			}
		}
		roles[os.Args[2]](os.Args[3:])
		if err := foster.Share(0); err != nil {
			panic(err)
		}
		return
	}
	// With the race detector, each role would sleep for a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	leaktest.Spare = shim.IsShim
	leaktest.Main(m)
}

// role is the command line of a role.
func role(args ...string) (name string, argv []string) {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe, append([]string{roleMark}, args...)
}

func roleCommand(args ...string) *foster.Cmd {
	name, argv := role(args...)
	return foster.Command(name, argv...)
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// roleBlock prints its pid and does nothing, for ever.
func roleBlock([]string) {
	say("block %d", os.Getpid())
	forever()
}

// start starts a role with this process's output.
func start(attr *syscall.SysProcAttr, env []string, args ...string) *exec.Cmd {
	name, argv := role(args...)
	cmd := exec.Command(name, argv...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr, cmd.Env = os.Stdout, os.Stderr, attr, env
	if err := cmd.Start(); err != nil {
		say("error %v", err)
		os.Exit(1)
	}
	return cmd
}

// roleParent is a start script: it starts the application and waits for it. With "leave" it
// doesn't wait, and with "aside" there is another in a group of its own.
func roleParent(args []string) {
	cmd := start(nil, nil, "block")
	switch {
	case len(args) > 0 && args[0] == "leave":
		return
	case len(args) > 0:
		start(&syscall.SysProcAttr{Setpgid: true}, nil, "block")
	}
	say("parent %d", os.Getpid())
	_ = cmd.Wait() // its end is this one's
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signal() == syscall.SIGTERM {
		<-time.After(5 * time.Second) // sent to all, it comes here as well: to end by it is what counts
	}
}

// roleDaemonize leaves its group, its session, its parent and its environment, by
// two forks, and then ends or goes on as its argument says.
func roleDaemonize(args []string) {
	switch args[0] {
	case "middle":
		start(&syscall.SysProcAttr{Setsid: true}, []string{}, "block")
	default:
		if err := start(&syscall.SysProcAttr{Setsid: true}, []string{}, "daemonize", "middle").Wait(); err != nil {
			say("error %v", err)
		}
		say("leader %d", os.Getpid())
		if args[0] == "stay" {
			forever()
		}
	}
}

// roleStubborn ignores what it can, with two children that do likewise; with "within", one
// that stays in the group.
func roleStubborn(args []string) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if len(args) == 0 || args[0] == "within" {
		start(nil, nil, "stubborn", "child")
	}
	if len(args) == 0 {
		start(&syscall.SysProcAttr{Setpgid: true}, nil, "stubborn", "child")
	}
	say("stubborn %d", os.Getpid())
	forever()
}

// rolePolite ends by SIGTERM with a word of farewell.
func rolePolite([]string) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	say("polite %d", os.Getpid())
	<-term
	say("farewell")
}

// roleCounting says how often it got SIGTERM, and doesn't end by it.
func roleCounting([]string) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	say("counting %d", os.Getpid())
	for n := 1; ; n++ {
		<-term
		say("told %d", n)
	}
}

// roleBeside starts each of the roles that it's told as a child.
func roleBeside(args []string) {
	for _, name := range args {
		start(nil, nil, name, "child")
	}
	forever()
}

// roleStray moves itself to another cgroup, and is polite there: as the leader, as a child of
// the leader, or as an orphan.
func roleStray(args []string) {
	switch args[1] {
	case "child":
		start(nil, nil, "stray", args[0], "itself")
		forever()
	case "orphan":
		if err := start(nil, nil, "stray", args[0], "middle").Wait(); err != nil {
			say("error %v", err)
		}
		forever()
	case "daemon":
		start(&syscall.SysProcAttr{Setsid: true}, nil, "stray", args[0], "itself")
		return
	case "middle":
		start(nil, nil, "stray", args[0], "itself")
		return
	}
	if err := os.WriteFile(args[0], []byte("0"), 0); err != nil {
		say("error %v", err)
	}
	rolePolite(nil)
}

// roleDrain is a leader that waits for its worker when it is told to stop; the
// worker says so if it was signalled before its leader had ended.
func roleDrain(args []string) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	if len(args) == 0 {
		start(nil, nil, "drain", "worker")
	}
	say("drain %d", os.Getpid())
	<-term
	if len(args) > 0 {
		say("worker signalled, parent %d", os.Getppid())
	} else {
		say("leader drained")
	}
}

// roleOrphans makes as many orphans as it's told, which end at once, and then
// blocks.
func roleOrphans(args []string) {
	n, _ := strconv.Atoi(args[0])
	for range n {
		_ = exec.Command("/bin/sh", "-c", "(exit 7) & exit 0").Run() // an orphan that may be gone before
	}
	say("orphaned %d", n)
	forever()
}

// roleSpew leaves a grandchild that writes after its parents have ended.
func roleSpew(args []string) {
	if args[0] == "now" {
		for os.Getppid() == mustAtoi(args[2]) {
			// Until the parent has ended: a condition that nobody announces.
		}
		b := []byte(strings.Repeat("x", 1023) + "\n")
		for range mustAtoi(args[1]) {
			os.Stdout.Write(b)
		}
		return
	}
	start(nil, nil, "spew", "now", args[0], strconv.Itoa(os.Getpid()))
}

func mustAtoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// roleOwner runs a role under foster, in a containment, and tells of the shim.
func roleOwner(args []string) {
	cmd := roleCommand(args[1:]...)
	if args[1] == "run" {
		cmd = foster.Command(args[2], args[3:]...)
	}
	cmd.Containment = foster.Containment(args[0])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Stop.Timeout = timeoutFromEnv()
	tree, err := cmd.Start()
	if err != nil {
		say("error %v", err)
		os.Exit(1)
	}
	say("shim %d leader %d", foster.ShimPID(tree), tree.Leader())
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	var exit foster.Exit
	select {
	case <-term:
		exit, err = tree.Stop(context.Background())
	case <-tree.Done():
		exit, err = tree.Wait()
	}
	say("owner killed: %v", exit.KilledProcesses)
	say("owner counted: %t", exit.Counted && (exit.LeaderEnded.IsZero() || exit.Usage.MaxRSS > 0))
	say("owner ends: %v", err)
}

// roleExit exits with a status.
func roleExit(args []string) { os.Exit(mustAtoi(args[0])) }

// roleBecomeRoot is run from a setuid file by an ordinary user.
func roleBecomeRoot([]string) {
	if err := syscall.Setuid(0); err != nil {
		say("error %v", err)
		return
	}
	say("root %d", os.Getpid())
	forever()
}

// roleFolders becomes the user that its file is set to, and starts a tree that can be found.
func roleFolders([]string) {
	if err := syscall.Setreuid(os.Geteuid(), os.Geteuid()); err != nil {
		say("error %v", err)
		return
	}
	cmd := foster.Command("true")
	cmd.ID = "named"
	say("%v", cmd.Run())
}

// lines reads what a tree says, line by line.
type lines struct {
	t       *testing.T
	w       *os.File
	scanner *bufio.Scanner
	r       *os.File
	passed  []string // lines that nobody has waited for yet
}

func newLines(t *testing.T) *lines {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return &lines{t: t, w: w, r: r, scanner: bufio.NewScanner(r)}
}

// started closes this side's end of the pipe, so that its end is seen.
func (l *lines) started() { l.w.Close() }

// next waits for a line that begins with a word, in whatever order they come, and
// gives the rest of it.
func (l *lines) next(word string) string {
	l.t.Helper()
	for i, line := range l.passed {
		if rest, ok := strings.CutPrefix(line, word); ok {
			l.passed = append(l.passed[:i:i], l.passed[i+1:]...)
			return strings.TrimSpace(rest)
		}
	}
	for l.scanner.Scan() {
		line := l.scanner.Text()
		if rest, ok := strings.CutPrefix(line, word); ok {
			return strings.TrimSpace(rest)
		}
		if strings.HasPrefix(line, "error") {
			l.t.Fatal(line)
		}
		l.passed = append(l.passed, line)
	}
	l.t.Fatalf("the output ended before a line %q", word)
	return ""
}

// pid waits for a line of a word and a number.
func (l *lines) pid(word string) int {
	l.t.Helper()
	return mustAtoi(strings.Fields(l.next(word + " "))[0])
}

// rest reads to the end.
func (l *lines) rest() string {
	b, _ := io.ReadAll(l.r)
	return string(b)
}

// stopEnv carries the stop timeout of a roleOwner.
const stopEnv = "FOSTER_TEST_STOP"

func timeoutFromEnv() time.Duration {
	d, _ := time.ParseDuration(os.Getenv(stopEnv)) // unset: the default
	return d
}

// roleGreedy is a host that waits for whatever child it has, as an init would,
// while it uses foster.
func roleGreedy(args []string) {
	go func() {
		for {
			_, _ = syscall.Wait4(-1, nil, 0, nil) // no child: asked again
		}
	}()
	for i := range 20 {
		name, argv := role("exit", strconv.Itoa(i))
		cmd := foster.Command(name, argv...)
		cmd.Containment = foster.Containment(args[0])
		err := cmd.Run()
		code := 0
		if exit, ok := errors.AsType[*foster.ExitError](err); ok {
			code = exit.Leader.ExitCode()
		}
		if code != i {
			say("error: status %d became %d: %v", i, code, err)
			return
		}
	}
	say("greedy 20")
}

// forever does nothing. A select without cases would be taken for a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

func lockThread() { runtime.LockOSThread() }
