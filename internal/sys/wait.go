package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Wait is what a wait call told of one child.
type Wait struct {
	PID    int // 0: no child has anything to tell
	Status syscall.WaitStatus
	Usage  syscall.Rusage
}

// WaitAny takes what any child of this process has to tell, without waiting:
// its end, or that it was stopped or continued. It returns ECHILD when there is
// no child at all, which in a subreaper is the proof that its tree is empty.
// Only a process that forks nothing else may call it.
func WaitAny() (Wait, error) { return wait4(-1, unix.WNOHANG|waitAll) }

// WaitPid takes what one child has to tell, without waiting.
func WaitPid(pid int) (Wait, error) { return wait4(pid, unix.WNOHANG|waitAll) }

func wait4(pid, options int) (Wait, error) {
	var w Wait
	err := retry(func() (err error) {
		w.PID, err = syscall.Wait4(pid, &w.Status, options, &w.Usage)
		return err
	})
	return w, err
}

// Reap waits for the end of a process that [StartProcess] started, and gives its exit status;
// -1 where a signal has ended it, or another has waited for it.
func Reap(p *os.Process) int {
	state, err := p.Wait()
	if err != nil {
		return -1
	}
	return state.ExitCode()
}

// WaitEnd waits for the end of a child and reaps it.
func WaitEnd(pid int) {
	_ = retry(func() error { _, err := syscall.Wait4(pid, nil, 0, nil); return err }) // no child: reaped
}
