package foster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// A command of os/exec says by Cancel and WaitDelay how it is ended. Here that is:
//
//   - When the context is done, Cancel is called; that of exec.CommandContext sends SIGKILL,
//     here to the whole tree. WaitDelay later, what is left gets SIGKILL. Without a WaitDelay
//     nothing more is done, until the leader has ended: then the rest is stopped by Cmd.Stop.
//   - When the leader has ended, others may live on for WaitDelay. Then they are stopped by
//     Cmd.Stop, and the error is exec.ErrWaitDelay.
//
// takeover is what a command of os/exec brings along of this.
type takeover struct {
	cmd    *exec.Cmd
	ctx    context.Context // that of exec.CommandContext; nil: none
	cancel func() error    // nil: nothing is done when the context is done
	kills  bool            // cancel is that of exec.CommandContext
	delay  time.Duration
	plan   StopPlan // Cmd.Stop as From has set it
}

// newTakeover looks at a command that wasn't started.
func newTakeover(cmd *exec.Cmd) *takeover {
	t := &takeover{cmd: cmd, cancel: cmd.Cancel, delay: cmd.WaitDelay, plan: StopPlan{Timeout: max(cmd.WaitDelay, 0)}}
	t.kills = cmd.Cancel != nil && reflect.ValueOf(cmd.Cancel).Pointer() == defaultCancel
	t.ctx, _ = sys.Field[context.Context](cmd, "ctx")
	return t
}

// defaultCancel is the code of the Cancel that exec.CommandContext sets.
var defaultCancel = reflect.ValueOf(exec.CommandContext(context.Background(), "/").Cancel).Pointer()

// valid says why the command can't be taken over.
func (t *takeover) valid() error {
	switch {
	case t.cmd.Process != nil:
		return errors.New("the exec.Cmd was started already")
	case t.delay < 0 || t.delay > longestTime:
		return fmt.Errorf("WaitDelay is between 0 and %v: got %v", longestTime, t.delay)
	case t.cancel != nil && !t.kills && !callsCancel:
		return fmt.Errorf("the exec.Cmd has a Cancel of its own: %w: give the context to foster.From, and set Cmd.Stop", errors.ErrUnsupported)
	}
	return nil
}

// ends says whether the command says by itself what is done when the context is done,
// and no other plan was set since.
func (t *takeover) ends(plan StopPlan) bool {
	return t != nil && (t.ctx != nil || t.cancel != nil) && (t.cancel != nil && !t.kills || reflect.DeepEqual(plan, t.plan))
}

// done is closed when the command's own context is done.
func (t *takeover) done() <-chan struct{} {
	if t == nil || t.ctx == nil {
		return nil
	}
	return t.ctx.Done()
}

// handLeader gives Cancel a handle on the leader, as os/exec does: it is proven to be the
// leader's, or is one of a process that has ended.
func (t *takeover) handLeader(pid int, start uint64) {
	if t.cancel == nil || t.kills {
		return
	}
	if pid > 0 {
		if p, ok := sys.OpenProcess(pid); ok {
			if now, err := procfs.Read(pid); err == nil && start != 0 && now.Start == start {
				t.cmd.Process = p
				return
			}
			_ = p.Release() // it was another's
		}
	}
	t.cmd.Process = sys.DoneProcess(pid)
}

// canceled is for a context that is done.
func (o *owner) canceled(ctx context.Context) {
	o.doneContext = ctx
	t := o.cmd.taken
	switch {
	case o.over || o.stopping:
	case !t.ends(o.cmd.Stop):
		o.stop(CauseCanceled, nil)
	case t.kills:
		plan, _ := KillAtOnce().plan() // it is valid
		o.stop(CauseCanceled, &plan)
	case t.cancel == nil:
		o.afterCancel()
	case o.exit.LeaderLost:
		o.stop(CauseCanceled, nil) // os/exec has nobody to cancel any more
	default:
		o.canceling = make(chan error, 1)
		go func() { o.canceling <- t.cancel() }()
	}
}

// cancelReturned takes what Cancel says.
func (o *owner) cancelReturned(err error) {
	o.canceling = nil
	switch {
	case errors.Is(err, os.ErrProcessDone):
	case err != nil:
		o.failed = append(o.failed, fmt.Errorf("calling Cancel: %w", err))
	case !o.over:
		o.noteStop(CauseCanceled, time.Now())
	}
	o.afterCancel()
}

// afterCancel is how the rest is ended.
func (o *owner) afterCancel() {
	switch {
	case o.over:
	case o.exit.LeaderLost:
		o.stop(CauseCanceled, nil)
	case o.cmd.taken.delay > 0:
		o.killAfter = time.After(o.cmd.taken.delay)
	}
}

// leaderLeftOthers bounds how long others live on when the leader has ended.
func (o *owner) leaderLeftOthers() {
	t := o.cmd.taken
	switch {
	case t == nil || o.canceling != nil:
	case o.doneContext != nil && t.ends(o.cmd.Stop):
		o.stop(CauseCanceled, nil)
	case t.delay > 0 && !o.stopping:
		o.waitDelay = time.After(t.delay)
	}
}

// delayOver ends what has outlived WaitDelay.
func (o *owner) delayOver() {
	if o.over || o.stopping {
		return
	}
	o.failed = append(o.failed, exec.ErrWaitDelay)
	o.stop(CauseLeaderEnded, nil)
}
