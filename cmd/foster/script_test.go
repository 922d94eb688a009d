package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script run the real command. Beside testscript's own
// commands they have those of scriptCommands, and the conditions of
// scriptCondition.
func TestScripts(t *testing.T) {
	leaktest.Check(t)
	t.Cleanup(func() {
		if !t.Failed() {
			leaktest.ReapOrphans(t) // what ran in the background fell to the test
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                scriptCommands,
		Condition:           scriptCondition,
		Setup:               func(e *testscript.Env) error { return openScripts(t, e) },
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// openScripts makes a test's own scripts executable, for any user, hands on how the
// race detector is set, and gives it a journal of its own, in which no tree may be left.
func openScripts(t *testing.T, e *testscript.Env) error {
	e.Setenv("GORACE", os.Getenv("GORACE"))
	var err error
	for name, folder := range map[string]string{"XDG_STATE_HOME": ".state", "XDG_RUNTIME_DIR": ".run"} {
		folder = filepath.Join(e.WorkDir, folder)
		e.Setenv(name, folder)
		err = errors.Join(err, os.Mkdir(folder, 0o700))
	}
	e.Defer(func() { nothingIsRegistered(t, e.WorkDir) })
	e.Defer(func() { endProjects(e) })
	scripts, gerr := filepath.Glob(filepath.Join(e.WorkDir, "*.sh"))
	err = errors.Join(err, gerr)
	for _, s := range scripts {
		err = errors.Join(err, os.Chmod(s, 0o755))
	}
	return errors.Join(err, os.Chmod(filepath.Dir(e.WorkDir), 0o755), os.Chmod(e.WorkDir, 0o777))
}

// endProjects ends the supervisors that a script which has failed has left. One that has
// not has left none.
func endProjects(e *testscript.Env) {
	sockets, _ := filepath.Glob(filepath.Join(e.WorkDir, ".run", "foster", "projects", "*.sock")) // the pattern is valid
	for _, path := range sockets {
		down := exec.Command("foster", "down", "--project", strings.TrimSuffix(filepath.Base(path), ".sock"))
		down.Env, down.Dir = e.Vars, e.WorkDir
		_ = down.Run() // what it has left is told below
	}
}

// nothingIsRegistered proves that no tree of a script lives or was lost. Who was told of
// the end of a tree may be faster than the shim is gone.
func nothingIsRegistered(t *testing.T, work string) {
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) { // polls
		found, problems, err := journal.Scan(filepath.Join(work, ".state", "foster"))
		sockets, _ := filepath.Glob(filepath.Join(work, ".run", "foster", "*")) // the patterns are valid
		sockets = slices.DeleteFunc(sockets, func(path string) bool { return filepath.Base(path) == "projects" })
		projects, _ := filepath.Glob(filepath.Join(work, ".run", "foster", "projects", "*"))
		sockets = append(sockets, projects...)
		living := func(f journal.Found) bool { return f.State == journal.Living || f.State == journal.Lost }
		if err == nil && len(problems) == 0 && len(sockets) == 0 && !slices.ContainsFunc(found, living) {
			return
		}
		if time.Now().After(until) {
			t.Errorf("%s has left %q, %v, %v, %v", filepath.Base(work), sockets, found, problems, err)
			return
		}
	}
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"status":  scriptStatus,
	"refuse":  scriptRefuse,
	"report":  scriptReport,
	"answer":  scriptAnswer,
	"gone":    scriptGone,
	"locked":  scriptLocked,
	"sigterm": scriptTerminate,
}

// scriptStatus is "status N program arg…": it runs a program to the end and wants
// that exit status.
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program arg…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = shellStatus(exit.ProcessState)
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// refusal is how foster tells of an error: one line, and maybe another on what to
// do about it.
var refusal = regexp.MustCompile(`\Afoster: (.+)\n(hint: .+\n)?\z`)

// scriptRefuse is "refuse N regexp program arg…": it wants that exit status, and an
// error in foster's form that matches. A program that touches the file "started"
// must not have been started.
func scriptRefuse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: refuse N regexp program arg…")
	}
	scriptStatus(ts, false, append([]string{args[0]}, args[2:]...))
	said := ts.ReadFile("stderr")
	if !refusal.MatchString(said) || !regexp.MustCompile(args[1]).MatchString(said) {
		ts.Fatalf("want one line that begins with foster:, perhaps one with a hint, and %q in\n%s", args[1], said)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("standard output isn't for errors: %s", out)
	}
	if _, err := os.Stat(ts.MkAbs("started")); err == nil {
		ts.Fatalf("the command was started")
	}
}

// scriptReport is "report path [value]": it looks a value up in the JSON report
// that was the last thing on standard error. With ! there must be none.
func scriptReport(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg != (len(args) == 1) {
		ts.Fatalf("usage: report path value, or ! report path")
	}
	said := strings.Split(strings.TrimSpace(ts.ReadFile("stderr")), "\n")
	lookUp(ts, said[len(said)-1], neg, args)
}

// scriptAnswer is "answer path [value]": like report, for the JSON that is all of
// standard output. A value between slashes is a regular expression.
func scriptAnswer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg != (len(args) == 1) {
		ts.Fatalf("usage: answer path value, or ! answer path")
	}
	lookUp(ts, ts.ReadFile("stdout"), neg, args)
}

// lookUp looks a value up in JSON.
func lookUp(ts *testscript.TestScript, text string, neg bool, args []string) {
	var value any
	ts.Check(json.Unmarshal([]byte(text), &value))
	for _, key := range strings.Split(args[0], ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			if key == "length" {
				value = len(v)
				continue
			}
			i, err := strconv.Atoi(key)
			ts.Check(err)
			value = nil
			if i < len(v) {
				value = v[i]
			}
		}
	}
	if neg {
		if value != nil {
			ts.Fatalf("%s is %v, and shouldn't be there", args[0], value)
		}
		return
	}
	pattern, found := strings.CutPrefix(args[1], "/")
	switch got := fmt.Sprint(value); {
	case found && !regexp.MustCompile(strings.TrimSuffix(pattern, "/")).MatchString(got),
		!found && got != args[1]:
		ts.Fatalf("%s is %v, want %s", args[0], value, args[1])
	}
}

// scriptGone is "gone file": the process whose pid the file holds is no more, not
// even as a zombie.
func scriptGone(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	if err := syscall.Kill(pid, 0); neg != (err == nil) {
		ts.Fatalf("pid %d: %v", pid, err)
	}
}

// scriptLocked is "locked file": another has the lock of the file.
func scriptLocked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: locked file")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	got, err := sys.TryLock(f, false)
	ts.Check(err)
	if got {
		ts.Fatalf("%s isn't locked", args[0])
	}
}

// scriptTerminate is "sigterm": it sends SIGTERM, which testscript's kill doesn't
// know, to what was started last in the background.
func scriptTerminate(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.BackgroundCmds()
	if neg || len(args) > 0 || len(running) == 0 {
		ts.Fatalf("usage: sigterm, after exec … &")
	}
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGTERM))
}

// scriptCondition says whether something can be had here: root, limits, a containment,
// or a program, as has:curl.
// Where FOSTER_TEST_NO_SKIP is set, as in CI, it must.
func scriptCondition(what string) (bool, error) {
	var lack error
	switch what {
	case "root":
		lack = needRoot()
	case "limits": // also root need not have controllers
		cmd := foster.Command("true")
		cmd.Limits = foster.Limits{Memory: 64 << 20, CPU: 1, PIDs: 100}
		lack = cmd.Run()
	default:
		if program, ok := strings.CutPrefix(what, "has:"); ok {
			_, lack = exec.LookPath(program)
		} else {
			lack = canHave(foster.Containment(what))
		}
	}
	if lack != nil && hosttest.NoSkip() {
		return false, lack
	}
	return lack == nil, nil
}
