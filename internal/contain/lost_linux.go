package contain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// giveUpDefault bounds a plan that doesn't say when to give up.
const giveUpDefault = 10 * time.Second

func findLost(l Lost) (left []procfs.Stat, unproven []Unproven, err error) {
	r, err := newRemains(l)
	if err != nil {
		return nil, nil, err
	}
	defer r.close()
	if err := r.scan(nil); err != nil {
		return r.living(), nil, err
	}
	unproven, err = r.unproven()
	return r.living(), unproven, err
}

func emptyLost(ctx context.Context, l Lost, plan wire.Plan) (Emptied, error) {
	return endLost(ctx, l, plan)
}

func endLost(ctx context.Context, l Lost, plan wire.Plan) (came Emptied, err error) {
	r, err := newRemains(l)
	if err != nil {
		return came, err
	}
	defer r.close()
	e, err := newEnding(ctx, r)
	if err != nil {
		return came, err
	}
	defer e.close()
	err = e.run(plan)
	came.Left = r.living()
	if len(came.Left) == 0 && err == nil {
		err = errors.Join(r.removeCgroup(), r.removeGroups())
	}
	if err == nil && !l.InCgroup && l.Adopted == nil { // else the kernel tells who is of it
		came.Unproven, err = r.unproven()
	}
	came.Ended = r.ended()
	for _, s := range came.Ended {
		if e.killed[s.Identity()] {
			came.Killed = append(came.Killed, s)
		}
	}
	return came, err
}

// ending is an End under way.
type ending struct {
	*remains
	ctx        context.Context
	done, open *os.File // done is at its end when the context is done
	detach     func() bool
	denied     map[procfs.Identity]bool // may not be signalled by this process
	killed     map[procfs.Identity]bool // SIGKILL was sent to them
}

func newEnding(ctx context.Context, r *remains) (*ending, error) {
	done, open, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	detach := context.AfterFunc(ctx, func() { open.Close() })
	return &ending{r, ctx, done, open, detach, map[procfs.Identity]bool{}, map[procfs.Identity]bool{}}, nil
}

func (e *ending) close() {
	e.detach()
	e.open.Close()
	e.done.Close()
}

func (e *ending) run(plan wire.Plan) error {
	for i, step := range plan.Steps {
		sent := map[procfs.Identity]bool{}
		if had := e.lost.Signalled; i == 0 && had.PID > 0 {
			sent[procfs.Identity{PID: had.PID, Start: had.Start}] = true
		}
		if err := e.step(step, sent); err != nil {
			return err
		}
	}
	bound := plan.GiveUp
	if bound <= 0 {
		bound = giveUpDefault
	}
	return e.kill(time.Now().Add(bound))
}

// step sends the signal of a step, where it has one, once to each that is left but those that
// it was sent to, those included that are found only meanwhile, and waits until all have ended or its time is over. Before
// that, all are stopped for a moment: who is forked between the look and the signal
// could lose, by the signal, the parent by which it would be found.
func (e *ending) step(step wire.Step, sent map[procfs.Identity]bool) error {
	over := time.Now().Add(step.Wait)
	if err := e.stopAll(); err != nil {
		return err
	}
	e.goOn(sent)
	for {
		e.send(step.Signal, sent)
		if empty, err := e.empty(); empty || err != nil {
			return err
		}
		if more, err := e.wait(over, nil); !more || err != nil {
			return err
		}
		if err := e.scan(nil); err != nil {
			return err
		}
	}
}

// send sends a signal to those that weren't tried yet, and continues those of them that are
// stopped: they would act on it only then. It returns how many it tried.
func (e *ending) send(sig syscall.Signal, tried map[procfs.Identity]bool) int {
	fresh := map[procfs.Identity]bool{}
	now := signal(e.found, sig, func(s procfs.Stat) bool {
		id := s.Identity()
		if tried[id] {
			return false
		}
		tried[id], fresh[id] = true, true
		return true
	})
	for _, s := range now.Denied {
		e.denied[s.Identity()] = true
	}
	if sig == syscall.SIGKILL {
		e.noteKilled(now.Reached)
	}
	switch sig {
	case syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGKILL:
	default:
		signal(e.found, syscall.SIGCONT, func(s procfs.Stat) bool { return fresh[s.Identity()] }) // of several threads, some may not have stopped yet
	}
	return len(fresh)
}

// goOn continues those that get no signal in this step.
func (e *ending) goOn(sent map[procfs.Identity]bool) {
	signal(e.found, syscall.SIGCONT, func(s procfs.Stat) bool { return sent[s.Identity()] })
}

// kill ends all with SIGKILL. They are stopped first, for the same reason. As long as new
// ones turn up, those by which they are known are only stopped.
func (e *ending) kill(over time.Time) error {
	for {
		if err := e.stopAll(); err != nil {
			return err
		}
		if empty, err := e.empty(); empty || err != nil {
			return err
		}
		if e.cgroup != nil {
			e.noteKilled(e.living())
		}
		if err := e.killCgroup(); err != nil {
			return err
		}
		spared := map[procfs.Identity]bool{}
		if e.growing && time.Now().Before(over) {
			spared = e.known()
		}
		e.send(syscall.SIGKILL, maps.Clone(spared))
		more, err := e.wait(over, spared)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if err := e.scan(nil); err != nil {
			return err
		}
		empty, err := e.empty()
		if err == nil && !empty && !e.full {
			err = syscall.EMFILE
		}
		return err
	}
}

func (e *ending) noteKilled(list []procfs.Stat) {
	for _, s := range list {
		e.killed[s.Identity()] = true
	}
}

// stopAll stops all, until nobody is found who was forked meanwhile: who is stopped can
// neither fork nor end. It acts on each look at once, and hurries, since who is found in a
// storm has ended a moment later. Where that fails they go on.
func (e *ending) stopAll() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer sys.Hurry()()
	sent := map[procfs.Identity]bool{}
	stop := func() bool { return e.send(syscall.SIGSTOP, sent) > 0 }
	stop()
	err := e.scan(stop)
	if err != nil {
		signal(e.found, syscall.SIGCONT, func(s procfs.Stat) bool { return sent[s.Identity()] })
	}
	return err
}

// wait waits until all have ended that may be signalled, or, if none is seen, until
// the cgroup has news; not for those that are spared. It returns false where there is
// nothing to wait for, or no more time.
func (e *ending) wait(over time.Time, spared map[procfs.Identity]bool) (more bool, err error) {
	fds := []unix.PollFd{{Fd: int32(e.done.Fd()), Events: unix.POLLIN}}
	for _, h := range e.found {
		if id := h.stat.Identity(); !h.stat.Zombie() && !e.denied[id] && !spared[id] {
			fds = append(fds, unix.PollFd{Fd: int32(h.pidfd), Events: unix.POLLIN})
		}
	}
	if len(fds) == 1 {
		if len(spared) > 0 {
			return true, e.brokenOff()
		}
		events, err := e.cgroupEvents()
		if events == nil {
			return false, err
		}
		defer events.Close()
		if p, err := populated(events); err != nil || !p {
			return err == nil, err
		}
		fds = append(fds, unix.PollFd{Fd: int32(events.Fd()), Events: unix.POLLPRI})
	}
	for len(fds) > 1 {
		left := time.Until(over)
		if left <= 0 {
			return false, nil
		}
		if err := sys.PollAny(fds, left); err != nil {
			return false, err
		}
		if fds[0].Revents != 0 {
			return false, e.brokenOff()
		}
		rest := fds[:1]
		for _, fd := range fds[1:] {
			if fd.Revents == 0 {
				rest = append(rest, fd)
			}
		}
		fds = rest
	}
	return true, nil
}

// brokenOff says why nobody waits any more; nil: somebody does.
func (e *ending) brokenOff() error {
	cause := context.Cause(e.ctx)
	if cause == nil {
		return nil
	}
	return fmt.Errorf("recovery was broken off: %w", cause)
}

// awaitShim waits until the shim is quite gone. Its lock is given back before that, and
// its children are handed on, and the processes of its PID namespace ended, only then.
func awaitShim(shim wire.Member) error {
	const patience = time.Second
	if shim.PID <= 0 || shim.Start == 0 {
		return nil
	}
	h, err := hold(procfs.Stat{PID: shim.PID, Start: shim.Start})
	if exhausted(err) {
		return err
	}
	if err != nil {
		return nil // it's gone, or never was in what /proc shows
	}
	defer release([]held{h})
	fds := []unix.PollFd{{Fd: int32(h.pidfd), Events: unix.POLLIN}}
	if err := sys.PollAny(fds, patience); err != nil {
		return err
	}
	if fds[0].Revents == 0 {
		return fmt.Errorf("%w: process %d", ErrShimLives, shim.PID)
	}
	return nil
}

// isGone says that a file or process went away before it was looked at.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV)
}
