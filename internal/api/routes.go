package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/frames"
)

// handler answers a request, or says why not.
type handler func(http.ResponseWriter, *http.Request) error

// route is one thing that can be asked for.
type route struct {
	method, path string
	query        []string // the names that its query may have
	handle       handler
}

// table is all that can be asked for, as client/openapi.yaml describes it.
func (s *server) table() []route {
	return []route{
		{"GET", "/v1/ping", nil, s.ping},
		{"GET", "/v1/status", nil, s.status},
		{"POST", "/v1/start", nil, s.onTargets(s.supervisor.Start)},
		{"POST", "/v1/stop", nil, s.onStop(s.supervisor.StopWith)},
		{"POST", "/v1/restart", nil, s.onStop(s.supervisor.RestartWith)},
		{"POST", "/v1/signal", nil, s.signal},
		{"POST", "/v1/extend", nil, s.extend},
		{"POST", "/v1/scale", nil, s.scale},
		{"POST", "/v1/update", nil, s.update},
		{"POST", "/v1/up", nil, s.up},
		{"POST", "/v1/down", nil, s.end(s.supervisor.Down)},
		{"POST", "/v1/leave", nil, s.end(s.supervisor.Leave)},
		{"GET", "/v1/events", []string{"after", "follow"}, s.events},
		{"GET", "/v1/logs", []string{"target", "stream", "newest", "since", "until", "follow", "unfinished"}, s.logs},
		{"GET", "/v1/history", []string{"app", "replica", "newest"}, s.history},
		{"GET", "/v1/environment", []string{"app", "replica"}, s.environment},
		{"GET", "/v1/terminal", []string{"app", "replica"}, s.terminal},
		{"GET", "/metrics", nil, s.metrics},
	}
}

// serving is a table of routes as net/http has it.
func serving(table []route) http.Handler {
	known := map[string]map[string]route{}
	for _, r := range table {
		if known[r.path] == nil {
			known[r.path] = map[string]route{}
		}
		known[r.path][r.method] = r
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // what of it isn't read isn't waited for
			w.Header().Set("Connection", "close")
		} else {
			heard(r)
		}
		methods, ok := known[r.URL.Path]
		if !ok {
			refuse(w, http.StatusNotFound, client.RequestError{
				Text: r.URL.Path + ": there is no such thing to ask for", Hint: "GET /v1/status; client/openapi.yaml has all",
			})
			return
		}
		found, ok := methods[r.Method]
		if !ok {
			for m := range methods {
				w.Header().Add("Allow", m)
			}
			refuse(w, http.StatusMethodNotAllowed, client.RequestError{
				Text: r.URL.Path + ": " + r.Method + " isn't possible: " + w.Header().Get("Allow") + " was expected",
			})
			return
		}
		err := found.check(r)
		if err == nil {
			err = found.handle(w, r)
		}
		if err != nil {
			fail(w, err)
		}
	})
}

// check refuses what a query can't have: a misspelt name would else change nothing.
func (r route) check(request *http.Request) error {
	for name := range request.URL.Query() {
		switch {
		case slices.Contains(r.query, name):
		case len(r.query) == 0:
			return badf("%s takes no query, but there is %q", r.path, name)
		default:
			return badf("%s has no %q: %s are possible", r.path, name, strings.Join(r.query, ", "))
		}
	}
	return nil
}

// ping answers. A supervisor that is suspended doesn't.
func (s *server) ping(w http.ResponseWriter, _ *http.Request) error { return s.did(w, nil) }

func (s *server) status(w http.ResponseWriter, _ *http.Request) error {
	status := s.supervisor.Status()
	if status.PID == 0 { // its applications are stopped, and it is about to end
		return client.ErrNotRunning
	}
	status.Files, status.Apps = list(status.Files), list(status.Apps)
	for i := range status.Apps {
		status.Apps[i].Instances = list(status.Apps[i].Instances)
	}
	write(w, http.StatusOK, status)
	return nil
}

// end answers when the supervisor has ended.
func (s *server) end(do func(context.Context) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var nothing struct{}
		if err := read(w, r, &nothing); err != nil {
			return err
		}
		return s.did(w, do(r.Context()))
	}
}

// did answers to who only wants to know that it was done.
func (s *server) did(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// upgrades says whether a request asks to leave HTTP for frames.
func upgrades(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), frames.Protocol)
}
