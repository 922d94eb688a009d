package api

import (
	"context"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/units"
)

// targets is the body of a request about some instances.
type targets struct {
	Targets []client.Target `json:"targets"`
}

// resolve gives the targets as a Supervisor takes them: nil is all, which has to be asked
// for.
func (t targets) resolve() (list []client.Target, err error) {
	if len(t.Targets) == 0 {
		return nil, badf(`targets is missing or empty: {"app":"web"} for each application, or {"all":true} for all, were expected`)
	}
	all := false
	for _, one := range t.Targets {
		if err := checkTarget(one); err != nil {
			return nil, err
		}
		all = all || one.All
	}
	if all {
		return nil, nil
	}
	return t.Targets, nil
}

func checkTarget(t client.Target) error {
	switch {
	case t.All && (t.App != "" || t.Replica != 0):
		return badf(`a target has "all" and names %q: one of both was expected`, t.App)
	case !t.All && t.App == "", t.Replica < 0:
		return badf("a target has the app %q and the replica %d: the name of an application and the number of a replica, from 1, were expected", t.App, t.Replica)
	}
	return nil
}

func (s *server) onTargets(do func(context.Context, []client.Target) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var body targets
		if err := read(w, r, &body); err != nil {
			return err
		}
		to, err := body.resolve()
		if err != nil {
			return err
		}
		return s.did(w, do(r.Context(), to))
	}
}

// onStop is onTargets for what stops, in another way than the configuration says where the
// body does.
func (s *server) onStop(do func(context.Context, []client.Target, foster.StopPlan) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var body struct {
			client.StopPlan
			targets
		}
		if err := read(w, r, &body); err != nil {
			return err
		}
		to, err := body.resolve()
		if err != nil {
			return err
		}
		plan, err := planOf(body.StopPlan)
		if err != nil {
			return err
		}
		return s.did(w, do(r.Context(), to, plan))
	}
}

// planOf reads a plan. What it leaves out stays zero.
func planOf(told client.StopPlan) (plan foster.StopPlan, err error) {
	if told.Signal != "" {
		if plan.Signal, err = units.Signal(told.Signal); err != nil {
			return plan, badRequest{err}
		}
	}
	switch plan.Scope = foster.Scope(told.Scope); plan.Scope {
	case "", foster.ScopeTree, foster.ScopeGroup, foster.ScopeLeader, foster.ScopeLeaderFirst:
	default:
		return plan, badf("the scope %q: tree, group, leader or leader-first were expected", plan.Scope)
	}
	if told.Timeout == "" {
		return plan, nil
	}
	if plan.Timeout, err = units.Duration(told.Timeout); err != nil {
		return plan, badf("timeout: %w", err)
	}
	if plan.Timeout == 0 {
		plan.Timeout = foster.KillAtOnce().Timeout
	}
	return plan, nil
}

func (s *server) signal(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Signal string       `json:"signal"`
		Scope  foster.Scope `json:"scope"`
		targets
	}
	if err := read(w, r, &body); err != nil {
		return err
	}
	sig, scope, err := signalOf(body.Signal, body.Scope)
	if err != nil {
		return err
	}
	to, err := body.resolve()
	if err != nil {
		return err
	}
	return s.did(w, s.supervisor.Signal(to, sig, scope))
}

func signalOf(name string, scope foster.Scope) (syscall.Signal, foster.Scope, error) {
	if name == "" {
		return 0, "", badf("signal is missing: TERM, SIGHUP or 10 were expected")
	}
	sig, err := units.Signal(name)
	if err != nil {
		return 0, "", badRequest{err}
	}
	switch scope {
	case "":
		scope = foster.ScopeTree
	case foster.ScopeTree, foster.ScopeGroup, foster.ScopeLeader:
	default:
		return 0, "", badf("the scope %q: tree, group or leader were expected", scope)
	}
	return sig, scope, nil
}

func (s *server) extend(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		By string `json:"by"`
		targets
	}
	if err := read(w, r, &body); err != nil {
		return err
	}
	by, err := units.Duration(body.By)
	if err != nil {
		return badf("by: %w", err)
	}
	if by == 0 {
		return badf("by: a lease can't be extended by nothing: write 10s, 1min 30s or 2h")
	}
	to, err := body.resolve()
	if err != nil {
		return err
	}
	return s.did(w, s.supervisor.Extend(to, by))
}

func (s *server) scale(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		App      string `json:"app"`
		Replicas *int   `json:"replicas"`
	}
	if err := read(w, r, &body); err != nil {
		return err
	}
	switch n := body.Replicas; {
	case body.App == "":
		return badf("app is missing: the name of an application was expected")
	case n == nil, *n < 0, *n > config.MostReplicas:
		return badf("replicas: 0 to %d were expected", config.MostReplicas)
	}
	return s.did(w, s.supervisor.Scale(r.Context(), body.App, *body.Replicas))
}

func (s *server) update(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		DryRun bool `json:"dry_run"`
	}
	if err := read(w, r, &body); err != nil {
		return err
	}
	changes, err := s.supervisor.Update(r.Context(), body.DryRun)
	return s.changed(w, changes, err)
}

// up is update, and names whom to start, too.
func (s *server) up(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Apps   []string `json:"apps"`
		DryRun bool     `json:"dry_run"`
	}
	if err := read(w, r, &body); err != nil {
		return err
	}
	if body.Apps != nil && len(body.Apps) == 0 || slices.Contains(body.Apps, "") {
		return badf("apps has no name, or an empty one: the names of applications were expected; without apps, all with autostart are meant")
	}
	changes, err := s.supervisor.Up(r.Context(), body.Apps, body.DryRun)
	return s.changed(w, changes, err)
}

// changed tells what was changed also where a part of it has failed.
func (s *server) changed(w http.ResponseWriter, changes []client.Change, err error) error {
	if err != nil {
		p := problemOf(err)
		p.Changes = changes
		write(w, statusOf(err), p)
		return nil
	}
	write(w, http.StatusOK, map[string]any{"changes": list(changes)})
	return nil
}

func (s *server) history(w http.ResponseWriter, r *http.Request) error {
	q := question{values: r.URL.Query()}
	app, replica, newest := q.text("app"), q.number("replica"), q.number("newest")
	if q.err != nil {
		return q.err
	}
	runs, err := s.supervisor.History(app, replica, newest)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, map[string]any{"runs": list(runs)})
	return nil
}

func (s *server) environment(w http.ResponseWriter, r *http.Request) error {
	app, replica, err := instance(r)
	if err != nil {
		return err
	}
	e, err := s.supervisor.Environment(app, replica)
	if err != nil {
		return err
	}
	e.Env = list(e.Env)
	write(w, http.StatusOK, e)
	return nil
}

// instance reads which instance a query names.
func instance(r *http.Request) (app string, replica int, err error) {
	q := question{values: r.URL.Query()}
	app, replica = q.text("app"), q.number("replica")
	if q.err == nil && app == "" {
		return "", 0, badf("app is missing: the name of an application was expected")
	}
	return app, replica, q.err
}

// moment reads a time: a date, or how long ago it was.
func moment(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err == nil {
		return at, nil
	}
	ago, err := units.Duration(text)
	if err != nil {
		return time.Time{}, badf("%q is no time: 2026-11-25T13:00:00Z or 10m, for ten minutes ago, were expected", text)
	}
	return time.Now().Add(-ago), nil
}
