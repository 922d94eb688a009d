package foster_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
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
		out := newLines(t)
		cmd.Stdout = out.w
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		out.started()
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

// leaver is a leader that ends and leaves another: a daemon, where one is held.
func leaver(c foster.Containment) []string {
	if c == foster.Group {
		return []string{"parent", "leave"}
	}
	return []string{"daemonize", "leave"}
}

func TestUntilLeaderStopsTheRest(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, _ := begin(t, c, func(cmd *foster.Cmd) { cmd.Until = foster.UntilLeader }, leaver(c)...)
		exit, err := tree.Wait()
		if err != nil || exit.Cause != foster.CauseLeaderEnded || exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v", exit, err)
		}
	})
}

func TestOnLeaderLoss(t *testing.T) {
	for policy, want := range map[foster.LossPolicy]error{foster.LossStop: nil, foster.LossFail: foster.ErrLeaderLost} {
		t.Run(string(policy), func(t *testing.T) {
			in(t, all, func(t *testing.T, c foster.Containment) {
				tree, _ := begin(t, c, func(cmd *foster.Cmd) { cmd.OnLeaderLoss = policy }, leaver(c)...)
				exit, err := tree.Wait()
				if !errors.Is(err, want) || exit.Cause != foster.CauseLeaderLost || !exit.LeaderLost {
					t.Errorf("exit %+v, %v; want %v", exit, err, want)
				}
			})
		})
	}
}

func TestLeaderFirstLetsTheLeaderDrain(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Scope = foster.ScopeLeaderFirst }, "drain")
		leader := tree.Leader()
		out.pid("drain")
		out.pid("drain")
		exit := stop(t, tree)
		out.next("leader drained")
		parent := mustAtoi(strings.TrimPrefix(out.next("worker signalled,"), "parent "))
		if c != foster.PIDNS && parent == leader {
			t.Error("the worker was signalled while its leader lived")
		}
		if exit.Killed != 0 {
			t.Errorf("%d had to be killed", exit.Killed)
		}
	})
}

// TestAStopOfLeaderOrGroupReachesNoOther: the rest is ended by another stop.
func TestAStopOfLeaderOrGroupReachesNoOther(t *testing.T) {
	for scope, reaches := range map[foster.Scope]int{foster.ScopeLeader: 1, foster.ScopeGroup: 2} {
		t.Run(string(scope), func(t *testing.T) {
			in(t, all, func(t *testing.T, c foster.Containment) {
				tree, out := begin(t, c, func(cmd *foster.Cmd) {
					cmd.Stop = foster.StopPlan{Scope: scope, Timeout: time.Hour}
				}, "parent", "aside")
				out.pid("block")
				out.pid("block")
				out.pid("parent")
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if _, err := tree.Stop(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("a stop that isn't waited for: %v", err)
				}
				sent := waitFor(t, tree, foster.EventSignaled)
				leader := waitFor(t, tree, foster.EventLeaderEnded)
				if sent.Count != reaches || leader.Status.Signal != syscall.SIGTERM {
					t.Errorf("it reached %d, and the leader: %v; want %d, and SIGTERM", sent.Count, leader.Status, reaches)
				}
				if _, err := tree.StopWith(context.Background(), foster.KillAtOnce); err != nil {
					t.Error(err)
				}
				if c == foster.Group {
					killStrays(t, tree.Leader())
				}
			})
		})
	}
}

func TestStopStepsComeInTurn(t *testing.T) {
	leaktest.Check(t)
	cmd := foster.Command("sh", "-c", `trap '' HUP INT TERM; echo stubborn $$; exec sleep 1000`)
	cmd.Stop = foster.StopPlan{
		Signal: syscall.SIGHUP, Timeout: 20 * time.Millisecond,
		Steps: []foster.StopStep{
			{Signal: syscall.SIGINT, Wait: 20 * time.Millisecond},
			{Signal: syscall.SIGUSR1, Wait: time.Hour}, // ends it
		},
	}
	out := newLines(t)
	cmd.Stdout = out.w
	tree, err := cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	out.started()
	out.pid("stubborn")
	exit := stop(t, tree)
	if exit.Leader.Signal != syscall.SIGUSR1 {
		t.Errorf("ended by %v, want SIGUSR1", exit.Leader)
	}
	var sent []syscall.Signal
	for e := range tree.Events(context.Background()) {
		if e.Kind == foster.EventSignaled {
			sent = append(sent, e.Signal)
		}
	}
	if len(sent) != 3 || sent[0] != syscall.SIGHUP || sent[1] != syscall.SIGINT {
		t.Errorf("sent %v", sent)
	}
}

func TestAStoppedProcessIsStoppedToo(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		if err := tree.Signal(syscall.SIGSTOP, foster.ScopeTree); err != nil {
			t.Fatal(err)
		}
		waitFor(t, tree, foster.EventLeaderPaused)
		if exit := stop(t, tree); exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("ended by %v, want SIGTERM at once", exit.Leader)
		}
	})
}

func TestStopIsCutShortByAnotherPlan(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = time.Hour }, "stubborn", "alone")
		out.pid("stubborn")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := tree.Stop(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a stop that isn't waited for: %v", err)
		}
		waitFor(t, tree, foster.EventSignaled)
		if _, err := tree.StopWith(context.Background(), foster.KillAtOnce); err != nil {
			t.Error(err)
		}
	})
}

func TestOrphansAreReapedWhileRunning(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "orphans", "100")
		out.pid("orphaned")
		leaktest.Eventually(t, "no zombie is left", func() bool {
			members, err := tree.Members()
			if err != nil {
				t.Fatal(err)
			}
			return len(members) == 1
		})
		exit := stop(t, tree)
		if exit.Adopted < 90 || len(exit.Orphans) < 50 { // sh may have reaped a few itself
			t.Errorf("%d adopted, %d named; want about 100, and 64", exit.Adopted, len(exit.Orphans))
		}
		for _, o := range exit.Orphans {
			if o.Status.ExitCode() != 7 {
				t.Errorf("orphan %+v, want exit status 7", o)
				break
			}
		}
	})
}

func TestReleaseLetsTheRestGo(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "daemonize", "leave")
		daemon := out.pid("block")
		waitFor(t, tree, foster.EventLeaderLost)
		if err := tree.Release(); err != nil {
			t.Fatal(err)
		}
		exit, err := tree.Wait()
		if err != nil || !exit.Released || exit.Cause != foster.CauseReleased || !exit.TreeEmpty.IsZero() {
			t.Errorf("exit %+v, %v", exit, err)
		}
		if err := syscall.Kill(daemon, 0); err != nil {
			t.Errorf("the daemon was ended: %v", err)
		}
		if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil { // it fell to this test
			t.Error(err)
		}
		leaktest.ReapOrphans(t)
	})
	in(t, []foster.Containment{foster.PIDNS, foster.Group}, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		if err := tree.Release(); !errors.Is(err, foster.ErrNotReleasable) {
			t.Errorf("got %v, want ErrNotReleasable", err)
		}
		stop(t, tree)
		if err := tree.Release(); !errors.Is(err, foster.ErrEnded) {
			t.Errorf("after the end: %v, want ErrEnded", err)
		}
	})
}

func TestStartErrorsAreTyped(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	busy := write("busy", "", 0o755)
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := open.Write(b); err != nil {
		t.Fatal(err)
	}
	command := func(path string, set func(*foster.Cmd)) *foster.Cmd {
		cmd := foster.Command(path)
		if set != nil {
			set(cmd)
		}
		return cmd
	}
	for name, c := range map[string]struct {
		cmd   *foster.Cmd
		stage foster.Stage
		is    error
	}{
		"not in PATH":     {command("no-such-program", nil), foster.StageLookup, exec.ErrNotFound},
		"no such file":    {command(filepath.Join(dir, "none"), nil), foster.StageExec, fs.ErrNotExist},
		"no interpreter":  {command(write("bad", "#!/no/such\n", 0o755), nil), foster.StageExec, fs.ErrNotExist},
		"not executable":  {command(write("plain", "", 0o644), nil), foster.StageExec, fs.ErrPermission},
		"no format":       {command(write("text", "echo\n", 0o755), nil), foster.StageExec, syscall.ENOEXEC},
		"being written":   {command(busy, nil), foster.StageExec, syscall.ETXTBSY},
		"no directory":    {command("/bin/true", func(c *foster.Cmd) { c.Dir = "/no/such" }), foster.StageDir, fs.ErrNotExist},
		"bad containment": {command("/bin/true", func(c *foster.Cmd) { c.Containment = "jar" }), foster.StageConfig, nil},
		"bad until":       {command("/bin/true", func(c *foster.Cmd) { c.Until = "noon" }), foster.StageConfig, nil},
		"bad policy":      {command("/bin/true", func(c *foster.Cmd) { c.OnLeaderLoss = "cry" }), foster.StageConfig, nil},
		"bad scope":       {command("/bin/true", func(c *foster.Cmd) { c.Stop.Scope = "all" }), foster.StageConfig, nil},
		"NUL":             {command("/bin/true", func(c *foster.Cmd) { c.Args = []string{"a\x00b"} }), foster.StageConfig, syscall.EINVAL},
		"bad limit": {command("/bin/true", func(c *foster.Cmd) {
			c.Rlimits = []foster.Rlimit{{Resource: 7, Soft: 10, Hard: 5}}
		}), foster.StageRlimit, syscall.EINVAL},
		"not found behind limits": {command(filepath.Join(dir, "none"), func(c *foster.Cmd) {
			c.Rlimits = []foster.Rlimit{{Resource: 4, Soft: 0, Hard: 0}}
		}), foster.StageExec, fs.ErrNotExist},
		"Cancel": {foster.From(context.Background(), exec.CommandContext(context.Background(), "true")),
			foster.StageConfig, nil},
	} {
		err := c.cmd.Run()
		start, ok := errors.AsType[*foster.StartError](err)
		if !ok || start.Stage != c.stage || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %#v (%v); want stage %s, %v", name, err, err, c.stage, c.is)
		}
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
