package client

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// targets is the body of a request about some instances.
type targets struct {
	Targets []Target `json:"targets"`
}

// postTo sends a request about instances. Which they are must be said.
func (c *Client) postTo(ctx context.Context, path string, of []Target, body any) error {
	if err := checkTargets(of); err != nil {
		return err
	}
	return c.post(ctx, path, body, nil)
}

func checkTargets(of []Target) error {
	if len(of) == 0 || slices.Contains(of, Target{}) {
		return ErrNoTarget
	}
	return nil
}

func (c *Client) post(ctx context.Context, path string, body, to any) error {
	return c.call(ctx, http.MethodPost, path, nil, body, to)
}

func (c *Client) get(ctx context.Context, path string, query url.Values, to any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, to)
}

// one names one instance in a query.
func one(app string, replica int) url.Values {
	return url.Values{"app": {app}, "replica": {strconv.Itoa(replica)}}
}

// Status is all that the supervisor knows now.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/v1/status", nil, &s)
}

// Start starts instances, and what they depend on, and waits until they run, wait for
// their time, or have completed. A *FailedError names those that couldn't be started, and
// why; ErrUnknown means a target doesn't exist; ErrNoTarget that none was given.
func (c *Client) Start(ctx context.Context, of ...Target) error {
	return c.postTo(ctx, "/v1/start", of, targets{of})
}

// Stop stops instances and waits until their trees are empty. A *FailedError names the
// processes that couldn't be ended.
func (c *Client) Stop(ctx context.Context, of ...Target) error {
	return c.postTo(ctx, "/v1/stop", of, targets{of})
}

// Restart stops instances, starts each when its tree is proven empty, and waits as Start
// does.
func (c *Client) Restart(ctx context.Context, of ...Target) error {
	return c.postTo(ctx, "/v1/restart", of, targets{of})
}

// StopPlan is how instances are stopped this once. What it leaves out is as the
// application's configuration says.
type StopPlan struct {
	Signal  string `json:"signal,omitempty"`  // sent before that of the configuration: "TERM", "SIGHUP" or "10"
	Scope   string `json:"scope,omitempty"`   // whom it is sent to: one of foster.Scope
	Timeout string `json:"timeout,omitempty"` // of each signal, before SIGKILL: "90s", "1h30m"; "0": SIGKILL at once
}

// stopping is the body of a request that stops instances.
type stopping struct {
	StopPlan
	targets
}

// StopWith is Stop in another way than the configuration says. It takes the place of a
// stop under way. One with SIGKILL at once runs no hook and no command before it.
func (c *Client) StopWith(ctx context.Context, plan StopPlan, of ...Target) error {
	return c.postTo(ctx, "/v1/stop", of, stopping{plan, targets{of}})
}

// RestartWith is Restart with a stop as StopWith has it.
func (c *Client) RestartWith(ctx context.Context, plan StopPlan, of ...Target) error {
	return c.postTo(ctx, "/v1/restart", of, stopping{plan, targets{of}})
}

// Signal sends a signal, as "TERM", "SIGHUP" or "10", to the trees of instances that run.
// The scope is one of foster.Scope: "" or "tree", "group", "leader", "leader-first".
func (c *Client) Signal(ctx context.Context, sig, scope string, of ...Target) error {
	return c.postTo(ctx, "/v1/signal", of, struct {
		Signal string `json:"signal"`
		Scope  string `json:"scope,omitempty"`
		targets
	}{sig, scope, targets{of}})
}

// Extend has the leases of instances end no sooner than by from now.
func (c *Client) Extend(ctx context.Context, by time.Duration, of ...Target) error {
	return c.postTo(ctx, "/v1/extend", of, struct {
		By string `json:"by"`
		targets
	}{by.String(), targets{of}})
}

// Scale sets the number of an application's instances, and waits until they run, or are
// gone.
func (c *Client) Scale(ctx context.Context, app string, replicas int) error {
	return c.post(ctx, "/v1/scale", struct {
		App      string `json:"app"`
		Replicas int    `json:"replicas"`
	}{app, replicas}, nil)
}

// Update has the supervisor read its configuration again and apply the difference; with
// dryRun it only says what it would do. The changes are told also where some of them
// have failed.
func (c *Client) Update(ctx context.Context, dryRun bool) ([]Change, error) {
	var told struct {
		Changes []Change `json:"changes"`
	}
	err := c.post(ctx, "/v1/update", struct {
		DryRun bool `json:"dry_run"`
	}{dryRun}, &told)
	return told.Changes, err
}

// Up is Update, and then starts the applications with autostart that have failed, or were
// never started. What was stopped by hand stays so.
func (c *Client) Up(ctx context.Context, dryRun bool) ([]Change, error) {
	return c.up(ctx, dryRun, nil)
}

// UpApps is Update, and then starts the applications that are named, with what they depend
// on. ErrNoTarget says that none is.
func (c *Client) UpApps(ctx context.Context, dryRun bool, apps ...string) ([]Change, error) {
	if len(apps) == 0 || slices.Contains(apps, "") {
		return nil, ErrNoTarget
	}
	return c.up(ctx, dryRun, apps)
}

func (c *Client) up(ctx context.Context, dryRun bool, apps []string) ([]Change, error) {
	var told struct {
		Changes []Change `json:"changes"`
	}
	err := c.post(ctx, "/v1/up", struct {
		Apps   []string `json:"apps,omitempty"`
		DryRun bool     `json:"dry_run"`
	}{apps, dryRun}, &told)
	return told.Changes, err
}

// Down stops all, in the reverse order, and ends the supervisor.
func (c *Client) Down(ctx context.Context) error { return c.post(ctx, "/v1/down", nil, nil) }

// Leave ends the supervisor and stops nothing: the next one takes the applications over.
func (c *Client) Leave(ctx context.Context) error { return c.post(ctx, "/v1/leave", nil, nil) }

// History gives the runs of an application, or of all where app is empty, the newest last;
// replica 0 is all, and so is newest 0.
func (c *Client) History(ctx context.Context, app string, replica, newest int) ([]Run, error) {
	var told struct {
		Runs []Run `json:"runs"`
	}
	query := one(app, replica)
	query.Set("newest", strconv.Itoa(newest))
	err := c.get(ctx, "/v1/history", query, &told)
	return told.Runs, err
}

// Environment is what the command of an application runs with. Replica 0 is its only one.
func (c *Client) Environment(ctx context.Context, app string, replica int) (e Environment, err error) {
	return e, c.get(ctx, "/v1/environment", one(app, replica), &e)
}
