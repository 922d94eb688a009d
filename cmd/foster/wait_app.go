package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/foster-init/foster/client"
)

// waiter is one foster wait.
type waiter struct {
	projectFlags
	goal, timeout  string
	form           string
	stdout, stderr io.Writer
	late           bool        // --timeout is over
	seen           []condition // of the instances that are waited for, the last time
}

// waited is what foster wait prints; its keys are kept.
type waited struct {
	For       string      `json:"for"`
	Reached   bool        `json:"reached"`
	Status    int         `json:"exit_status"`
	Instances []condition `json:"instances"` // none of a tree
	Error     string      `json:"error,omitempty"`
}

// answered waits, and prints the answer.
func (w *waiter) answered(ctx context.Context, names []string) error {
	if err := validOutput(w.form); err != nil {
		return err
	}
	err := w.run(ctx, names)
	return reply(w.stdout, w.form, err, func(a acted) any {
		told := waited{For: w.goal, Reached: err == nil, Instances: w.seen, Error: a.Error}
		if err != nil {
			told.Status = complain(io.Discard, err)
			_, ended := errors.AsType[statusError](err)
			told.Reached = w.goal == "exit" && ended && !w.late
		}
		return told
	})
}

func (w *waiter) run(ctx context.Context, names []string) error {
	if w.timeout != "" {
		d, err := parseTime("--timeout", w.timeout)
		if err != nil {
			return usageError{err}
		}
		bounded, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		err = w.wait(bounded, names)
		if errors.Is(err, context.DeadlineExceeded) {
			w.late = true
			fmt.Fprintf(w.stderr, "foster: not %s within %s\n", map[string]string{"exit": "ended", "ready": "ready", "stopped": "stopped"}[w.goal], short(d))
			return statusError(exitTimeout)
		}
		return err
	}
	return w.wait(ctx, names)
}

func (w *waiter) wait(ctx context.Context, names []string) error {
	switch w.goal {
	case "ready":
		return w.until(ctx, names, func(i client.Instance) (bool, bool) {
			return settled(i, true), i.State == client.Failed || i.State == client.Stuck || i.State == client.Stopped && len(names) > 0
		})
	case "stopped":
		return w.until(ctx, names, func(i client.Instance) (bool, bool) {
			return rests(i.State), i.State == client.Stuck
		})
	case "exit":
	default:
		return usageError{flagError("for", fmt.Errorf("%q is none of exit, ready, stopped", w.goal))}
	}
	if app, err := w.asApp(ctx, names[0], func(o *ownedBy) error { return w.exit(ctx, o) }); app {
		return ofTheWait(err)
	}
	if app, err := w.waitLeft(ctx, names[0]); app {
		return err
	}
	return w.asTrees(ctx, w.stderr, names[0], func(id string) error { return waitWithin(ctx, id, w.stderr) })
}

// waitWithin waits for the end of a tree, as long as it may.
func waitWithin(ctx context.Context, id string, stderr io.Writer) error {
	ended := make(chan error, 1)
	go func() { ended <- waitFor(id, stderr) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rests says whether an instance in a state runs not, nor will by itself.
func rests(s client.State) bool {
	return s == client.Stopped || s == client.Completed || s == client.Failed
}

// until waits until each instance is done, or one can't be any more.
func (w *waiter) until(ctx context.Context, names []string, look func(client.Instance) (done, never bool)) error {
	return w.withProject(ctx, func(c *client.Client) error {
		defer tellWaits(ctx, c, w.stderr, namedTargets(names)...)()
		var never []string
		var failure error
		status, err := awaitStatus(ctx, c, func(s client.Status) bool {
			of, err := aimsIn(s, names)
			if err != nil {
				failure = err
				return true
			}
			all := true
			never = nil
			apps := narrowed(s.Apps, of)
			w.seen = conditions(apps, len(names) > 0)
			for _, a := range apps {
				for _, i := range a.Instances {
					done, hopeless := look(i)
					all = all && (done || i.State == client.Stopped && len(names) == 0)
					if hopeless {
						text := fmt.Sprintf("%s is %s", instanceName(a, i), i.State)
						if i.Cause != string(i.State) {
							text += ": " + i.Cause
						}
						never = append(never, text)
					}
				}
			}
			return all || len(never) > 0
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && w.goal == "stopped" && errors.Is(err, client.ErrNotRunning) && status.PID != 0:
			return nil // all was stopped
		case err != nil:
			return err
		case failure != nil:
			return failure
		case len(never) > 0:
			return refusalError{errors.New(strings.Join(never, "; "))}
		}
		return nil
	})
}

// exit waits for the end of the runs under way of an application's instances.
func (w *waiter) exit(ctx context.Context, o *ownedBy) error {
	began := map[string]time.Time{} // by their trees, of those that run
	for _, i := range o.instances() {
		if !rests(i.State) && i.State != client.Backoff && i.State != client.Scheduled {
			began[i.Tree] = i.Started
		}
	}
	defer tellWaits(ctx, o.Client, w.stderr, o.aim)()
	var ended []client.Instance
	status, err := awaitStatus(ctx, o.Client, func(s client.Status) bool {
		list, err := chosen(s, []client.Target{o.aim})
		ended = list
		w.seen = conditions(narrowed(s.Apps, []client.Target{o.aim}), true)
		if err != nil {
			return true // it is no longer of the project
		}
		for _, i := range list {
			if start, ran := began[i.Tree]; ran && !endedSince(i, start) {
				return false
			}
		}
		return true
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, client.ErrNoAnswer) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s ended before its applications: %w", status.Project, err)
	}
	return w.exitLike(ended)
}

// endedSince says whether the run that began then is over.
func endedSince(i client.Instance, start time.Time) bool {
	switch i.State {
	case client.Running, client.LeaderLost:
		return !start.IsZero() && i.Started.After(start)
	case client.Waiting, client.Starting, client.Stopping, client.Stuck:
		return !start.IsZero() && i.Exit != nil && !i.Exit.Started.Before(start)
	}
	return true
}

// exitLike exits as the last run of the instances has: the first that wasn't well.
func (w *waiter) exitLike(list []client.Instance) error {
	known := false
	for _, i := range list {
		if i.Exit == nil {
			continue
		}
		known = true
		end := endOfInstance(i)
		status := end.status()
		switch {
		case end.left:
			fmt.Fprintf(w.stderr, "foster: %s couldn't be ended: %s\n", printable(i.App), printable(strings.Join(i.Survivors, ", ")))
		case end.reason() != "":
			fmt.Fprintf(w.stderr, "foster: %s %s\n", printable(i.App), end.reason())
		case end.unknown():
			return fmt.Errorf("%s: %w", i.App, errUnknownEnd)
		case status == 0 && i.State == client.Failed: // by its policy, whatever the leader's status
			status = exitRefused
		}
		if status != 0 {
			return statusError(status)
		}
	}
	if !known {
		for _, i := range list {
			if i.NotStarted != "" {
				return refusalError{fmt.Errorf("%s wasn't started: %s", i.App, i.NotStarted)}
			}
		}
		return refusalError{errors.New("it hasn't run yet")}
	}
	return nil
}
