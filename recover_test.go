package foster_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/wire"
)

// The tests in this file are about trees that both sides have left.

// lose has a tree lose its owner and its shim.
func lose(t *testing.T, c foster.Containment, terms string, args ...string) (leader int, out *lines) {
	t.Helper()
	name, argv := role(append([]string{"keeper", "id=kept,own,in=" + string(c) + "," + terms}, args...)...)
	cmd := exec.Command(name, argv...)
	out = newLines(t)
	cmd.Stdout, cmd.Stderr = out.w, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.started()
	for range 3 {
		out.pid(args[0])
	}
	shim := out.next("shim ")
	words := strings.Fields(shim)
	if c == foster.Subreaper {
		awaitMembers(t, 3)
	}
	// A stopped owner can't act between the two.
	for _, kill := range []struct {
		pid int
		sig syscall.Signal
	}{{cmd.Process.Pid, syscall.SIGSTOP}, {mustAtoi(words[0]), syscall.SIGKILL}, {cmd.Process.Pid, syscall.SIGKILL}} {
		if err := syscall.Kill(kill.pid, kill.sig); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // killed, as it was
	awaitState(t, journal.Lost)
	return mustAtoi(words[2]), out
}

func TestRecoverListsFirstAndThenEndsStubbornMembers(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		_, out := lose(t, c, "stop=50ms", "stubborn")
		for range 2 { // it has changed nothing
			lost, problems, err := foster.Recover(context.Background(), foster.ListOnly())
			if err != nil || len(problems) > 0 || len(lost) != 1 || len(lost[0].Found) != 3 || lost[0].ID != "kept" ||
				lost[0].Containment != c || lost[0].Err != nil || len(lost[0].Survivors) > 0 {
				t.Errorf("listed %+v, %v, %v; want three processes of kept", lost, problems, err)
			}
		}
		if _, err := foster.Attach(context.Background(), "kept"); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("claimed a lost tree: %v", err)
		}
		lost, problems, err := foster.Recover(context.Background())
		if err != nil || len(problems) > 0 || len(lost) != 1 || lost[0].Err != nil || len(lost[0].Survivors) > 0 {
			t.Errorf("recovered %+v, %v, %v", lost, problems, err)
		}
		out.tail()
		leaktest.ReapOrphans(t)
		if lost, _, _ := foster.Recover(context.Background()); len(lost) > 0 {
			t.Errorf("recovered twice: %+v", lost)
		}
	})
}

func TestOfTwoThatRecoverOneDoes(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		_, out := lose(t, c, "stop=50ms", "stubborn")
		said := newLines(t)
		var programs []*exec.Cmd
		const many = 3
		for range many {
			name, argv := role("recover")
			p := exec.Command(name, argv...)
			p.Stdout, p.Stderr = said.w, os.Stderr
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			programs = append(programs, p)
		}
		said.started()
		recovered := 0
		for range many {
			words := strings.Fields(said.next("recovered "))
			recovered += mustAtoi(words[0])
			if words[1] != "[]" || words[2] != "<nil>" {
				t.Errorf("one said %v", words)
			}
		}
		for _, p := range programs {
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
		}
		if recovered != 1 {
			t.Errorf("%d have recovered it, want one", recovered)
		}
		out.tail()
		leaktest.ReapOrphans(t)
	})
}

// entry writes an entry of a tree that both sides have left, and says where.
func entry(t *testing.T, change func(*wire.Entry), life *wire.Life) (path string) {
	t.Helper()
	folder, runtime, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	e := &wire.Entry{
		ID: "made", Containment: wire.Subreaper, Command: []string{"sleep"},
		SocketPath: journal.SocketPath(runtime, "made"), Stop: wire.Plan{},
	}
	change(e)
	r, err := journal.Create(folder, e)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Write(life), r.Close()); err != nil {
		t.Fatal(err)
	}
	path = journal.Path(folder, "made")
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// bystander is a process that is in no tree, and the member that an entry takes it for.
func bystander(t *testing.T) (*exec.Cmd, wire.Member) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, s := range childrenOf(os.Getpid()) {
		if s.PID == cmd.Process.Pid {
			return cmd, wire.Member{PID: s.PID, Start: s.Start}
		}
	}
	t.Fatal("it isn't there")
	return nil, wire.Member{}
}

// unharmed ends the bystander, which nobody else has.
func unharmed(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the bystander has ended: %v", err)
	}
	_ = cmd.Wait() // its status follows
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("the bystander ended by %v", cmd.ProcessState)
	}
}

func TestANumberThatIsAnothersByNowIsNotSignalled(t *testing.T) {
	leaktest.Check(t)
	cmd, member := bystander(t)
	member.Start--
	entry(t, func(*wire.Entry) {}, &wire.Life{Leader: member, Members: []wire.Member{member}})
	lost, problems, err := foster.Recover(context.Background())
	if err != nil || len(problems) > 0 || len(lost) != 1 || len(lost[0].Found) > 0 || lost[0].Err != nil {
		t.Errorf("recovered %+v, %v, %v; want nobody found", lost, problems, err)
	}
	unharmed(t, cmd)
}

// A program is killed when it has made the entry, and before a shim that holds other trees,
// too, has heard of it.
func TestWhatNeverCameToALivingShimIsRecovered(t *testing.T) {
	leaktest.Check(t)
	c, err := contain.NewCgroup("foster-made-test")
	leaktest.Need(t, "cgroup", err)
	shim, member := bystander(t)
	path := entry(t, func(e *wire.Entry) {
		e.Containment, e.CgroupPath, e.CgroupInode, e.Shim, e.Many = wire.Cgroup, c.Path, c.Inode(), member, true
	}, &wire.Life{})
	lost, problems, err := foster.Recover(context.Background())
	if err != nil || len(problems) > 0 || len(lost) != 1 || len(lost[0].Found) > 0 || lost[0].Err != nil {
		t.Errorf("recovered %+v, %v, %v; want nobody found", lost, problems, err)
	}
	for _, left := range []string{path, c.Path} {
		if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", left, err)
			_ = c.Remove()
		}
	}
	c.Dir.Close()
	unharmed(t, shim)
}

func TestATornEntryIsAProblemAndNothingHappens(t *testing.T) {
	leaktest.Check(t)
	cmd, member := bystander(t)
	path := entry(t, func(*wire.Entry) {}, &wire.Life{Leader: member, Members: []wire.Member{member}})
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("torn"), 30)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	lost, problems, err := foster.Recover(context.Background())
	if err != nil || len(lost) > 0 || len(problems) != 1 || !errors.Is(problems[0].(journal.Problem).Err, journal.ErrTorn) ||
		!strings.Contains(problems[0].Error(), filepath.Base(path)) {
		t.Errorf("recovered %+v, %v, %v; want a problem that names the file", lost, problems, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file: %v; want that it stays", err)
	}
	unharmed(t, cmd)
	if err := os.Remove(path); err != nil {
		t.Error(err)
	}
}
