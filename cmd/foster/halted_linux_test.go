package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// traced has all threads of a process stopped by this one, as a debugger does, until it is
// let go.
func traced(t *testing.T, pid int) (letGo func()) {
	t.Helper()
	attached, release, released := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(released)
		runtime.LockOSThread() // this thread is the tracer
		defer runtime.UnlockOSThread()
		threads := map[int]bool{}
		attached <- traceAll(pid, threads)
		<-release
		for tid := range threads {
			_ = syscall.PtraceDetach(tid) // it may have been killed
		}
	}()
	letGo = func() {
		select {
		case <-release:
		default:
			close(release)
		}
		<-released
	}
	err := <-attached
	t.Cleanup(letGo)
	if err != nil {
		t.Fatalf("trace %d: %v", pid, err)
	}
	return letGo
}

// traceAll attaches to each thread of a process, also to those that begin meanwhile.
func traceAll(pid int, threads map[int]bool) error {
	for more := true; more; {
		more = false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || threads[tid] {
				continue
			}
			if err := syscall.PtraceAttach(tid); err != nil {
				return err
			}
			if _, err := syscall.Wait4(tid, nil, syscall.WALL, nil); err != nil {
				return err
			}
			threads[tid], more = true, true
		}
	}
	return nil
}

// Whoever asks for a tree whose foster is stopped is told which process that is, and how to
// have it go on. The exit status of a tree that has ended is known all the same.
func TestStoppedOwnerIsNamed(t *testing.T) {
	leaktest.Check(t)
	const id = "detached"
	for how, stop := range map[string]func(*testing.T, int) func(){"by SIGSTOP": stopped, "by a debugger": traced} {
		t.Run(how, func(t *testing.T) {
			output(t, "foster", "run", "-d", "--id", id, "--", "sh", "-c", "echo up; exec sleep 1000")
			tree := inspected(t, id)
			goOn := stop(t, tree.Owner.PID)
			begin(t, "foster", "stop", id).ends(0) // its shim does that

			is, remedy := "is stopped", fmt.Sprintf("kill -CONT %d resumes it", tree.Owner.PID)
			if how == "by a debugger" {
				is, remedy = `is stopped by a debugger \(pid \d+\)`, "continue it in the debugger, or detach that"
			}
			says := fmt.Sprintf(`tree "%s" has ended, but its foster \(pid %d\) %s: `, id, tree.Owner.PID, is)
			asked := map[*process]int{}
			for c, status := range map[string]int{"wait": 128 + int(syscall.SIGTERM), "attach": exitFoster, "stop": exitRefused, "signal HUP": exitRefused} {
				words := strings.Fields(c)
				asked[begin(t, "foster", append([]string{words[0], id}, words[1:]...)...)] = status
			}
			for p, status := range asked {
				p.err.next("^foster: " + says)
				p.err.next("^hint: " + remedy + "$")
				p.ends(status)
			}
			again := begin(t, "foster", "run", "--id", id, "--", "true")
			again.err.next(`^foster: --id: "detached": a living tree has that name$`)
			again.err.next("^hint: " + says + ".*; " + remedy + "$")
			again.ends(exitFoster)
			if got := inspected(t, id).Problem; !strings.Contains(got, remedy) {
				t.Errorf("inspect says %q, want %q", got, remedy)
			}

			goOn()
			p := begin(t, "foster", "attach", id)
			p.out.next(`^up$`)
			p.ends(128 + int(syscall.SIGTERM))
		})
	}
	forgotten(t)
}

// If the shim was killed meanwhile, nobody can stop the tree until its foster is resumed.
func TestStoppedOwnerOfALostShimIsNamed(t *testing.T) {
	leaktest.Check(t)
	const id = "detached"
	output(t, "foster", "run", "-d", "--id", id, "--", "sleep", "1000")
	tree := inspected(t, id)
	goOn := stopped(t, tree.Owner.PID)
	if err := syscall.Kill(tree.Shim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"stop", "wait", "attach"} {
		p := begin(t, "foster", c, id)
		p.err.next(fmt.Sprintf(`^foster: tree "%s": its foster \(pid %d\) is stopped, and nobody else answers$`, id, tree.Owner.PID))
		p.err.next(fmt.Sprintf(`^hint: kill -CONT %d resumes it$`, tree.Owner.PID))
		p.ends(exitFoster)
	}
	goOn()
	p := begin(t, "foster", "wait", id)
	p.err.rest()
	p.ends(exitFoster) // nobody saw how it ended
	leaktest.ReapOrphans(t)
	forgotten(t)
}

// Whoever waits for an application whose shim is stopped is told so, and how to resume it;
// then what was asked for is done.
func TestStoppedShimOfAnApplicationIsNamed(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, "name: halted\napps: {a: {command: [sleep, '1000'], containment: subreaper}, b: {command: [sleep, '1000']}}")
	output(t, "foster", "up", "-d", "-f", path)
	shim := inspected(t, "halted.a.1").Shim
	says := func(p *process) {
		t.Helper()
		p.err.next(fmt.Sprintf(`^foster: waiting for a: its shim \(pid %d\) is stopped$`, shim))
		p.err.next(fmt.Sprintf(`^hint: kill -CONT %d resumes it$`, shim))
	}
	ask := func(command string) *process {
		words := strings.Fields(command)
		return begin(t, "foster", append([]string{words[0], "-f", path}, words[1:]...)...)
	}
	goOn := stopped(t, shim)
	waits := ask("wait --for stopped a")
	says(waits)
	p := ask("signal a USR1")
	p.err.next(fmt.Sprintf(`^foster: a: SIGUSR1: .*it \(pid %d\) is stopped; kill -CONT %[1]d resumes it$`, shim))
	p.err.rest()
	p.ends(exitRefused)
	p = ask("status")
	p.out.next(fmt.Sprintf(`^a +running .*its shim \(pid %d\) is stopped: kill -CONT %[1]d resumes it$`, shim))
	p.out.next(`^b +running [^:]*$`)
	p.ends(0)
	stops := ask("stop a")
	says(stops)
	p = ask("events --follow")
	p.out.next(fmt.Sprintf(`a\.1 +problem: +the stop waits: its shim \(pid %d\) is stopped; kill -CONT %[1]d resumes it$`, shim))
	p.cmd.Process.Kill()
	p.out.rest()
	_ = p.cmd.Wait()
	goOn()
	stops.ends(0)
	waits.ends(0)

	ask("start a").ends(0)
	shim = inspected(t, "halted.a.1").Shim
	goOn = stopped(t, shim)
	restarts := ask("restart a")
	says(restarts)
	down := ask("down")
	says(down)
	goOn()
	down.ends(0)
	restarts.err.rest()
	restarts.ends(exitRefused) // all is being stopped
	leaktest.ReapOrphans(t)
}

// A foster run and a foster up in the foreground say what their stop waits for.
func TestStopSaysThatItsShimIsStopped(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, "name: halted\napps: {a: {command: [sleep, '1000'], containment: subreaper}}")
	for _, id := range []string{"one", "halted.a.1"} {
		command := "run --id one -- sleep 1000"
		if id != "one" {
			command = "up -f " + path
		}
		p := begin(t, "foster", strings.Fields(command)...)
		var shim int
		leaktest.Eventually(t, "the tree runs", func() bool {
			shim = shimOf(id)
			return shim != 0
		})
		goOn := stopped(t, shim)
		if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.err.next(fmt.Sprintf(`^foster: (a: )?the stop waits: its shim \(pid %d\) is stopped; kill -CONT %[1]d resumes it$`, shim))
		goOn()
		p.err.rest()
		if id != "one" {
			p.ends(0)
			continue
		}
		p.ends(128 + int(syscall.SIGTERM))
		if err := foster.Forget(id); err != nil { // its status is kept
			t.Error(err)
		}
	}
	leaktest.ReapOrphans(t)
}

// shimOf is the shim of a tree that runs; 0: there is none yet.
func shimOf(id string) int {
	found, err := find(id)
	if err != nil || found.Life == nil {
		return 0
	}
	return found.Entry.Shim.PID
}
