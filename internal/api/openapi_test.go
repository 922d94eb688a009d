package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/foster-init/foster/client"
)

// description reads client/openapi.yaml, and checks that it is one.
func description(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../../client/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDescriptionHasEachRouteWithItsQueryAndNoOther(t *testing.T) {
	doc := description(t)
	own := &server{supervisor: &fake{}}
	routes := map[string]bool{}
	for _, r := range own.table() {
		routes[r.method+" "+r.path] = true
		item := doc.Paths.Value(r.path)
		if item == nil || item.GetOperation(r.method) == nil {
			t.Errorf("%s %s isn't described", r.method, r.path)
			continue
		}
		var names []string
		for _, p := range item.GetOperation(r.method).Parameters {
			names = append(names, p.Value.Name)
		}
		if !slices.Equal(names, r.query) {
			t.Errorf("%s: the query is described as %v, and is %v", r.path, names, r.query)
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !routes[method+" "+path] {
				t.Errorf("%s %s is described, but there is no such route", method, path)
			}
		}
	}
}

func TestTheDescriptionHasEachFieldAndNoOther(t *testing.T) {
	doc := description(t)
	for name, of := range map[string]any{
		"Status": client.Status{}, "App": client.App{}, "Instance": client.Instance{}, "Exit": client.Exit{}, "Run": client.Run{},
		"Event": client.Event{}, "Line": client.Line{}, "Change": client.Change{}, "Environment": client.Environment{},
		"Target": client.Target{}, "Failure": client.Failure{}, "Problem": problem{}, "Mistake": client.Mistake{},
	} {
		schema := doc.Components.Schemas[name].Value
		fields := map[string]bool{}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if key == "-" || f.Anonymous {
				continue
			}
			fields[key] = true
			if schema.Properties[key] == nil {
				t.Errorf("%s.%s isn't described", name, key)
			}
			if required := slices.Contains(schema.Required, key); required == strings.HasPrefix(options, "omit") {
				t.Errorf("%s.%s: it is described as required: %v", name, key, required)
			}
		}
		for key := range schema.Properties {
			if !fields[key] {
				t.Errorf("%s.%s is described, but there is no such field", name, key)
			}
		}
	}
}

func TestTheDescriptionHasEachStateAndCode(t *testing.T) {
	doc := description(t)
	var described []client.State
	for _, v := range doc.Components.Schemas["State"].Value.Enum {
		described = append(described, client.State(v.(string)))
	}
	if !slices.Equal(described, states) {
		t.Errorf("%v, %v", described, states)
	}
	for _, v := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		found := false
		for _, err := range []error{client.ErrUnknown, client.ErrNotRunning, client.ErrNoTerminal} {
			found = found || client.Code(err) == v
		}
		if !found {
			t.Errorf("no error has the code %v", v)
		}
	}
}

// full gives a value of a type with something in each field.
func full(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch {
	case t == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1_790_000_000, 5)))
	case t == reflect.TypeFor[client.State]():
		v.SetString(string(client.Backoff))
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(full(t.Field(i).Type))
		}
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(full(t.Elem()))
	case t.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, full(t.Elem())))
	case v.CanInt():
		v.SetInt(3)
	case v.CanUint():
		v.SetUint(3)
	case t.Kind() == reflect.String:
		v.SetString("text")
	case t.Kind() == reflect.Bool:
		v.SetBool(true)
	}
	return v
}

func fullOf[T any]() T { return full(reflect.TypeFor[T]()).Interface().(T) }

// described asks the server, and holds what was asked and answered against the
// description.
func described(t *testing.T, doc *openapi3.T, f *fake, method, path, body string, valid bool) {
	t.Helper()
	what := fmt.Sprintf("%s %s %s", method, path, body)
	r := httptest.NewRequest(method, "http://foster"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	item := doc.Paths.Value(r.URL.Path)
	in := &openapi3filter.RequestValidationInput{Request: r, Route: &routers.Route{
		Spec: doc, Path: r.URL.Path, PathItem: item, Method: method, Operation: item.GetOperation(method),
	}}
	if err := openapi3filter.ValidateRequest(t.Context(), in); (err == nil) != valid {
		t.Errorf("%s: %v", what, err)
	}
	w := ask(f, method, path, body)
	if w.Code >= 500 && w.Code != http.StatusServiceUnavailable || (w.Code == http.StatusBadRequest) == valid {
		t.Errorf("%s: %d %s", what, w.Code, w.Body)
	}
	if w.Header().Get("Content-Type") == "application/jsonl" {
		streamed(t, in, w, what)
		return
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header(), Body: io.NopCloser(w.Body)}
	out.Options = &openapi3filter.Options{IncludeResponseStatus: true}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s: %d: %v", what, w.Code, err)
	}
}

// streamed checks each line of a stream.
func streamed(t *testing.T, in *openapi3filter.RequestValidationInput, w *httptest.ResponseRecorder, what string) {
	t.Helper()
	schema := in.Route.Operation.Responses.Value("200").Value.Content["application/jsonl"].Schema.Value
	n := 0
	for line := range bytes.Lines(w.Body.Bytes()) {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := schema.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %s: %v", what, line, err)
		}
		n++
	}
	if n == 0 {
		t.Errorf("%s: nothing was streamed", what)
	}
}

// supervisorOfAll is one whose answers have something in each field.
func supervisorOfAll() *fake {
	events := make(chan client.Event, 1)
	events <- fullOf[client.Event]()
	close(events)
	line := fullOf[client.Line]()
	line.Stream = "stderr"
	change := fullOf[client.Change]()
	change.Action = "scale"
	return &fake{
		status: fullOf[client.Status](), events: events, logs: []client.Line{line, {Stream: "stdout"}},
		env: fullOf[client.Environment](), runs: []client.Run{fullOf[client.Run](), {}}, changes: []client.Change{change},
	}
}

func TestWhatIsAskedAndAnsweredIsAsDescribed(t *testing.T) {
	doc := description(t)
	for _, try := range []struct {
		method, path, body string
		valid              bool
	}{
		{"GET", "/v1/status", "", true},
		{"POST", "/v1/start", "", false},
		{"POST", "/v1/start", `{"targets":[{"all":true}]}`, true},
		{"POST", "/v1/start", `{"targets":[{"app":"web","replica":1}]}`, true},
		{"POST", "/v1/start", `{"targets":[{"app":""}]}`, false},
		{"POST", "/v1/stop", `{"targets":[]}`, false},
		{"POST", "/v1/start", `{"target":[]}`, false},
		{"POST", "/v1/stop", `{"targets":[{"app":"web","replica":-1}]}`, false},
		{"POST", "/v1/stop", `{"signal":"INT","scope":"leader-first","timeout":"0","targets":[{"app":"web"}]}`, true},
		{"POST", "/v1/stop", `{"scope":"all"}`, false},
		{"POST", "/v1/restart", `{"timeout":"1m30s","targets":[{"all":true}]}`, true},
		{"POST", "/v1/restart", `{"timeout":10}`, false},
		{"POST", "/v1/restart", `{"targets":["web"]}`, false},
		{"POST", "/v1/signal", `{"signal":"HUP","scope":"leader","targets":[{"app":"web"}]}`, true},
		{"POST", "/v1/signal", `{}`, false},
		{"POST", "/v1/signal", `{"signal":"HUP","scope":"all"}`, false},
		{"POST", "/v1/extend", `{"by":"1h30m","targets":[{"app":"web"}]}`, true},
		{"POST", "/v1/extend", `{}`, false},
		{"POST", "/v1/scale", `{"app":"web","replicas":0}`, true},
		{"POST", "/v1/scale", `{"app":"web","replicas":1001}`, false},
		{"POST", "/v1/scale", `{"app":"web"}`, false},
		{"POST", "/v1/update", `{"dry_run":true}`, true},
		{"POST", "/v1/update", `{"dry":true}`, false},
		{"POST", "/v1/up", `{"apps":["web"],"dry_run":true}`, true},
		{"POST", "/v1/up", `{"apps":"web"}`, false},
		{"POST", "/v1/up", `{"apps":[]}`, false},
		{"POST", "/v1/down", "", true},
		{"POST", "/v1/leave", `{}`, true},
		{"POST", "/v1/leave", `{"a":1}`, false},
		{"GET", "/v1/events?after=3&follow=true", "", true},
		{"GET", "/v1/events?after=-3", "", false},
		{"GET", "/v1/logs?target=web&target=db.2&stream=stdout&newest=-1&since=10m&until=2026-11-25T13:00:00Z", "", true},
		{"GET", "/v1/logs?stream=both", "", false},
		{"GET", "/v1/history?app=web&replica=2&newest=3", "", true},
		{"GET", "/v1/history?newest=-3", "", false},
		{"GET", "/v1/environment?app=web", "", true},
		{"GET", "/v1/environment", "", false},
		{"GET", "/v1/terminal?app=web&replica=1", "", true}, // 426
		{"GET", "/metrics", "", true},
	} {
		described(t, doc, supervisorOfAll(), try.method, try.path, try.body, try.valid)
		described(t, doc, &fake{events: supervisorOfAll().events, logs: []client.Line{{Stream: "stdout"}}}, try.method, try.path, try.body, try.valid)
		if !try.valid || strings.HasPrefix(try.path, "/v1/logs") || strings.HasPrefix(try.path, "/v1/events") {
			continue
		}
		failure := fullOf[client.FailedError]()
		for _, err := range []error{client.ErrUnknown, client.ErrNotRunning, client.ErrNoTerminal, fmt.Errorf("no"), &failure} {
			f := supervisorOfAll()
			f.fails = err
			described(t, doc, f, try.method, try.path, try.body, true)
		}
	}
}
