package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/supervise"
	"github.com/foster-init/foster/internal/sys"
)

// foster up --detach is two processes: the one that was typed, which ends when the
// applications were started, and the daemon, which is foster up in a session of its own.

// daemon starts the daemon, and waits until it has started the applications.
func (u *upper) daemon(ctx context.Context) error {
	for _, fd := range sys.Inherited() {
		syscall.CloseOnExec(fd) // it is for this command, which ends
	}
	began := time.Now()
	log, err := openLog(u.logPath())
	if err != nil {
		u.say("nothing will be kept of what the daemon says of itself: %v", err)
	}
	defer log.Close()
	before := lengthOf(log)
	said, err := startMonitor("up", u.typed, log, nil)
	if err != nil {
		return err
	}
	first, rest, _ := bytes.Cut(said, []byte("\n"))
	status, err := strconv.Atoi(string(first))
	switch {
	case err != nil:
		return u.endedEarly("ended before it had started", saidSince(u.logPath(), before))
	case status == exitOutrun:
		return u.run(ctx) // there is a supervisor now
	case status != 0:
		if _, err := u.stderr.Write(rest); err != nil {
			return err
		}
		return statusError(status)
	}
	c, err := client.Dial(u.project.Name)
	if err == nil {
		defer c.Close()
		err = u.tellStart(ctx, c)
	}
	if errors.Is(err, client.ErrNotRunning) {
		awaitGone(u.project.Name)
		return u.tellEarlyEnd(ctx, began, saidSince(u.logPath(), before))
	}
	return err
}

// tellEarlyEnd says why the project has ended while it was waited for: with which application,
// or what the daemon has said last.
func (u *upper) tellEarlyEnd(ctx context.Context, began time.Time, said []string) error {
	for e, err := range (&left{folder: u.folder}).Events(ctx, 0, false) {
		if err == nil && e.Kind == supervise.KindEnding && e.Time.After(began) {
			return refusalError{hinted{fmt.Errorf("%s has ended: %s", u.project.Name, e.Cause), "foster logs shows what it has said, foster events what has happened"}}
		}
	}
	return u.endedEarly("has ended meanwhile", said)
}

// endedEarly is the end of a daemon whose last words are all that tells why.
func (u *upper) endedEarly(how string, said []string) error {
	if len(said) == 0 {
		return fmt.Errorf("%s: foster up (in the background) %s, and has said nothing: it may have been killed", u.project.Name, how)
	}
	return hinted{fmt.Errorf("%s: foster up (in the background) %s, and has said last: %s", u.project.Name, how, strings.Join(said, "; ")),
		"where that isn't why, it may have been killed; all that it has said is in " + u.logPath()}
}

// exitOutrun is what a daemon tells that found the project taken. No command exits so.
const exitOutrun = 75

// monitorPipe is where the daemon tells how it has started; nil: this isn't one.
func (u *upper) monitorPipe() *monitorPipe {
	if u.monitor == 0 {
		return nil
	}
	sys.SetName("foster") // it was started by another name
	syscall.CloseOnExec(u.monitor)
	return &monitorPipe{os.NewFile(uintptr(u.monitor), "monitor")}
}

// tellStart waits until each application was started, or, with --wait, is ready, and
// tells of those that couldn't be.
func (u *upper) tellStart(ctx context.Context, c *client.Client) error {
	if u.wait {
		return u.awaitReady(ctx, c)
	}
	return u.awaitTold(ctx, c, "started", started, notStarted)
}

// told says what runs now, and what doesn't.
func (u *upper) told(status client.Status) error {
	failed, blocked := &client.FailedError{}, []client.Failure{}
	var names []string
	for _, a := range status.Apps {
		for _, i := range a.Instances {
			switch i.State {
			case client.Failed, client.Backoff, client.Stuck:
				f := client.Failure{App: i.App, Replica: i.Replica, Name: instanceName(a, i), Text: i.Cause, Survivors: i.Survivors, Hint: supervise.StartHint(i)}
				if i.NotStarted != "" {
					f.Text = "not started: " + i.NotStarted
				}
				if i.BlockedBy != "" {
					blocked = append(blocked, f)
				} else {
					failed.Failures = append(failed.Failures, f)
				}
			case client.Stopped, client.Completed:
			default:
				names = append(names, instanceName(a, i))
			}
		}
	}
	if len(names) > 0 {
		u.say("%s runs in the background (pid %d): %s", status.Project, status.PID, listed(names))
	}
	failed.Failures = append(failed.Failures, blocked...) // the hint is for the first, which is why
	if len(failed.Failures) > 0 {
		return failedError(failed)
	}
	return nil
}

// mostListed is how many names a line has.
const mostListed = 12

// listed is a list of names in one line.
func listed(names []string) string {
	if more := len(names) - mostListed; more > 1 {
		return strings.Join(names[:mostListed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// started says whether no application is about to be started.
func started(s client.Status) bool {
	return !slices.ContainsFunc(s.Apps, func(a client.App) bool {
		return slices.ContainsFunc(a.Instances, starting)
	})
}

func starting(i client.Instance) bool {
	return i.State == client.Waiting || i.State == client.Starting
}

// awaitReady waits until each application is ready, has completed, or waits for its
// time; or one has failed.
func (u *upper) awaitReady(ctx context.Context, c *client.Client) error {
	done := func(s client.Status) bool { return allReady(s.Apps) || anyFailed(s.Apps) }
	return u.awaitTold(ctx, c, "ready", done, func(apps []client.App) []string { return notReady(apps, false) })
}

// awaitTold waits until the status is as it is to be, for as long as --wait-timeout says,
// and tells what runs then, or who isn't as it is to be.
func (u *upper) awaitTold(ctx context.Context, c *client.Client, what string, done func(client.Status) bool, late func([]client.App) []string) error {
	var status client.Status
	err := u.within(ctx, c, what, late, func(ctx context.Context) (err error) {
		status, err = awaitStatus(ctx, c, done)
		return err
	})
	if err != nil {
		return err
	}
	return u.told(status)
}

// within does what waits for the applications, for as long as --wait-timeout says. When that
// is over, the error names those that are late; they run on, or are waited for, all the same.
func (u *upper) within(ctx context.Context, c *client.Client, what string, late func([]client.App) []string, do func(context.Context) error) error {
	d, err := parseTime("--wait-timeout", u.timeout)
	if err != nil {
		return usageError{err}
	}
	within, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var telling sync.WaitGroup
	telling.Go(func() { u.tellWaiting(within, c, what, late) })
	err = do(within)
	over := within.Err() != nil
	cancel()
	telling.Wait()
	if err == nil || !over || ctx.Err() != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	status, _ := c.Status(bounded) // who doesn't answer by then is late, too
	return lateError{hinted{fmt.Errorf("not %s within %s: %s", what, short(d), listed(late(status.Apps))), "foster status tells more"}}
}

// quietWait is how long nothing is said of what is waited for.
const quietWait = 2 * time.Second

// tellWaiting says what is waited for, where that takes long, and again when it is something
// else.
func (u *upper) tellWaiting(ctx context.Context, c *client.Client, what string, late func([]client.App) []string) {
	told := ""
	for pause := time.NewTimer(quietWait); ; pause.Reset(quietWait) {
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		bounded, cancel := context.WithTimeout(ctx, answerBound)
		status, err := c.Status(bounded)
		cancel()
		if text := listed(late(status.Apps)); err == nil && ctx.Err() == nil && text != "" && text != told {
			more := ""
			if told == "" {
				more = "; Ctrl-C ends only this command: the project runs on"
			}
			u.say("waiting until %s: %s%s", map[string]string{"started": "all have started", "ready": "all are ready"}[what], text, more)
			told = text
		}
	}
}

// lateError is what wasn't so within --wait-timeout.
type lateError struct{ error }

func (l lateError) Unwrap() error { return refusalError(l) }

// notStarted says who isn't started yet, and why.
func notStarted(apps []client.App) (list []string) {
	for _, a := range apps {
		for _, i := range a.Instances {
			switch i.State {
			case client.Waiting:
				list = append(list, instanceName(a, i)+" "+i.Cause)
			case client.Starting: // its hook runs, say
				text := instanceName(a, i) + " is starting"
				if note := shimNote(i); note != "" {
					text += ", and " + note
				}
				list = append(list, text)
			}
		}
	}
	return list
}

// settled says whether an instance is as it should be, for now. A stopped one is, unless
// it was asked for by name.
func settled(i client.Instance, named bool) bool {
	switch i.State {
	case client.Running, client.LeaderLost:
		return i.Ready
	case client.Completed, client.Scheduled:
		return true
	case client.Stopped:
		return !named
	}
	return false
}

func notReady(apps []client.App, named bool) (names []string) {
	for _, a := range apps {
		for _, i := range a.Instances {
			if !settled(i, named) {
				names = append(names, instanceName(a, i))
			}
		}
	}
	return names
}

func allReady(apps []client.App) bool { return len(notReady(apps, false)) == 0 }

func anyFailed(apps []client.App) bool {
	return slices.ContainsFunc(apps, func(a client.App) bool {
		return slices.ContainsFunc(a.Instances, func(i client.Instance) bool { return i.State == client.Failed || i.State == client.Stuck })
	})
}

// awaitStatus waits until the status is as it is to be. It gives the last that there was.
func awaitStatus(ctx context.Context, c *client.Client, done func(client.Status) bool) (client.Status, error) {
	status, err := c.Status(ctx)
	for err == nil && !done(status) {
		var last client.Status
		if err = nextEvent(ctx, c, status.Seq); err == nil {
			if last, err = c.Status(ctx); err == nil {
				status = last
			}
		}
	}
	return status, err
}

// nextEvent waits for an event after a number.
func nextEvent(ctx context.Context, c *client.Client, after uint64) error {
	for _, err := range c.Events(ctx, after, true) {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return client.ErrNotRunning
}
