package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

const suspendedYAML = `
name: tired
apps:
  a: {command: [sh, -c, 'echo line; exec sleep 1000']}
  seat: {command: [sh, -c, 'while echo here; do sleep 0.2; done'], terminal: true}
  deaf: {command: [sh, -c, 'trap "" TERM; echo deaf; sleep 1000; sleep 1000'], stop: {timeout: 1h}}
`

// suspend starts a project in the background, and has its supervisor stopped, when do has
// been done.
func suspend(t *testing.T, do func(path string)) (path string, pid int, resume func()) {
	t.Helper()
	path = inProject(t, suspendedYAML)
	output(t, "foster", "up", "-d", "-f", path)
	leaktest.Eventually(t, "each has written its line", func() bool {
		said := strings.Join(output(t, "foster", "logs", "--file", path), "\n")
		return strings.Contains(said, "line") && strings.Contains(said, "here") && strings.Contains(said, "deaf")
	})
	for _, line := range output(t, "foster", "status", "-o", "json", "-f", path) {
		_, _ = fmt.Sscanf(strings.TrimSpace(line), `"pid": %d,`, &pid) // the first is the supervisor's
		if pid != 0 {
			break
		}
	}
	do(path)
	resume = stopped(t, pid)
	t.Cleanup(func() {
		if t.Failed() {
			resume()
		}
	})
	return path, pid, resume
}

func resumedAndDown(t *testing.T, path string, resume func()) {
	t.Helper()
	resume()
	output(t, "foster", "stop", "-f", path, "--timeout", "0", "deaf")
	output(t, "foster", "down", "-f", path)
	leaktest.ReapOrphans(t)
}

// Whoever asks a supervisor that is suspended is told so, and how to resume it; what was
// asked for isn't done later.
func TestSuspendedSupervisorIsToldOf(t *testing.T) {
	leaktest.Check(t)
	path, pid, resume := suspend(t, func(string) {})
	var asked []*process
	for _, c := range []string{
		"status", "stop a", "stop tired.a.1", "restart a", "start a", "up -d", "up a", "down", "exec a true", "scale a=2", "wait a",
		"wait --for ready a", "wait --for stopped", "is-ready a", "signal a HUP", "extend a 10min", "attach seat", "update", "logs --follow", "events --follow",
	} {
		words := strings.Fields(c)
		args := append([]string{words[0], "--file", path}, words[1:]...)
		p := prepare(t, "foster", args...)
		p.begins()
		asked = append(asked, p)
	}
	for _, p := range asked {
		p.err.next(fmt.Sprintf(`^foster: foster up \(pid %d\) is stopped, as by Ctrl-Z or SIGSTOP, and answers nobody$`, pid))
		p.err.next(fmt.Sprintf(`^hint: kill -CONT %d resumes it`, pid))
		p.ends(exitFoster)
	}
	for command, want := range map[string]string{"logs": `line$`, "events": `a.1 +starting -> running: +started`, "history": `a.1 .* runs$`} {
		args := []string{command, "--file", path}
		if command == "history" {
			args = append(args, "a")
		}
		p := begin(t, "foster", args...)
		p.err.next(fmt.Sprintf(`^foster: foster up \(pid %d\) is stopped.*: this is what it has kept$`, pid))
		p.out.next(want)
		p.out.rest()
		p.ends(0)
	}
	resume()
	if got := strings.Join(output(t, "foster", "status", "-f", path), "\n"); strings.Count(got, "running") != 3 {
		t.Errorf("something was done afterwards:\n%s", got)
	}
	resumedAndDown(t, path, resume)
}

// Whoever waits for something when the supervisor is suspended is told so, too.
func TestSupervisorSuspendedWhileItIsAsked(t *testing.T) {
	leaktest.Check(t)
	var asked []*process
	path, pid, resume := suspend(t, func(path string) {
		for _, c := range []string{"wait a", "wait --for stopped", "logs --follow", "events --follow", "attach seat", "stop deaf", "status --watch"} {
			words := strings.Fields(c)
			asked = append(asked, begin(t, "foster", append([]string{words[0], "--file", path}, words[1:]...)...))
		}
		asked[2].out.next(`line$`)
		asked[3].out.next(`deaf.1 +running -> stopping`)
		asked[4].out.next(`here`)
	})
	for _, p := range asked {
		p.err.next(fmt.Sprintf(`^foster: foster up \(pid %d\) is stopped`, pid))
		p.ends(exitFoster)
	}
	resumedAndDown(t, path, resume)
}

// Ctrl-Z suspends foster up as any other program, and fg resumes it: nothing was lost.
func TestCtrlZSuspendsUpAndFgResumesIt(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, "name: paused\napps: {a: {command: [sh, -c, 'n=0; while sleep 0.1; do n=$((n+1)); echo tick $n; done']}}")
	p := sit(t, "sh", "-i")
	p.sees(`>> `)
	p.types("foster up -f " + path + "\r")
	p.sees(`tick 3\r\n`)
	p.types("\x1a")
	p.sees(`(?i)stopped`)
	leaktest.Eventually(t, "the application writes on", func() bool {
		return strings.Contains(strings.Join(output(t, "foster", "logs", "--file", path), "\n"), "tick 3")
	})
	p.types("fg\r")
	p.sees(`tick \d+\r\n`)
	p.types(ctrlC)
	p.sees(`nothing is left`)
	p.types("exit\r")
	p.leavesOthers()
}
