package foster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are what a user of os/exec expects of errors, of pipes and of
// what is known after a run.

var errBroken = errors.New("the line broke")

func TestAReaderThatFailsIsReported(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		for name, script := range map[string]string{"read": "cat", "unread": "exit 0", "failed": "cat; exit 4"} {
			cmd := foster.Command("sh", "-c", script)
			cmd.Containment = c
			cmd.Stdin = io.MultiReader(strings.NewReader("half of it\n"), iotest.ErrReader(errBroken))
			if name == "unread" {
				cmd.Stdin = iotest.ErrReader(errBroken) // of what was read before, nobody might have wanted the rest
			}
			out, err := cmd.Output()
			exit, ok := errors.AsType[*foster.ExitError](err)
			if !ok || !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "foster: ") || !strings.Contains(err.Error(), "Stdin: ") {
				t.Errorf("%s: got %v, want the reader's error", name, err)
			}
			if name != "unread" && string(out) != "half of it\n" {
				t.Errorf("%s: wrote %q", name, out)
			}
			if ok && (exit.ExitCode() == 4) != (name == "failed") {
				t.Errorf("%s: exit %v", name, exit.Leader)
			}
		}
	})
}

// A program need not read its input, and a reader may block for ever.
func TestInputThatNobodyReadsIsNoError(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("head", "-c", "1")
		cmd.Containment = c
		cmd.Stdin = bytes.NewReader(make([]byte, 1<<20))
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		r, w := io.Pipe()
		defer w.Close() // the goroutine ends by that
		cmd = foster.Command("true")
		cmd.Containment, cmd.Stdin = c, r
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
	})
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) - 1, nil }

func TestWritersThatFailAreReported(t *testing.T) {
	leaktest.Check(t)
	closed, w := io.Pipe()
	closed.Close()
	for want, to := range map[error]io.Writer{errFull: failingWriter{}, io.ErrShortWrite: shortWriter{}, io.ErrClosedPipe: w} {
		for field, set := range map[string]func(*foster.Cmd){
			"Stdout": func(c *foster.Cmd) { c.Stdout = to },
			"Stderr": func(c *foster.Cmd) { c.Stderr = to },
		} {
			cmd := foster.Command("sh", "-c", "echo x; echo y >&2")
			set(cmd)
			if err := cmd.Run(); !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "foster: "+field+": ") {
				t.Errorf("%s: got %v, want %v", field, err, want)
			}
		}
	}
}

func TestANulStartsNothing(t *testing.T) {
	leaktest.Check(t)
	made := filepath.Join(t.TempDir(), "made")
	for name, set := range map[string]func(*foster.Cmd){
		"Path":                          func(c *foster.Cmd) { c.Path += "\x00" },
		"Args[1]":                       func(c *foster.Cmd) { c.Args[1] += "\x00" },
		"Dir":                           func(c *foster.Cmd) { c.Dir = "/\x00x" },
		`Env[1], the variable "TOKEN"`:  func(c *foster.Cmd) { c.Env = []string{"A=1", "TOKEN=secret\x00b"} },
		`Env[0], the variable "A\x00B"`: func(c *foster.Cmd) { c.Env = []string{"A\x00B=1"} },
	} {
		cmd := foster.Command("touch", made)
		set(cmd)
		_, err := cmd.Start()
		start, ok := errors.AsType[*foster.StartError](err)
		if !ok || start.Stage != foster.StageConfig || !errors.Is(err, syscall.EINVAL) {
			t.Fatalf("%s: got %v", name, err)
		}
		if text := err.Error(); !strings.HasPrefix(text, "foster: "+name) || !strings.Contains(text, "NUL") || strings.Contains(text, "secret") {
			t.Errorf("%s: the error is %q", name, text)
		}
	}
	if _, err := os.Stat(made); err == nil {
		t.Error("it was started")
	}
}

func TestFilesThatCannotBeHandedOverAreNamed(t *testing.T) {
	leaktest.Check(t)
	closed, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for field, set := range map[string]func(*foster.Cmd, *os.File){
		"Stdin":         func(c *foster.Cmd, f *os.File) { c.Stdin = f },
		"Stdout":        func(c *foster.Cmd, f *os.File) { c.Stdout = f },
		"Stderr":        func(c *foster.Cmd, f *os.File) { c.Stderr = f },
		"ExtraFiles[1]": func(c *foster.Cmd, f *os.File) { c.ExtraFiles = []*os.File{os.Stderr, f} },
		"Keep":          func(c *foster.Cmd, f *os.File) { c.Keep = []*os.File{f} },
		"Terminal":      func(c *foster.Cmd, f *os.File) { c.Terminal = f },
	} {
		cmd := foster.Command("true")
		set(cmd, closed)
		if _, err := cmd.Start(); !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s closed: got %v", field, err)
		}
		if field == "ExtraFiles[1]" || field == "Terminal" {
			continue // nil has a meaning there
		}
		cmd = foster.Command("true")
		set(cmd, nil)
		if _, err := cmd.Start(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s nil: got %v", field, err)
		}
	}
}

func TestPipesAreAskedForOnceAndBeforeStart(t *testing.T) {
	leaktest.Check(t)
	pipes := map[string]func(*foster.Cmd) (io.Closer, error){
		"StdinPipe":  func(c *foster.Cmd) (io.Closer, error) { return c.StdinPipe() },
		"StdoutPipe": func(c *foster.Cmd) (io.Closer, error) { return c.StdoutPipe() },
		"StderrPipe": func(c *foster.Cmd) (io.Closer, error) { return c.StderrPipe() },
	}
	for name, pipe := range pipes {
		cmd := foster.Command("true")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if _, err := pipe(cmd); !errors.Is(err, foster.ErrStarted) || !strings.HasPrefix(err.Error(), "foster: "+name) {
			t.Errorf("%s after Start: %v", name, err)
		}
		cmd = foster.Command("true")
		p, err := pipe(cmd)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pipe(cmd); err == nil || !strings.HasPrefix(err.Error(), "foster: Std") {
			t.Errorf("%s twice: %v", name, err)
		}
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); (name == "StdinPipe") != errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: closed afterwards: %v", name, err)
		}
		cmd = foster.Command("true")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(""), io.Discard, io.Discard
		if _, err := pipe(cmd); err == nil {
			t.Errorf("%s where it is set: no error", name)
		}
	}
}

func TestSignalsThatDoNotExistAreNamed(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		for _, sig := range []syscall.Signal{-1, 65, 1000} {
			want := fmt.Sprintf("signal %d:", int(sig))
			err := tree.Signal(sig, foster.ScopeTree)
			if !errors.Is(err, syscall.EINVAL) || errors.Is(err, foster.ErrEnded) || !strings.Contains(err.Error(), want) {
				t.Errorf("Signal: %v", err)
			}
			for _, plan := range []foster.StopPlan{{Signal: sig}, {Steps: []foster.StopStep{{Signal: sig}}}} {
				if _, err := tree.StopWith(t.Context(), plan); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), want) {
					t.Errorf("StopWith: %v", err)
				}
				cmd := foster.Command("true")
				cmd.Stop = plan
				if _, err := cmd.Start(); !errors.Is(err, syscall.EINVAL) || !strings.HasPrefix(err.Error(), "foster: Stop: ") {
					t.Errorf("Start: %v", err)
				}
			}
			cmd := foster.Command("true")
			cmd.Lease = foster.Lease{Time: time.Hour, Warn: time.Minute, Signal: sig}
			if _, err := cmd.Start(); !errors.Is(err, syscall.EINVAL) || !strings.HasPrefix(err.Error(), "foster: Lease.Signal: ") {
				t.Errorf("a lease: %v", err)
			}
		}
		// Signal 0 asks whether somebody is there, as with kill(2).
		for _, scope := range []foster.Scope{foster.ScopeTree, foster.ScopeGroup, foster.ScopeLeader} {
			if err := tree.Signal(0, scope); err != nil {
				t.Errorf("signal 0 to %s: %v", scope, err)
			}
		}
		if exit := stop(t, tree); exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("ended by %v", exit.Leader)
		}
		if err := tree.Signal(0, foster.ScopeTree); !errors.Is(err, foster.ErrEnded) || !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestErrorsAreThoseOfOSExec(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		run := func(name string, args ...string) error {
			cmd := foster.Command(name, args...)
			cmd.Containment = c
			_, err := cmd.Output()
			return err
		}
		err := run("sh", "-c", "echo oh >&2; exit 3")
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 3 || !exit.Exited() || exit.Success() || string(exit.Stderr) != "oh\n" || exit.Error() != "exit status 3" {
			t.Errorf("exit 3: %v, %+v", err, exit)
		}
		if own, ok := errors.AsType[*foster.ExitError](err); !ok || own.ExitCode() != 3 || own.LeaderPID != exit.Pid() || own.LeaderUsage.User != exit.UserTime() {
			t.Errorf("exit 3: %+v", own)
		}
		err = run("sh", "-c", "kill -USR1 $$")
		if exit, ok = errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != -1 || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGUSR1 {
			t.Errorf("killed: %v, %+v", err, exit)
		}
		err = run("no-such-program-here")
		if lookup, ok := errors.AsType[*exec.Error](err); !ok || lookup.Name != "no-such-program-here" || !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("not found: %v", err)
		}
		err = run("/no/such/program")
		if path, ok := errors.AsType[*fs.PathError](err); !ok || path.Path != "/no/such/program" || !errors.Is(path, syscall.ENOENT) {
			t.Errorf("no such file: %v, %+v", err, path)
		}
		cmd := foster.Command("true")
		cmd.Containment, cmd.Dir = c, "/no/such/folder"
		err = cmd.Run()
		if path, ok := errors.AsType[*fs.PathError](err); !ok || path.Op != "chdir" || path.Path != "/no/such/folder" {
			t.Errorf("no such folder: %v, %+v", err, path)
		}
		if !strings.Contains(err.Error(), "/no/such/folder") {
			t.Errorf("the folder isn't named: %v", err)
		}
	})
}

func TestErrorsBeginWithTheNameOfTheLibrary(t *testing.T) {
	leaktest.Check(t)
	for _, err := range []error{
		foster.ErrEnded, foster.ErrTaken, foster.ErrStarted, foster.ErrShimLost, foster.ErrNotStarted,
		foster.Command("no-such-program-here").Run(),
		foster.Command("/no/such/program").Run(),
		(&foster.Cmd{}).Run(),
		(&foster.Cmd{Path: "/bin/true", Containment: "box"}).Run(),
		(&foster.Cmd{Path: "/bin/true", Dir: "/no/such/folder"}).Run(),
		&foster.SurvivorsError{},
		&foster.ExitError{Err: foster.ErrExpired},
		&foster.ExitError{Err: foster.ErrExpired, Exit: foster.Exit{Leader: foster.Status{Known: true, Code: 1}}},
	} {
		if n := strings.Count(err.Error(), "foster: "); n != 1 || !strings.HasPrefix(err.Error(), "foster: ") {
			t.Errorf("%q has the name %d times", err, n)
		}
	}
	if _, err := foster.Attach(t.Context(), "nobody-has-this-name"); err == nil || !strings.HasPrefix(err.Error(), "foster: attach to ") {
		t.Errorf("attach: %v", err)
	}
}

func TestOutputKeepsBothEndsOfStderr(t *testing.T) {
	leaktest.Check(t)
	for _, size := range []int{10, 64 << 10, 64<<10 + 1, 1 << 20} {
		script := fmt.Sprintf(`{ printf 'begin '; head -c %d /dev/zero; printf ' end'; } >&2; exit 1`, size-len("begin  end"))
		_, err := foster.Command("sh", "-c", script).Output()
		exit, ok := errors.AsType[*foster.ExitError](err)
		if !ok {
			t.Fatal(err)
		}
		want := size
		if left := size - 64<<10; left > 0 {
			note := fmt.Sprintf("\n... omitting %d bytes ...\n", left)
			want = 64<<10 + len(note)
			if bytes.Index(exit.Stderr, []byte(note)) != 32<<10 {
				t.Errorf("%d: it isn't said that %d bytes are left out", size, left)
			}
		}
		if len(exit.Stderr) != want || !bytes.HasPrefix(exit.Stderr, []byte("begin ")) || !bytes.HasSuffix(exit.Stderr, []byte(" end")) {
			t.Errorf("%d: got %d bytes, want %d", size, len(exit.Stderr), want)
		}
	}
}

func TestTheExitStaysOnTheCmd(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("sh", "-c", "exit 0")
		cmd.Containment = c
		if cmd.Exit != nil {
			t.Error("it has an exit before it was started")
		}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if e := cmd.Exit; e == nil || e.ExitCode() != 0 || e.LeaderPID == 0 && c != foster.PIDNS || !e.Counted || e.Usage.MaxRSS == 0 {
			t.Errorf("exit %+v", e)
		}
		cmd = foster.Command("sh", "-c", "exit 5")
		cmd.Containment = c
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Wait(); err == nil || cmd.Exit.ExitCode() != 5 {
			t.Errorf("%v, exit %+v", err, cmd.Exit)
		}
	})
}

func TestAZeroTreeReturnsErrors(t *testing.T) {
	leaktest.Check(t)
	var tree foster.Tree
	_, errWait := tree.Wait()
	_, errStop := tree.Stop(t.Context())
	_, errStopWith := tree.StopWith(t.Context(), foster.KillAtOnce())
	_, errMembers := tree.Members()
	_, _, errLease := tree.Lease()
	_, _, errReaped := tree.Reaped()
	for name, err := range map[string]error{
		"Wait": errWait, "Stop": errStop, "StopWith": errStopWith, "Members": errMembers, "Lease": errLease, "Reaped": errReaped,
		"Signal": tree.Signal(syscall.SIGTERM, foster.ScopeTree), "Extend": tree.Extend(time.Hour), "Release": tree.Release(),
	} {
		if !errors.Is(err, foster.ErrNotStarted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	<-tree.Done()
	tree.ConfirmEnd()
	if events := slices.Collect(tree.Events(context.Background())); len(events) > 0 {
		t.Errorf("events %v", events)
	}
	if out, errs := tree.Pipes(); out != nil || errs != nil || tree.Kept() != nil {
		t.Error("it has files")
	}
}
