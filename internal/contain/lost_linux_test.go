package contain

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	signals "os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

const bystanderEnv = "FOSTER_TEST_BYSTANDER"

// bystand prints each signal that it gets, until its input ends.
func bystand() {
	got := make(chan os.Signal, 64)
	signals.Notify(got)
	end := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		end <- err
	}()
	fmt.Println("ready")
	for {
		select {
		case s := <-got:
			if s != syscall.SIGURG { // the runtime's own
				fmt.Println("got", s)
			}
		case <-end:
			fmt.Println("done")
			return
		}
	}
}

// bystander starts a process that proves, when the test ends, that it got no signal.
// One that got SIGSTOP never comes to its end; what ends it then is a SIGKILL some time
// after it was told to, and the test has failed.
func bystander(t *testing.T, attr *syscall.SysProcAttr) procfs.Stat {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), bystanderEnv+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if line, err := out.ReadString('\n'); line != "ready\n" {
		t.Errorf("a bystander said %q, %v", line, err)
	}
	t.Cleanup(func() {
		stuck := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer stuck.Stop()
		in.Close()
		said, err := io.ReadAll(out)
		if err = errors.Join(err, cmd.Wait()); err != nil || string(said) != "done\n" {
			t.Errorf("a bystander was met: %v, it said %q", err, said)
		}
	})
	return stat(t, cmd.Process.Pid)
}

// app is what a lost tree's processes are made of: a shell as the leader, and those
// that its script tells of, each by a line "name pid".
type app struct {
	cmd     *exec.Cmd
	leader  procfs.Stat
	members map[string]procfs.Stat
	out     *bufio.Reader
}

// startApp starts a script in a session of its own, and waits until it has told of as
// many processes. They end with the test.
func startApp(t *testing.T, count int, script string) *app {
	t.Helper()
	return startAppAs(t, &syscall.SysProcAttr{Setsid: true}, count, script)
}

func startAppAs(t *testing.T, attr *syscall.SysProcAttr, count int, script string) *app {
	t.Helper()
	a := &app{cmd: exec.Command("sh", "-c", script), members: map[string]procfs.Stat{}}
	a.cmd.SysProcAttr = attr
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill() // it may have ended
		_ = a.cmd.Wait()         // by the signal
	})
	a.leader = stat(t, a.cmd.Process.Pid)
	a.out = bufio.NewReader(out)
	for range count {
		a.next(t)
	}
	return a
}

// next reads one more line of an app.
func (a *app) next(t *testing.T) procfs.Stat {
	t.Helper()
	line, err := a.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the app isn't there: %v", err)
	}
	var name string
	var pid int
	if _, err := fmt.Sscan(line, &name, &pid); err != nil {
		t.Fatal(err)
	}
	endAtCleanup(t, pid)
	a.members[name] = stat(t, pid)
	return a.members[name]
}

// endLeader kills the leader and reaps it.
func (a *app) endLeader() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait() // by the signal
}

func recorded(list ...procfs.Stat) (members []wire.Member) {
	for _, s := range list {
		members = append(members, wire.Member{PID: s.PID, Start: s.Start, Name: s.Comm})
	}
	return members
}

func lost(members ...procfs.Stat) Lost {
	return Lost{Containment: wire.Subreaper, Members: recorded(members...)}
}

// term is a plan that waits for as long as no test does.
var term = wire.Plan{
	Steps:  []wire.Step{{Signal: syscall.SIGTERM, Scope: wire.ScopeTree, Wait: time.Minute}},
	GiveUp: 20 * time.Second,
}

// impatient is one whose step is over at once.
var impatient = wire.Plan{
	Steps:  []wire.Step{{Signal: syscall.SIGTERM, Scope: wire.ScopeTree, Wait: 50 * time.Millisecond}},
	GiveUp: 20 * time.Second,
}

func mustFind(t *testing.T, l Lost, want ...procfs.Stat) {
	t.Helper()
	found, _, err := l.Find()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "found", pidsOf(found), want...)
}

// mustEnd ends a lost tree, and wants these to have ended and nobody to be left.
func mustEnd(t *testing.T, l Lost, plan wire.Plan, want ...procfs.Stat) {
	t.Helper()
	ended, left, _, err := l.End(context.Background(), plan)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "ended", pidsOf(ended), want...)
	same(t, "left", pidsOf(left))
	for _, s := range want {
		if alive(s) {
			t.Errorf("alive: %+v", s)
		}
	}
	mustFind(t, l)
}

// daemons are two that left the session of the leader, one with a child of its own,
// and one that stayed.
const daemons = `
setsid sh -c 'echo daemon $$; sleep 100 & echo grandchild $!; wait' &
setsid sh -c 'echo other $$; exec sleep 100' &
sleep 100 & echo stayed $!
wait`

func TestLostMembersAndWhatDescendsFromThemAreEnded(t *testing.T) {
	bystander(t, nil)
	bystander(t, &syscall.SysProcAttr{Setsid: true})
	a := startApp(t, 4, daemons)
	m := a.members
	a.endLeader()
	for _, level := range []wire.Containment{wire.Subreaper, wire.Group} {
		l := lost(a.leader, m["daemon"], m["other"], m["stayed"])
		l.Containment = level
		mustFind(t, l, m["daemon"], m["grandchild"], m["other"], m["stayed"])
	}
	mustEnd(t, lost(a.leader, m["daemon"], m["other"], m["stayed"]), term,
		m["daemon"], m["grandchild"], m["other"], m["stayed"])
}

func TestNobodyIsFoundByWhatIsNotRecorded(t *testing.T) {
	bystander(t, nil)
	a := startApp(t, 4, daemons)
	a.endLeader()
	// The other two are in nothing that the journal knows.
	m := a.members
	mustEnd(t, lost(a.leader, m["daemon"]), term, m["daemon"], m["grandchild"])
	for _, s := range []procfs.Stat{m["other"], m["stayed"]} {
		if !alive(s) {
			t.Errorf("was met: %+v", s)
		}
	}
	// Nobody that was proven is in the leader's session any more, so its number
	// could be another's.
	mustFind(t, lost(a.leader))
}

func TestAReusedNumberIsNeverSignalled(t *testing.T) {
	for _, attr := range []*syscall.SysProcAttr{nil, {Setpgid: true}, {Setsid: true}} {
		b := bystander(t, attr)
		for _, off := range []uint64{1, ^uint64(0), 1 << 40} {
			was := b
			was.Start += off
			for _, level := range []wire.Containment{wire.Subreaper, wire.Group, wire.PIDNS} {
				l := lost(was)
				l.Containment, l.Shim = level, recorded(was)[0]
				mustEnd(t, l, impatient)
			}
		}
		was := b
		was.Start = 0 // not known: no proof
		mustEnd(t, lost(was), impatient)
	}
}

func TestNumbersThatAreNoProcessAreRefused(t *testing.T) {
	b := bystander(t, &syscall.SysProcAttr{Setsid: true})
	for _, pid := range []int{0, -1, -b.PID, 1 << 40} {
		was := b
		was.PID = pid
		mustEnd(t, lost(was), impatient)
	}
}

func TestWhoSharesASessionOfTheTreeIsEnded(t *testing.T) {
	bystander(t, nil)
	// Both are orphans as soon as the leader is killed; only one was recorded.
	a := startApp(t, 2, "sleep 100 & echo seen $!; sleep 100 & echo unseen $!; wait")
	a.endLeader()
	m := a.members
	mustFind(t, lost(m["seen"]), m["seen"]) // whose session it is isn't known
	mustEnd(t, lost(a.leader, m["seen"]), term, m["seen"], m["unseen"])
}

func TestWhoSharesAGroupOfTheTreeIsEnded(t *testing.T) {
	b := bystander(t, nil)
	a := startAppAs(t, &syscall.SysProcAttr{Setpgid: true}, 2, "sleep 100 & echo seen $!; sleep 100 & echo unseen $!; wait")
	a.endLeader()
	m := a.members
	if m["seen"].Session != b.Session {
		t.Fatal("not in the session of the test")
	}
	mustFind(t, lost(m["seen"]), m["seen"])
	mustEnd(t, lost(a.leader, m["seen"]), term, m["seen"], m["unseen"])
}

func TestWhoSharesASessionOrGroupOfStrangersIsNotEnded(t *testing.T) {
	b := bystander(t, nil)
	a := startAppAs(t, nil, 1, "sleep 100 & echo member $!; wait")
	if a.leader.PGID != b.PGID || a.leader.Session != b.Session {
		t.Fatal("not in the group of the bystander")
	}
	mustEnd(t, lost(a.leader), term, a.leader, a.members["member"])
}

// TestASessionWhoseNumberIsAnothersIsNotTheTrees says that a recorded member had the
// number that a stranger leads a session with by now.
func TestASessionWhoseNumberIsAnothersIsNotTheTrees(t *testing.T) {
	stranger := startApp(t, 2, "sleep 100 & echo member $!; sleep 100 & echo beside $!; wait")
	was := stranger.leader
	was.Start--
	m := stranger.members
	mustEnd(t, lost(was, m["member"]), term, m["member"])
	if !alive(stranger.leader) || !alive(m["beside"]) {
		t.Error("strangers were met")
	}
}

func TestWhoIsStubbornIsKilledAfterTheStep(t *testing.T) {
	bystander(t, nil)
	a := startApp(t, 2, `
trap '' TERM HUP INT
setsid sh -c 'echo daemon $$; while :; do sleep 100; done' &
sleep 100 & echo child $!
wait`)
	kids, err := procfs.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	l := lost(a.leader, a.members["daemon"])
	all := append(procfs.Below(kids, a.leader.PID), a.leader)
	for _, s := range all[:len(all)-1] {
		if _, told := a.members[map[int]string{a.members["daemon"].PID: "daemon", a.members["child"].PID: "child"}[s.PID]]; !told {
			endAtCleanup(t, s.PID)
		}
	}
	ended, left, _, err := l.End(context.Background(), impatient)
	if err != nil || len(left) > 0 {
		t.Fatalf("left %v, %v", left, err)
	}
	for _, s := range all {
		if alive(s) || !slices.ContainsFunc(ended, func(e procfs.Stat) bool { return e.PID == s.PID }) {
			t.Errorf("not ended: %+v of %v", s, ended)
		}
	}
	if passed := time.Since(begun); passed < impatient.Steps[0].Wait {
		t.Errorf("killed after %v, within the time of the step", passed)
	}
}

func TestAStoppedMemberActsOnTheSignal(t *testing.T) {
	a := startApp(t, 1, `trap 'echo farewell 1; exit' TERM; echo self $$; while :; do sleep 0.01; done`)
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stopped", func() bool { return stat(t, a.leader.PID).State == 'T' })
	if _, left, _, err := lost(a.leader).End(context.Background(), term); err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	if line, err := a.out.ReadString('\n'); line != "farewell 1\n" {
		t.Errorf("it said %q, %v", line, err)
	}
}

func TestWhoIsForkedWhileEndingIsEnded(t *testing.T) {
	bystander(t, nil)
	for wait := 300 * time.Millisecond; ; wait *= 4 {
		a := startApp(t, 1, `
trap 'setsid sh -c "echo late \$\$; exec sleep 100" &' TERM
echo self $$
while :; do sleep 0.01; done`)
		ended, left, _, err := lost(a.leader).End(context.Background(), wire.Plan{
			Steps:  []wire.Step{{Signal: syscall.SIGTERM, Wait: wait}},
			GiveUp: 20 * time.Second,
		})
		if err != nil || len(left) > 0 {
			t.Fatal(left, err)
		}
		line, err := a.out.ReadString('\n')
		reap(t)
		if line == "" && wait < 20*time.Second {
			continue // it was killed before it forked, on a machine with more to do
		}
		var pid int
		if _, serr := fmt.Sscanf(line, "late %d", &pid); serr != nil {
			t.Fatalf("nobody was forked: %q, %v", line, err)
		}
		if !slices.ContainsFunc(ended, func(s procfs.Stat) bool { return s.PID == pid }) {
			t.Errorf("%d isn't among %v", pid, ended)
		}
		return
	}
}

// reap reaps what has fallen to the test, and has ended.
func reap(t *testing.T) {
	t.Helper()
	eventually(t, "what has fallen to the test is reaped", func() bool {
		all, err := procfs.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		none := true
		for _, s := range all {
			if s.PPID == os.Getpid() && s.Comm != "contain.test" && s.State == 'Z' {
				_, _ = syscall.Wait4(s.PID, nil, syscall.WNOHANG, nil) // it's asked for again
				none = false
			}
		}
		return none
	})
}

// A storm of bounded size, which ignores the signal: eight lines of processes, each of
// which forks the next and ends.
func TestAStormIsEnded(t *testing.T) {
	bystander(t, nil)
	a := startApp(t, 1, `
trap '' TERM
next() { [ $1 -gt 0 ] && { sleep 0.01; next $(($1-1)) & }; }
for i in 1 2 3 4 5 6 7 8; do next 500 & done
echo self $$
sleep 20`)
	t.Cleanup(func() { reap(t) })
	ended, left, _, err := lost(a.leader).End(context.Background(), impatient)
	if err != nil || len(left) > 0 || len(ended) < 2+8 {
		t.Fatalf("ended %d, left %v, %v", len(ended), left, err)
	}
	all, err := procfs.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Session == a.leader.PID && !s.Zombie() {
			t.Errorf("left of the storm: %+v", s)
		}
	}
}

func TestATreeWithThisProcessInItIsNotTouched(t *testing.T) {
	self := stat(t, os.Getpid())
	a := startAppAs(t, nil, 1, "sleep 100 & echo child $!; wait")
	for name, pid := range map[string]int{"itself": self.PID, "its parent": self.PPID, "the first": 1} {
		s, err := procfs.Read(pid)
		if err != nil {
			continue // /proc may hide those of others
		}
		l := lost(a.leader, s)
		if _, _, err := l.Find(); !errors.Is(err, ErrInside) {
			t.Errorf("%s: find: %v", name, err)
		}
		if ended, _, _, err := l.End(context.Background(), impatient); !errors.Is(err, ErrInside) || len(ended) > 0 {
			t.Errorf("%s: ended %v, %v", name, ended, err)
		}
	}
	if s := stat(t, a.leader.PID); !alive(a.leader) || s.State == 'T' {
		t.Errorf("the rest of the tree: %+v", s)
	}
}

func TestAKernelThreadIsNoMember(t *testing.T) {
	s, err := procfs.Read(2)
	if err == nil && s.Flags&pfKthread == 0 {
		err = fmt.Errorf("process 2 is %s", s.Comm)
	}
	hosttest.Unless(t, hosttest.KernelThreads, err)
	mustFind(t, lost(s))
}

func TestATreeWhoseShimLivesIsNotLost(t *testing.T) {
	b := bystander(t, nil)
	l := lost(b)
	l.Shim = recorded(b)[0]
	if _, _, err := l.Find(); !errors.Is(err, ErrShimLives) {
		t.Errorf("find: %v", err)
	}
	if _, _, _, err := l.End(context.Background(), impatient); !errors.Is(err, ErrShimLives) {
		t.Errorf("end: %v", err)
	}
}

func TestAShimThatEndsIsAwaited(t *testing.T) {
	shim := startApp(t, 1, "sleep 100 & echo child $!; wait")
	l := lost(shim.members["child"])
	l.Shim = recorded(shim.leader)[0]
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		shim.endLeader()
	}()
	mustEnd(t, l, term, shim.members["child"])
	<-ended
}

func TestTheNumbersOfAPIDNamespaceMeanNothing(t *testing.T) {
	b := bystander(t, &syscall.SysProcAttr{Setsid: true})
	l := lost(b)
	l.Containment = wire.PIDNS
	mustEnd(t, l, impatient)
}

func TestAnUnknownContainmentIsNotObeyed(t *testing.T) {
	b := bystander(t, nil)
	for _, level := range []wire.Containment{0, 5, 255} {
		l := lost(b)
		l.Containment = level
		if _, _, _, err := l.End(context.Background(), impatient); !errors.Is(err, ErrNotATree) {
			t.Errorf("%d: %v", level, err)
		}
	}
}

func TestEndingStopsWhenItsContextIsDone(t *testing.T) {
	a := startApp(t, 1, `trap 'echo got 1' TERM; echo self $$; while :; do sleep 0.01; done`)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = a.out.ReadString('\n') // the signal has come
		cancel()
	}()
	_, left, _, err := lost(a.leader).End(ctx, term)
	if !errors.Is(err, context.Canceled) || !slices.ContainsFunc(left, func(s procfs.Stat) bool { return s.PID == a.leader.PID }) {
		t.Errorf("left %v, %v", left, err)
	}
	if !alive(a.leader) {
		t.Error("it was killed")
	}
}

func TestNewLostTakesWhatIsKnown(t *testing.T) {
	e := &wire.Entry{Containment: wire.Cgroup, CgroupPath: "/c", CgroupInode: 3, Shim: wire.Member{PID: 4, Start: 5}}
	life := &wire.Life{Leader: wire.Member{PID: 6}, Members: []wire.Member{{PID: 7}}}
	l := NewLost(e, life)
	if l.Shim.PID != 4 || len(l.Members) != 2 || l.CgroupInode != 3 || l.Containment != wire.Cgroup {
		t.Errorf("got %+v", l)
	}
	if l := NewLost(e, nil); l.Shim.PID != 4 || len(l.Members) > 0 {
		t.Errorf("got %+v", l)
	}
}

// The handles of a recovery are given back.
func TestEndingLeavesNoDescriptor(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	a := startApp(t, 4, daemons)
	before := count()
	l := lost(a.leader, a.members["daemon"])
	if _, _, err := l.Find(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := l.End(context.Background(), term); err != nil {
		t.Fatal(err)
	}
	if after := count(); after > before {
		links, _ := exec.Command("ls", "-l", fmt.Sprintf("/proc/%d/fd", os.Getpid())).Output()
		t.Errorf("%d descriptors, before %d:\n%s", after, before, bytes.TrimSpace(links))
	}
}
