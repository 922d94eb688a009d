package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// The tests run the real command: a copy of this test binary, which testscript
// puts into PATH under the name foster, and which runs main there; also under the
// names of the programs whose place foster init can take.
func TestMain(m *testing.M) {
	// A program with the race detector would sleep for a second before it exits.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(adopting{m}, map[string]func(){
		"foster": main, "newer-foster": newerMain, "tini": main, "dumb-init": main,
		"neglect": neglectRole, "heed": heedRole, "listen": listenRole, "first": firstRole,
		"socket": socketRole, "headless": headlessRole, "trace": traceRole,
		"become-root": becomeRootRole,
	})
}

// newerMain is another version of foster.
func newerMain() {
	release = "v9.9.9"
	main()
}

// adopting is leaktest.Main for a test binary that testscript ends.
type adopting struct{ *testing.M }

func (a adopting) Run() int {
	for _, fd := range sys.Inherited() {
		syscall.CloseOnExec(fd) // what the tests were started with isn't the application's
	}
	if err := openBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return leaktest.Run(a.M)
}

// openBinary lets other users run the command, too.
func openBinary() error {
	path, err := exec.LookPath("foster")
	if err != nil {
		return err
	}
	bin := filepath.Dir(path)
	return errors.Join(os.Chmod(path, 0o755), os.Chmod(bin, 0o755), os.Chmod(filepath.Dir(bin), 0o755))
}

var containments = []foster.Containment{foster.Group, foster.Subreaper, foster.Cgroup, foster.PIDNS}

// inEach runs a test in each containment that can be had here.
func inEach(t *testing.T, test func(t *testing.T, contain string)) {
	t.Helper()
	for _, c := range containments {
		t.Run(string(c), func(t *testing.T) {
			leaktest.Need(t, "containment "+string(c), canHave(c))
			leaktest.Check(t)
			test(t, string(c))
		})
	}
}

func canHave(c foster.Containment) error {
	cmd := foster.Command("true")
	cmd.Containment = c
	return cmd.Run()
}

// patience bounds the wait for a line.
const patience = 20 * time.Second

// lines reads what a process says. Each line is a fact that a test can wait for.
type lines struct {
	t       *testing.T
	r       *os.File
	scanner *bufio.Scanner
	all     []string // what was read
}

// newLines makes a pipe, and the file that writes to it.
func newLines(t *testing.T) (*lines, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &lines{t: t, r: r, scanner: bufio.NewScanner(r)}, w
}

// next waits for a line that matches, and gives its submatches.
func (l *lines) next(pattern string) []string {
	l.t.Helper()
	re := regexp.MustCompile(pattern)
	_ = l.r.SetReadDeadline(time.Now().Add(patience)) // a pipe has one
	for l.scanner.Scan() {
		l.t.Log(l.scanner.Text())
		l.all = append(l.all, l.scanner.Text())
		if m := re.FindStringSubmatch(l.scanner.Text()); m != nil {
			return m
		}
	}
	l.t.Fatalf("there was no line %q: %v", pattern, l.scanner.Err())
	return nil
}

// pid waits for a line with the number of a process in it.
func (l *lines) pid(pattern string) int {
	l.t.Helper()
	pid, err := strconv.Atoi(l.next(pattern)[1])
	if err != nil {
		l.t.Fatal(err)
	}
	return pid
}

// rest reads to the end, which is there when nobody holds the pipe any more.
func (l *lines) rest() (rest []string) {
	l.t.Helper()
	_ = l.r.SetReadDeadline(time.Now().Add(patience)) // a pipe has one
	for l.scanner.Scan() {
		rest = append(rest, l.scanner.Text())
	}
	l.all = append(l.all, rest...)
	if err := l.scanner.Err(); err != nil {
		l.t.Fatalf("the output doesn't end: %v", err)
	}
	return rest
}

// process is a foster command under way, without a terminal.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err *lines
}

// begin starts a command in a session of its own.
func begin(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := prepare(t, name, args...)
	p.begins()
	return p
}

// prepare makes a command that begins will start.
func prepare(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...)}
	out, stdout := newLines(t)
	err, stderr := newLines(t)
	p.out, p.err = out, err
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return p
}

// begins starts it, and closes what is its own now.
func (p *process) begins() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	for _, w := range []io.Writer{p.cmd.Stdout, p.cmd.Stderr} {
		w.(*os.File).Close()
	}
	p.t.Cleanup(func() {
		if p.t.Failed() && p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill() // its shim ends the tree
		}
	})
}

// start starts foster run with a short time between SIGTERM and SIGKILL.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return begin(t, "foster", append([]string{"run", "--stop-timeout", "100ms"}, args...)...)
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end, and checks the status: as a shell would tell it.
func (p *process) ends(status int) {
	p.t.Helper()
	err := p.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		p.t.Fatal(err)
	}
	if got := shellStatus(p.cmd.ProcessState); got != status {
		p.t.Errorf("exit status %d, want %d", got, status)
	}
}

func shellStatus(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// named finds the one descendant of a foster command that has a name.
func (p *process) named(name string) int {
	p.t.Helper()
	all, err := procfs.Snapshot()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range procfs.Below(all, p.cmd.Process.Pid) {
		if s.Comm == name {
			return s.PID
		}
	}
	p.t.Fatalf("nobody below foster is called %s", name)
	return 0
}

func needRoot() error {
	if os.Getuid() != 0 {
		return errors.New("not root")
	}
	return nil
}

// kill ends one process, of which the caller knows that it is there.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// nothingIsLeft proves it at once, without patience: it was foster's to see to it
// before it returned.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	all, err := procfs.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range procfs.Below(all, os.Getpid()) {
		t.Errorf("%s (pid %d, state %c, parent %d) is left", s.Comm, s.PID, s.State, s.PPID)
	}
}
