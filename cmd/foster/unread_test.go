package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
)

// fullPipe is a pipe that is full, and that nobody reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	_ = w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // a pipe has one
	for piece := make([]byte, 4096); ; {
		if _, err := w.Write(piece); err != nil {
			break
		}
	}
	return w
}

// Ctrl-S, and foster up | less, hold up what is shown, and nothing else.
func TestUpIsStoppedAlthoughNobodyReadsItsOutput(t *testing.T) {
	leaktest.Check(t)
	path := inProject(t, `
name: unread
apps:
  loud: {command: [sh, -c, 'trap "exit 0" TERM; while :; do echo and so on; done']}
  deaf: {command: [sh, -c, 'trap "" TERM; sleep 1000 & wait; sleep 1000'], stop: {timeout: 1h}}
`)
	for name, signals := range map[string]int{"stopped": 1, "killed": 2} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("foster", "up", "-f", path)
			full := fullPipe(t)
			cmd.Stdout, cmd.Stderr = full, full
			if signals == 1 {
				cmd.Args = append(cmd.Args, "loud")
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for begin := time.Now(); exec.Command("foster", "is-ready", "-q", "-f", path, "loud").Run() != nil; { // polls
				if time.Since(begin) > patience {
					t.Fatal("it doesn't come up")
				}
			}
			stuck := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
			defer stuck.Stop()
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if signals == 2 {
				for exec.Command("foster", "is-ready", "-q", "-f", path, "loud").Run() == nil { // polls: it has been heeded
				}
				for range 2 { // without delay, and then by SIGKILL
					<-time.After(2 * echo) // what comes sooner is no further word
					if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			leaktest.ReapOrphans(t)
			nothingIsLeft(t)
		})
	}
}

// leaving is a start script that exits with 6 once it is told to, and whose application
// goes on, and tells of SIGUSR1.
const leaving = `exec 2>/dev/null
trap '' TERM; trap : USR1; trap 'echo leaves; exit 6' USR2
(trap '' USR2; trap 'echo asked' USR1; echo runs; while :; do sleep 1000 & wait $!; kill $!; done) &
while :; do sleep 1000 & wait $!; kill $!; done`

// Of whatever foster has to say, the application and its end don't depend.
func TestRunGoesOnWithoutReaders(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *os.File{
		"nobody can read": func(t *testing.T) *os.File {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			t.Cleanup(func() { w.Close() })
			return w
		},
		"nobody reads": fullPipe,
		"disk full": func(t *testing.T) *os.File {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			leaktest.Need(t, "/dev/full", err)
			t.Cleanup(func() { full.Close() })
			return full
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			p := prepare(t, "foster", "run", "--stop-timeout", "100ms", "--report", "json", "--", "sh", "-c", leaving)
			p.cmd.Stderr.(*os.File).Close()
			p.cmd.Stderr = open(t)
			p.begins()
			stuck := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
			defer stuck.Stop()
			p.out.next(`^runs$`)
			p.signal(syscall.SIGPIPE) // isn't forwarded
			p.signal(syscall.SIGUSR2)
			p.out.next(`^leaves$`)
			for range 3 { // by then foster has told that it lives on
				p.signal(syscall.SIGUSR1)
				p.out.next(`^asked$`)
			}
			p.signal(syscall.SIGTERM)
			p.ends(6)
			nothingIsLeft(t)
		})
	}
}
