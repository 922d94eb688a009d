package foster_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are what a user of os/exec relies on.

func TestRunReportsTheLeadersStatus(t *testing.T) {
	leaktest.Check(t)
	if err := foster.Command("true").Run(); err != nil {
		t.Errorf("true: %v", err)
	}
	err := foster.Command("sh", "-c", "exit 3").Run()
	exit, ok := errors.AsType[*foster.ExitError](err)
	if !ok || exit.Leader.ExitCode() != 3 || err.Error() != "exit status 3" {
		t.Errorf("exit 3: %v", err)
	}
	err = foster.Command("sh", "-c", "kill -TERM $$").Run()
	exit, ok = errors.AsType[*foster.ExitError](err)
	if !ok || exit.Leader.Signal != syscall.SIGTERM || exit.Leader.ExitCode() != -1 {
		t.Errorf("killed: %v", err)
	}
}

func TestOutputIsWholeWhenAGrandchildWritesItLast(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd := roleCommand("spew", "2000")
		cmd.Containment = c
		out, err := cmd.Output()
		if err != nil || len(out) != 2000*1024 {
			t.Errorf("got %d bytes, %v; want %d", len(out), err, 2000*1024)
		}
	})
}

func TestWaitDoesNotHangOnAPipeThatSomebodyOutsideHolds(t *testing.T) {
	in(t, all[:1], func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("sh", "-c", `setsid sleep 1000 & echo pid $!; echo more`)
		cmd.Containment = c
		out, err := cmd.Output()
		if err != nil || !strings.HasSuffix(string(out), "more\n") {
			t.Errorf("got %q, %v", out, err)
		}
		pid := mustAtoi(strings.Fields(string(out))[1])
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil { // it left the group, and fell to this test
			t.Error(err)
		}
	})
}

func TestStdinIsCopiedAndClosed(t *testing.T) {
	leaktest.Check(t)
	cmd := foster.Command("cat")
	cmd.Stdin = strings.NewReader("through")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "through" {
		t.Errorf("got %q, %v", out, err)
	}
	cmd = foster.Command("true") // doesn't read it
	cmd.Stdin = bytes.NewReader(make([]byte, 1<<20))
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
}

func TestPipes(t *testing.T) {
	leaktest.Check(t)
	cmd := foster.Command("sh", "-c", "cat; echo err >&2")
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	tree, err4 := cmd.Start()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	defer stderr.Close()
	if _, err := stdin.Write([]byte("in")); err != nil {
		t.Error(err)
	}
	stdin.Close()
	var out, errs bytes.Buffer
	_, err1 = out.ReadFrom(stdout)
	_, err2 = errs.ReadFrom(stderr)
	_, err3 = tree.Wait()
	if err := errors.Join(err1, err2, err3); err != nil || out.String() != "in" || errs.String() != "err\n" {
		t.Errorf("got %q and %q, %v", out.String(), errs.String(), err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("full")

func TestAWriterThatFailsIsReported(t *testing.T) {
	leaktest.Check(t)
	cmd := foster.Command("sh", "-c", "echo x")
	cmd.Stdout = failingWriter{}
	if err := cmd.Run(); !errors.Is(err, errFull) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

func TestCanceledContextIsAnOrderlyStop(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		name, argv := role("polite")
		cmd := foster.CommandContext(ctx, name, argv...)
		cmd.Containment = c
		tree, out := read(t, cmd, nil)
		out.pid("polite")
		cancel()
		exit, err := tree.Wait()
		if !errors.Is(err, context.Canceled) || exit.Cause != foster.CauseCanceled || !exit.Leader.Success() {
			t.Errorf("exit %+v, %v; want an orderly end by cancellation", exit, err)
		}
		out.next("farewell")
	})
}

func TestADoneContextStartsNothing(t *testing.T) {
	leaktest.Check(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := foster.CommandContext(ctx, "true").Start(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestDirEnvUmaskAndLimits(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		umask := 0o027
		cmd := foster.Command("sh", "-c", `pwd; echo $A; umask; ulimit -n; ulimit -Hn`)
		cmd.Containment = c
		cmd.Dir = "/usr"
		cmd.Env = []string{"A=b c"}
		cmd.Umask = &umask
		cmd.Rlimits = []foster.Rlimit{{Resource: syscall.RLIMIT_NOFILE, Soft: 100, Hard: 200}}
		out, err := cmd.Output()
		if want := "/usr\nb c\n0027\n100\n200\n"; err != nil || string(out) != want {
			t.Errorf("got %q, %v; want %q", out, err, want)
		}
	})
}

func TestRelativeDirAndPathAreAsInOSExec(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("sub/bin", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("sub/bin/here", []byte("#!/bin/sh\npwd\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := &foster.Cmd{Path: "bin/here", Dir: "sub"}
	out, err := cmd.Output()
	if want := filepath.Join(dir, "sub") + "\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}

func TestTheProgramBeginsClean(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		// The owner was started with signals ignored.
		name, argv := role("owner", string(c), "run", "/bin/cat", "/proc/self/status")
		script := `trap '' HUP INT QUIT TERM USR1 PIPE TSTP CHLD; exec "$0" "$@"`
		out, err := exec.Command("/bin/sh", append([]string{"-c", script, name}, argv...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, mask := range []string{"SigBlk:\t", "SigIgn:\t"} {
			if !strings.Contains(string(out), mask+"0000000000000000\n") {
				t.Errorf("%snot empty in:\n%s", mask, out)
			}
		}
		cmd := foster.Command("sh", "-c", `ls /proc/$$/fd; cat /proc/$$/fdinfo/1 | grep flags`)
		cmd.Containment = c
		out, err = cmd.Output()
		if want := "0\n1\n2\n"; err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("descriptors %q, %v; want 0, 1 and 2", out, err)
		}
		if flags := strings.Fields(string(out)); len(flags) > 0 && strings.HasSuffix(flags[len(flags)-1], "04001") {
			t.Errorf("standard output is in non-blocking mode: %s", out)
		}
	})
}

func TestExtraFiles(t *testing.T) {
	leaktest.Check(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := foster.Command("sh", "-c", `echo extra >&4; for n in 3 4 304 305; do
		[ -e /proc/$$/fd/$n ] && echo $n; done`)
	cmd.ExtraFiles = []*os.File{nil, w}
	for range 300 { // more than one message can carry
		cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	}
	out, err := cmd.Output()
	w.Close()
	if string(out) != "4\n304\n" {
		t.Errorf("got %q, %v; want descriptors up to 304, number 3 closed", out, err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil || b.String() != "extra\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestCredential(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root", errors.New("not root"))
	}
	in(t, all, func(t *testing.T, c foster.Containment) {
		for _, limits := range [][]foster.Rlimit{nil, {{Resource: 4, Soft: 0, Hard: 0}}} {
			cmd := foster.Command("sh", "-c", "id -u; id -g; id -G; grep CapEff /proc/$$/status")
			cmd.Containment = c
			cmd.Credential = &syscall.Credential{Uid: 64123, Gid: 64124, Groups: []uint32{64125}}
			cmd.Rlimits = limits
			out, err := cmd.Output()
			want := "64123\n64124\n64124 64125\nCapEff:\t0000000000000000\n"
			if err != nil || string(out) != want {
				t.Errorf("got %q, %v; want %q", out, err, want)
			}
		}
	})
}

// The working directory has a name also in another mount namespace, and where the program's
// user may not look for it from the top down.
func TestWorkingDirectoryHasItsNameForEachUser(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root", errors.New("not root"))
	}
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("/bin/pwd", "-P")
		cmd.Containment, cmd.Credential = c, &syscall.Credential{Uid: 64123, Gid: 64124}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != dir+"\n" {
			t.Errorf("%q, %v; want %q", out, err, dir)
		}
	})
}

// What a shell script writes to /dev/stdout is opened by name, with the rights that the user
// has on the pipe.
func TestProgramOfAnotherUserOpensItsPipesByName(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root", errors.New("not root"))
	}
	in(t, all, func(t *testing.T, c foster.Containment) {
		other := &syscall.Credential{Uid: 64123, Gid: 64124}
		script := `cat /dev/stdin; echo out >/dev/stdout; echo error >/proc/self/fd/2`
		cmd := foster.Command("sh", "-c", script)
		cmd.Containment, cmd.Credential, cmd.Stdin = c, other, strings.NewReader("in\n")
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "in\nout\nerror\n" {
			t.Errorf("a reader and a writer: %q, %v", out, err)
		}
		cmd = foster.Command("sh", "-c", script)
		cmd.Containment = c
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Credential, cmd.Stderr = other, os.Stderr // an open file that isn't foster's to give
		was, err := os.Stderr.Stat()
		if err != nil {
			t.Fatal(err)
		}
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
		var said bytes.Buffer
		if _, err := said.ReadFrom(out); err != nil || said.String() != "out\n" {
			t.Errorf("pipes of the caller: %q, %v", said.String(), err)
		}
		out.Close()
		_, _ = tree.Wait() // whether it may open the other file is no matter
		if is, err := os.Stderr.Stat(); err != nil || is.Sys().(*syscall.Stat_t).Uid != was.Sys().(*syscall.Stat_t).Uid {
			t.Errorf("a file of the caller's was given away: %v", err)
		}
	})
}

func TestFromTakesAnExecCmdOver(t *testing.T) {
	leaktest.Check(t)
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", `echo "$A"; pwd`)
	cmd.Env, cmd.Dir, cmd.Stdout = []string{"A=1"}, "/", &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := foster.From(t.Context(), cmd).Run(); err != nil || out.String() != "1\n/\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	again := foster.Command("true")
	if err := again.Run(); err != nil {
		t.Error(err)
	}
	if _, err := again.Start(); !errors.Is(err, foster.ErrStarted) {
		t.Errorf("started twice: %v", err)
	}
}

func TestEventsNeverBlockAndKeepTheLast(t *testing.T) {
	leaktest.Check(t)
	const many, kept = 300, 256
	tree, out := begin(t, foster.Subreaper, func(cmd *foster.Cmd) { cmd.Lease.Time = time.Hour }, "block")
	out.pid("block")
	// One reader takes the first event, and no more until the tree has ended.
	began, goOn, slow := make(chan struct{}), make(chan struct{}), make(chan []foster.Event)
	go func() {
		var got []foster.Event
		for e := range tree.Events(context.Background()) {
			if got = append(got, e); len(got) == 1 {
				close(began)
				<-goOn
			}
		}
		slow <- got
	}()
	<-began
	for n := range many { // each is told: none can fall together with another
		if err := tree.Extend(time.Hour * time.Duration(n+2)); err != nil {
			t.Fatal(err)
		}
	}
	stop(t, tree)
	close(goOn)
	taken, late := <-slow, slices.Collect(tree.Events(context.Background()))
	if taken[0].Kind != foster.EventStarted {
		t.Errorf("the first event is %+v, want the start", taken[0])
	}
	for name, got := range map[string][]foster.Event{"who was slow": taken[1:], "who came late": late} {
		if len(got) != kept+1 || got[0].Kind != foster.EventMissed || got[0].Count < many-kept {
			t.Fatalf("%s has %d events, the first of them %+v; want what was missed, and then %d", name, len(got), got[0], kept)
		}
		if last := got[kept]; last.Kind != foster.EventEnded || last.Exit == nil {
			t.Errorf("%s: the last event is %+v, want the end", name, last)
		}
		var left time.Duration
		for _, e := range got[1:] {
			if e.Kind == foster.EventLeaseExtended {
				if left > 0 && e.Left.Round(time.Hour) != left+time.Hour {
					t.Errorf("%s: after %v comes %v", name, left, e.Left)
				}
				left = e.Left.Round(time.Hour)
			}
		}
		if left != (many+1)*time.Hour {
			t.Errorf("%s: the newest lease is %v, want %d hours", name, left, many+1)
		}
	}
	if was, is := taken[1].Count+1, late[0].Count; was != is {
		t.Errorf("who had taken one event missed %d, another %d", taken[1].Count, is)
	}
}

func TestWhoIsReapedIsCountedWhileTheTreeLives(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("sh", "-c", "(true &); (true &); exec sleep 1000")
		cmd.Containment = c
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		leaktest.Eventually(t, "two orphans are reaped", func() bool {
			reaped, adopted, err := tree.Reaped()
			return err == nil && reaped == 2 && adopted == 2
		})
		if exit := stop(t, tree); exit.Reaped != 3 || exit.Adopted != 2 {
			t.Errorf("exit %+v; want two orphans and the leader", exit)
		}
		if _, _, err := tree.Reaped(); !errors.Is(err, foster.ErrEnded) {
			t.Errorf("afterwards %v", err)
		}
	})
}

func TestMembersAndSignalAfterTheEnd(t *testing.T) {
	leaktest.Check(t)
	tree, err := foster.Command("true").Start()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.Wait(); err != nil {
		t.Error(err)
	}
	if m, err := tree.Members(); err != nil || len(m) != 0 {
		t.Errorf("members %v, %v", m, err)
	}
	if err := tree.Signal(syscall.SIGTERM, foster.ScopeTree); !errors.Is(err, foster.ErrEnded) {
		t.Errorf("signal: %v, want ErrEnded", err)
	}
	if exit, err := tree.Stop(context.Background()); err != nil || exit.Cause != foster.CauseEnded {
		t.Errorf("stop: %+v, %v", exit, err)
	}
}
