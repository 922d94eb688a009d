package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
)

// The processes that the tests look at are the test binary itself in a role. Each
// line that one prints is a fact that a test can wait for; it ends with its input.
var roles = map[string]func(args []string){
	"zombies": zombiesRole,
	"name":    nameRole,
	"table":   tableRole,
	"measure": measureRole,
	"threads": threadsRole,
	"listen":  listenRole,
	"hold":    func([]string) { fmt.Println("holds"); rest() },
}

// A role begins on its first thread.
func init() {
	if len(os.Args) > 2 && os.Args[1] == "role" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "role" {
		roles[os.Args[2]](os.Args[3:])
		return
	}
	leaktest.Main(m)
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// rest waits until the test lets it go.
func rest() { _, _ = io.Copy(io.Discard, os.Stdin) }

// zombiesRole starts processes that end, and never waits.
func zombiesRole(args []string) {
	n, err := strconv.Atoi(args[0])
	fatal(err)
	for range n {
		_, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		fatal(err)
	}
	fmt.Println("started")
	rest()
}

// nameRole calls itself by a name.
func nameRole(args []string) {
	fatal(os.WriteFile("/proc/self/comm", []byte(args[0]), 0))
	fmt.Println("named")
	rest()
}

// tableRole says what it sees, as the user that it is told to become.
func tableRole(args []string) {
	if len(args) > 0 {
		uid, err := strconv.Atoi(args[0])
		fatal(err)
		// Whoever is in group 0 is shown all (proc(5), gid=).
		fatal(errors.Join(syscall.Setgroups(nil), syscall.Setgid(uid), syscall.Setuid(uid)))
	}
	table, err := Take(Always | Owner | Args)
	fatal(err)
	own := table.Get(os.Getpid())
	fmt.Println(len(table.Processes) > 0, table.Hidden, table.Get(1) != nil, own != nil)
	for i := range table.Processes {
		if p := &table.Processes[i]; !p.Knows(Parent) {
			fmt.Println("unknown", p.PID, p.PPID, p.Knows(Owner), p.Knows(Args))
		}
	}
}

// role is a process in a role.
type role struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

func start(t *testing.T, args ...string) *role {
	t.Helper()
	return startAs(t, func(*exec.Cmd) {}, args...)
}

// startAs starts a role with what set changes.
func startAs(t *testing.T, set func(*exec.Cmd), args ...string) *role {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", append([]string{"role"}, args...)...)
	set(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &role{cmd, in, bufio.NewReader(out)}
	t.Cleanup(r.end)
	return r
}

func (r *role) end() {
	r.in.Close()
	_ = r.cmd.Process.Kill() // it may have ended
	_ = r.cmd.Wait()         // and may have been reaped
}

func (r *role) line(t *testing.T) string {
	t.Helper()
	s, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(s, "\n")
}

func (r *role) pid() int { return r.cmd.Process.Pid }

// inNamespace runs a shell command with PID and mount namespaces of its own, which
// end with it, and gives what it printed.
func inNamespace(t testing.TB, patience time.Duration, script string, args ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		leaktest.Need(t, "a PID namespace", os.ErrPermission)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{"-k", "1", fmt.Sprint(patience.Seconds()), "unshare", "--pid", "--fork", "--mount-proc",
		"--kill-child", "--mount", "sh", "-ec", script, exe}, args...)
	out, err := exec.Command("timeout", all...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
