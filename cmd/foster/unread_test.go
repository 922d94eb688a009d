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
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
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
