package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/procfs"
)

// A shim that is itself stopped, by SIGSTOP say, starts and stops nothing until it is resumed,
// and a supervisor that was asked for that waits. So does the command, and says so.

const (
	firstLook = 2 * time.Second  // at what is waited for
	mostRare  = 15 * time.Second // between two looks
)

// tellWaits looks at the shims of applications while something is waited for, until the end
// that it returns: those that are meant, and those that are being started or stopped.
func tellWaits(ctx context.Context, c *client.Client, stderr io.Writer, meant ...client.Target) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		told := map[int]bool{}
		for pause := firstLook; ; pause = min(2*pause, mostRare) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			status, err := c.Status(ctx)
			if err != nil {
				continue // the command meets it, too
			}
			now := map[int]bool{}
			for pid, names := range stoppedShims(status, meant) {
				if now[pid] = true; !told[pid] {
					tellWait(stderr, pid, names)
				}
			}
			told = now
		}
	}()
	return func() { cancel(); <-ended }
}

// namedTargets are those that names mean, whether they are there or not; none: all.
func namedTargets(names []string) (list []client.Target) {
	for _, name := range names {
		list = append(list, aimAt(name, nil))
	}
	if len(list) == 0 {
		return everything
	}
	return list
}

// stoppedShims are the shims that are stopped, with the names of those that they hold up.
func stoppedShims(status client.Status, meant []client.Target) map[int][]string {
	held := map[int][]string{}
	for _, a := range status.Apps {
		for _, i := range a.Instances {
			changes := i.State == client.Starting || i.State == client.Stopping
			if i.ShimStopped != 0 && (changes || slices.ContainsFunc(meant, func(t client.Target) bool {
				return t.All || t.App == i.App && (t.Replica == 0 || t.Replica == i.Replica)
			})) {
				held[i.ShimStopped] = append(held[i.ShimStopped], instanceName(a, i))
			}
		}
	}
	return held
}

func tellWait(stderr io.Writer, pid int, names []string) {
	how, remedy := shimHalt(pid)
	fmt.Fprintf(stderr, "foster: waiting for %s: %s (pid %d) is %s\nhint: %s\n",
		printable(listed(names)), plural(len(names), "its shim", "their shim"), pid, how, remedy)
}

// shimHalt says how a shim that is stopped is so, and what resumes it.
func shimHalt(pid int) (how, remedy string) {
	h := procfs.HaltOf(pid)
	if !h.Stopped() { // resumed since, or of another PID namespace
		h = procfs.Halt{PID: pid, State: 'T'}
	}
	return h.String(), h.Remedy()
}

// shimNote is what the table of foster status says of such an instance.
func shimNote(i client.Instance) string {
	if i.ShimStopped == 0 {
		return ""
	}
	how, remedy := shimHalt(i.ShimStopped)
	return fmt.Sprintf("its shim (pid %d) is %s: %s", i.ShimStopped, how, remedy)
}
