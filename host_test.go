package foster_test

import (
	"errors"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/procfs"
)

// The tests in this file are what a host may do beside foster.

func TestOtherUsersOfOSExecKeepTheirStatuses(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for i := range 10 {
					code := worker*10 + i
					err := exec.Command("sh", "-c", "exit "+strconv.Itoa(code)).Run()
					exit, _ := errors.AsType[*exec.ExitError](err)
					if code != 0 && (exit == nil || exit.ExitCode() != code) || code == 0 && err != nil {
						t.Errorf("os/exec: status %d became %v", code, err)
					}
				}
			})
			wg.Go(func() {
				for i := range 4 {
					cmd := foster.Command("sh", "-c", "exit "+strconv.Itoa(i))
					cmd.Containment = c
					err := cmd.Run()
					exit, _ := errors.AsType[*foster.ExitError](err)
					if i != 0 && (exit == nil || exit.Leader.ExitCode() != i) || i == 0 && err != nil {
						t.Errorf("foster: status %d became %v", i, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestAHostThatWaitsForAllItsChildrenTakesNothing(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		name, argv := role("greedy", string(c))
		out, err := exec.Command(name, argv...).CombinedOutput()
		if err != nil || string(out) != "greedy 20\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
}

func TestNoThreadOfTheHostHoldsTheTree(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		var tree *foster.Tree
		started := make(chan struct{})
		out := newLines(t)
		go func() {
			defer close(started)
			// A goroutine that ends while it is locked to its thread ends the thread.
			lockThread()
			cmd := roleCommand("block")
			cmd.Containment, cmd.Stdout = c, out.w
			tree, _ = cmd.Start() // nil is told below
		}()
		<-started
		out.started()
		if tree == nil {
			t.Fatal("not started")
		}
		out.pid("block") // which, in a PID namespace, is not the pid here
		if s, err := procfs.Read(tree.Leader()); err != nil || s.Ended() {
			t.Errorf("%+v, %v: it ended with a thread of its host", s, err)
		}
		if exit := stop(t, tree); exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("ended by %v, want SIGTERM: it ended with a thread of its host", exit.Leader)
		}
	})
}
