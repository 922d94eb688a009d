package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
)

// inspected is what foster inspect tells of a tree.
func inspected(t *testing.T, id string) (told tree) {
	t.Helper()
	text := strings.Join(output(t, "foster", "inspect", "-o", "json", id), "\n")
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return told
}

// beginWait begins foster wait, and returns when it is connected to the shim.
func beginWait(t *testing.T, id string) *process {
	t.Helper()
	socket := []byte(journal.SocketPath(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "foster"), id))
	guests := func() (n int) {
		table, err := os.ReadFile("/proc/net/unix")
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(table) { // the shim's ends have the path, too: 03 is SS_CONNECTED
			if f := bytes.Fields(line); len(f) == 8 && string(f[5]) == "03" && bytes.Equal(f[7], socket) {
				n++
			}
		}
		return n
	}
	leaktest.Eventually(t, "who has looked at it has left", func() bool { return guests() == 0 })
	w := begin(t, "foster", "wait", id)
	leaktest.Eventually(t, "foster wait is connected", func() bool { return guests() > 0 })
	return w
}

// forgotten reaps what ran in the background, and removes the ends that the journal
// keeps.
func forgotten(t *testing.T) {
	t.Helper()
	leaktest.ReapOrphans(t)
	paths, _ := filepath.Glob(filepath.Join(os.Getenv("XDG_STATE_HOME"), "foster", "*")) // the pattern is valid
	for _, path := range paths {
		if filepath.Base(path) == "projects" {
			continue // other tests leave their state there
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// stopped has the shim of a tree stopped, until the test is over.
func stopped(t *testing.T, shim int) (goOn func()) {
	t.Helper()
	goOn = func() {
		if err := syscall.Kill(shim, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	leaktest.Stop(t, shim)
	return goOn
}

// bothKilled starts a tree that traps what a stop sends, with a daemon where the
// containment holds those, and kills foster and its shim.
func bothKilled(t *testing.T, contain, id string) {
	t.Helper()
	script := trapping
	if contain == "group" { // loses what has a session of its own
		script = strings.Replace(trapping, "setsid", "", 1)
	}
	p := start(t, "--id", id, "--contain", contain, "--", "sh", "-c", script)
	p.out.next(`^daemon$`)
	shim := inspected(t, id).Shim
	if contain == "group" || contain == "subreaper" { // where only who was seen can be found again
		leaktest.Eventually(t, "the journal has all of "+id, func() bool {
			found, err := journal.Find(filepath.Join(os.Getenv("XDG_STATE_HOME"), "foster"), id)
			return err == nil && found.Life != nil && len(found.Life.Members) == 3
		})
	}
	p.killedWith(shim)
	leaktest.Eventually(t, id+" is lost", func() bool { return inspected(t, id).State == "lost" })
	t.Cleanup(func() { p.out.r.Close() })
}

// killedWith kills foster together with its shim. Neither must see the other's end, so both
// are stopped before. The shim goes first: a process group that is stopped is continued by
// the kernel when its last parent in the session ends.
func (p *process) killedWith(shim int) {
	p.t.Helper()
	leaktest.Stop(p.t, p.cmd.Process.Pid)
	leaktest.Stop(p.t, shim)
	kill(p.t, shim)
	p.signal(syscall.SIGKILL)
	p.ends(128 + 9)
}

// endsWhileReaping waits for the end of a command while the test binary is the init of
// what has lost its parent: a zombie isn't gone.
func endsWhileReaping(t *testing.T, p *process, status int) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.ends(status)
	}()
	leaktest.Eventually(t, "the command ends", func() bool {
		select {
		case <-done:
			return true
		default:
			reapZombies(t, p.cmd.Process.Pid)
			return false
		}
	})
}

// reapZombies reaps what has fallen to the test and has ended, but for a command that
// os/exec waits for.
func reapZombies(t *testing.T, but int) {
	t.Helper()
	all, err := procfs.Snapshot()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.PPID == os.Getpid() && s.State == 'Z' && s.PID != but {
			_, _ = syscall.Wait4(s.PID, nil, syscall.WNOHANG, nil) // it's asked for again
		}
	}
}

func TestBothKilledRecoverEndsTheRest(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		bothKilled(t, contain, "web")
		listed := output(t, "foster", "recover", "--list")
		if len(listed) != 1 || !strings.HasPrefix(listed[0], "web (sh -c ") {
			t.Errorf("recover --list says %q", listed)
		}
		if state := inspected(t, "web").State; state != "lost" {
			t.Errorf("after recover --list it is %s", state)
		}
		p := begin(t, "foster", "recover")
		endsWhileReaping(t, p, 0)
		want := `^web \(sh -c .*\): ended: .*\(pid \d+\)`
		if contain == "pidns" { // which the kernel has ended
			want = `^web \(sh -c .*\): nothing was left of it$`
		}
		p.out.next(want)
		leaktest.ReapOrphans(t)
		nothingIsLeft(t)
		if said := output(t, "foster", "recover"); len(said) != 1 || said[0] != "nothing was left" {
			t.Errorf("the second recover says %q", said)
		}
	})
}

func TestBothKilledNextRunEndsTheRestFirst(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		bothKilled(t, contain, "web")
		p := begin(t, "foster", "run", "--", "sh", "-c", "echo started")
		endsWhileReaping(t, p, 0)
		if contain != "pidns" {
			p.err.next(`^foster: left by an earlier foster: web \(sh -c .*\): ended: `)
		}
		p.out.next(`^started$`)
		leaktest.ReapOrphans(t)
		nothingIsLeft(t)
	})
}

func TestDetachedFosterKilledNothingIsLeft(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		output(t, "foster", "run", "--id", "web", "-d", "--stop-timeout", "50ms", "--contain", contain, "--", "sh", "-c", "exec sleep 1000")
		told := inspected(t, "web")
		w := beginWait(t, "web")
		kill(t, told.Owner.PID)
		endsWhileReaping(t, w, 128+15)
		forgotten(t)
	})
}

func TestDetachedShimKilledNothingIsLeft(t *testing.T) {
	inEach(t, func(t *testing.T, contain string) {
		output(t, "foster", "run", "--id", "web", "-d", "--contain", contain, "--", "sh", "-c", "echo hello; exec sleep 1000")
		told := inspected(t, "web")
		w := beginWait(t, "web")
		a := begin(t, "foster", "attach", "web")
		a.out.next(`^hello$`)
		b := begin(t, "foster", "attach", "web")
		b.err.next(`^foster: tree "web": its output is read by`)
		b.ends(exitFoster)
		kill(t, told.Shim)
		w.ends(exitFoster)
		a.ends(exitFoster)
		w.err.next(`^foster: tree "web"`)
		forgotten(t)
	})
}

func TestStoppedShimIsToldOf(t *testing.T) {
	leaktest.Check(t)
	for _, id := range []string{"one", "two"} {
		output(t, "foster", "run", "--id", id, "-d", "--", "sleep", "1000")
	}
	shim := inspected(t, "one").Shim
	goOn := stopped(t, shim)
	began := time.Now()
	p := begin(t, "foster", "ls")
	p.out.next(`^one +no answer `)
	p.out.next(`^two +running `)
	p.err.next(fmt.Sprintf(`^foster: tree "one": no answer: is its shim stopped\? kill -CONT %d lets it go on$`, shim))
	p.ends(0)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("foster ls took %v", took)
	}
	goOn()
	for _, id := range []string{"one", "two"} {
		output(t, "foster", "stop", id)
	}
	forgotten(t)
}

// A shim that is stopped is told of by each command that asks it, or waits for it.
func TestStoppedShimHoldsUpNoCommand(t *testing.T) {
	leaktest.Check(t)
	for _, id := range []string{"one", "two"} {
		output(t, "foster", "run", "--id", id, "-d", "--stop-timeout", "1h", "--", "sh", "-c", "trap '' TERM; echo up; sleep 1000; sleep 1000")
	}
	shim := inspected(t, "one").Shim
	waits := begin(t, "foster", "wait", "one")
	attached := begin(t, "foster", "attach", "one")
	attached.out.next(`^up$`)
	leaktest.Eventually(t, "both are there", func() bool { return inspected(t, "one").Reader == attached.cmd.Process.Pid })
	goOn := stopped(t, shim)
	asked := []*process{waits, attached}
	for _, c := range []string{"stop one", "signal one HUP", "extend one 10min", "claim one", "wait one", "attach one"} {
		asked = append(asked, begin(t, "foster", strings.Fields(c)...))
	}
	for _, p := range asked {
		t.Log(p.cmd.Args)
		p.err.next(fmt.Sprintf(`^foster: tree "one": its shim \(pid %d\) is stopped, and answers nobody$`, shim))
		p.err.next(fmt.Sprintf(`^hint: kill -CONT %d lets the shim go on$`, shim))
		p.ends(exitFoster)
	}
	goOn()
	for _, id := range []string{"one", "two"} {
		p := begin(t, "foster", "stop", "--timeout", "0", id)
		p.ends(0)
	}
	forgotten(t)
}

func TestManyTreesAtOnce(t *testing.T) {
	leaktest.Check(t)
	const many = 30
	var starts []*process
	for i := range many {
		starts = append(starts, begin(t, "foster", "run", "-d", "--id", "t"+strconv.Itoa(i), "--", "sleep", "1000"))
	}
	for range 5 { // while they start
		if _, err := exec.Command("foster", "ls", "-o", "json").Output(); err != nil {
			t.Error(err)
		}
	}
	for _, p := range starts {
		p.ends(0)
	}
	var list []tree
	if err := json.Unmarshal([]byte(strings.Join(output(t, "foster", "ls", "-o", "json"), "\n")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != many {
		t.Errorf("%d trees are listed, want %d", len(list), many)
	}
	var stops []*process
	for _, l := range list {
		if l.State != "running" || len(l.Members) != 1 {
			t.Errorf("%s is %s, and has %d members", l.ID, l.State, len(l.Members))
		}
		stops = append(stops, begin(t, "foster", "stop", l.ID))
	}
	for range 5 { // while they end
		var b strings.Builder
		ls := exec.Command("foster", "ls")
		ls.Stderr = &b
		if err := ls.Run(); err != nil || b.Len() > 0 {
			t.Errorf("foster ls: %v: %s", err, b.String())
		}
	}
	for _, p := range stops {
		p.ends(0)
	}
	forgotten(t)
}

func TestCtrlCDetaches(t *testing.T) {
	leaktest.Check(t)
	output(t, "foster", "run", "--id", "web", "-d", "--", "sh", "-c", "echo hello; exec sleep 1000")
	p := sit(t, "foster", "attach", "web")
	p.sees(`hello\r`)
	p.types(ctrlC)
	p.sees(`foster: detached from web, which goes on\r`)
	_ = p.cmd.Wait() // the status says it
	if got := shellStatus(p.cmd.ProcessState); got != 0 {
		t.Errorf("exit status %d", got)
	}
	if state := inspected(t, "web").State; state != "running" {
		t.Errorf("it is %s", state)
	}
	// A terminal that is closed detaches as well.
	p = sit(t, "foster", "attach", "web")
	leaktest.Eventually(t, "it is attached", func() bool { return inspected(t, "web").Reader > 0 })
	p.pty.Close()
	_ = p.cmd.Wait() // it has
	if state := inspected(t, "web").State; state != "running" {
		t.Errorf("it is %s", state)
	}
	output(t, "foster", "stop", "web")
	forgotten(t)
}

// bothKilledUnseen starts a tree in a group, has it fork when its shim can't call the roll
// any more, and kills foster and the shim. It gives the process that was forked.
func bothKilledUnseen(t *testing.T, id string) (unseen int) {
	t.Helper()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "go")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--id", id, "--contain", "group", "--dir", dir, "--", "sh", "-c",
		"echo ready $$; read line <go; sleep 1000 & echo unseen $!; read line <go")
	leader := p.out.pid(`^ready (\d+)$`)
	shim := inspected(t, id).Shim
	leaktest.Stop(t, shim)
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	unseen = p.out.pid(`^unseen (\d+)$`)
	leaktest.Eventually(t, "the process that was forked runs its program", func() bool {
		s, err := procfs.Read(unseen)
		return err == nil && s.Comm == "sleep"
	})
	p.killedWith(shim)
	leaktest.Eventually(t, "its leader is reaped", func() bool {
		reapZombies(t, 0)
		return syscall.Kill(leader, 0) == syscall.ESRCH
	})
	t.Cleanup(func() { p.out.r.Close() })
	return unseen
}

// isAlive says whether a process runs.
func isAlive(pid int) bool {
	s, err := procfs.Read(pid)
	return err == nil && !procfs.Dying(s)
}

func TestBothKilledWhatIsNotProvenIsNamed(t *testing.T) {
	leaktest.Check(t)
	unseen := bothKilledUnseen(t, "web")
	may := fmt.Sprintf(`^web \(sh -c .*, in a group\): may be left: members of the process group \d+ that foster can't prove to be its own: sleep \(pid %d\)`, unseen)
	for range 2 { // it stays
		p := begin(t, "foster", "recover")
		p.out.next(may + "$")
		p.err.next(`^hint: foster explain PID .* foster recover --forget web `)
		p.ends(exitSurvivors)
	}
	if told := inspected(t, "web"); told.State != "lost" || !strings.HasPrefix(told.Problem, "may be left: ") {
		t.Errorf("it is %s, with the problem %q", told.State, told.Problem)
	}
	p := begin(t, "foster", "recover", "--list")
	p.out.next(may + "$")
	p.ends(0)
	p = begin(t, "foster", "recover", "-o", "json")
	var list []recovered
	if err := json.Unmarshal([]byte(strings.Join(p.out.rest(), "\n")), &list); err != nil || len(list) != 1 || list[0].Ended ||
		len(list[0].Found) > 0 || len(list[0].Unproven) != 1 || list[0].Unproven[0].PID != unseen {
		t.Errorf("in JSON: %+v, %v", list, err)
	}
	p.ends(exitSurvivors)
	p = begin(t, "foster", "run", "--id", "web", "--", "sh", "-c", "echo started")
	p.err.next(`^foster: left by an earlier foster: ` + may[1:])
	p.err.next(`^hint: foster recover `)
	p.ends(exitFoster)
	if said := p.out.rest(); len(said) > 0 {
		t.Errorf("a second tree of that name said %q", said)
	}
	if !isAlive(unseen) {
		t.Error("it was ended without a proof")
	}
	// Somebody has looked, and drops the tree.
	p = begin(t, "foster", "recover", "--forget", "web")
	p.out.next(may + ": forgotten$")
	p.ends(0)
	if said := output(t, "foster", "recover"); len(said) != 1 || said[0] != "nothing was left" {
		t.Errorf("then recover says %q", said)
	}
	if !isAlive(unseen) {
		t.Error("it was ended by --forget")
	}
	kill(t, unseen)
	leaktest.ReapOrphans(t)
}

func TestBothKilledWhatWasEndedByHandIsForgotten(t *testing.T) {
	leaktest.Check(t)
	unseen := bothKilledUnseen(t, "web")
	p := begin(t, "foster", "recover")
	p.out.next(": may be left: ")
	p.ends(exitSurvivors)
	kill(t, unseen)
	leaktest.ReapOrphans(t)
	if said := output(t, "foster", "recover"); len(said) != 1 || !strings.HasSuffix(said[0], ", in a group): nothing was left of it") {
		t.Errorf("recover says %q", said)
	}
	output(t, "foster", "run", "--id", "web", "--", "true") // the name is free
	forgotten(t)
}

func TestForgetLeavesLivingTreesAlone(t *testing.T) {
	leaktest.Check(t)
	output(t, "foster", "run", "--id", "web", "-d", "--", "sleep", "1000")
	p := begin(t, "foster", "recover", "--forget", "web")
	p.err.next(`^foster: tree "web" lives: `)
	p.ends(exitRefused)
	p = begin(t, "foster", "recover", "--forget", "nobody")
	p.err.next(`^foster: there is no tree "nobody"$`)
	p.ends(exitRefused)
	for _, wrong := range [][]string{{"--list"}, {"-o", "json"}, {"--forget", ""}, {"--forget", "../x"}} {
		p = begin(t, "foster", append([]string{"recover", "--forget", "web"}, wrong...)...)
		p.ends(exitUsage)
	}
	if state := inspected(t, "web").State; state != "running" {
		t.Errorf("it is %s", state)
	}
	output(t, "foster", "stop", "web")
	forgotten(t)
}

// TestBothKilledIsRecoveredInAnotherTimeNamespace: there, /proc shows other start times.
func TestBothKilledIsRecoveredInAnotherTimeNamespace(t *testing.T) {
	hosttest.NeedRoot(t)
	away := []string{"-T", "--boottime", "86400", "foster"}
	leaktest.Need(t, "time namespaces", exec.Command("unshare", append(away, "version")...).Run())
	for _, contain := range []string{"group", "subreaper", "cgroup"} {
		t.Run(contain, func(t *testing.T) {
			leaktest.Need(t, "containment "+contain, canHave(foster.Containment(contain)))
			leaktest.Check(t)
			bothKilled(t, contain, "web")
			p := begin(t, "unshare", append(away, "recover")...)
			endsWhileReaping(t, p, 0)
			p.out.next(`^web \(sh -c .*\): ended: .*\(pid \d+\)`)
			leaktest.ReapOrphans(t)
			nothingIsLeft(t)
		})
	}
}

// TestAKilledContainerStartsAgain: foster is process 1 of it, and its folders outlive it.
func TestAKilledContainerStartsAgain(t *testing.T) {
	hosttest.NeedRoot(t)
	box := []string{"--pid", "--fork", "--mount-proc", "--kill-child"}
	leaktest.Need(t, "PID namespaces", exec.Command("unshare", append(box, "true")...).Run())
	leaktest.Check(t)
	file := filepath.Join(t.TempDir(), "foster.yaml")
	if err := os.WriteFile(file, []byte("name: box\napps: {web: {command: sleep 1000, containment: subreaper}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p := begin(t, "unshare", append(box, "foster", "up", "-f", file)...)
		p.err.next(`^foster: web: started `)
		p.signal(syscall.SIGKILL)
		p.ends(128 + 9)
		leaktest.ReapOrphans(t)
	}
	if said := output(t, "foster", "recover"); len(said) != 1 || said[0] != "nothing was left" {
		t.Errorf("recover says %q", said)
	}
	if err := os.RemoveAll(filepath.Join(os.Getenv("XDG_STATE_HOME"), "foster", "projects")); err != nil {
		t.Error(err)
	}
}
