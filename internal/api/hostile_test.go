package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/frames"
	"github.com/foster-init/foster/internal/leaktest"
)

// ask gives the answer to a request of which no client would think.
func ask(f *fake, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	own := &server{supervisor: f}
	serving(own.table()).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestARequestThatCantBeUnderstoodSaysWhatWasExpectedAndDoesNothing(t *testing.T) {
	for _, try := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/", "", 404, "no such thing to ask for"},
		{"GET", "/v1/start", "", 405, "POST was expected"},
		{"POST", "/v1/status", "", 405, "GET was expected"},
		{"POST", "/v1/start", "{", 400, "one JSON object was expected"},
		{"POST", "/v1/start", "targets=web", 400, "one JSON object was expected"},
		{"POST", "/v1/start", "[]", 400, "one JSON object was expected"},
		{"POST", "/v1/start", `{"target":[]}`, 400, `unknown field "target"`},
		{"POST", "/v1/start", `{} {}`, 400, "there is more behind it"},
		{"POST", "/v1/start", `{"targets":["web"]}`, 400, "one JSON object was expected"},
		{"POST", "/v1/start", `{"targets":[{"app":"web","replica":-1}]}`, 400, "from 1"},
		{"POST", "/v1/start", `{"targets":[{"replica":1}]}`, 400, "from 1"},
		{"POST", "/v1/start", "", 400, "targets is missing or empty"},
		{"POST", "/v1/stop", `{}`, 400, "targets is missing or empty"},
		{"POST", "/v1/stop", `null`, 400, "targets is missing or empty"},
		{"POST", "/v1/stop", `{"targets":[]}`, 400, "targets is missing or empty"},
		{"POST", "/v1/stop", `{"targets":null}`, 400, "targets is missing or empty"},
		{"POST", "/v1/restart", `{"targets":[{}]}`, 400, "the name of an application"},
		{"POST", "/v1/restart", `{"targets":[{"app":"web"},{"app":""}]}`, 400, "the name of an application"},
		{"POST", "/v1/stop", `{"targets":[{"app":"web","all":true}]}`, 400, "one of both"},
		{"POST", "/v1/stop", `{"targets":[{"all":false}]}`, 400, "the name of an application"},
		{"POST", "/v1/signal", `{"signal":"TERM"}`, 400, "targets is missing or empty"},
		{"POST", "/v1/extend", `{"by":"1h"}`, 400, "targets is missing or empty"},
		{"POST", "/v1/up", `{"apps":[]}`, 400, "apps has no name"},
		{"POST", "/v1/up", `{"apps":[""]}`, 400, "apps has no name"},
		{"GET", "/v1/logs?target=", "", 400, "the name of an application"},
		{"POST", "/v1/start?app=web", "", 400, `takes no query, but there is "app"`},
		{"POST", "/v1/start", `{"targets":"` + strings.Repeat("x", longestBody) + `"}`, 413, "at most 1048576 bytes"},
		{"POST", "/v1/signal", `{}`, 400, "signal is missing"},
		{"POST", "/v1/signal", `{"signal":"TREM"}`, 400, "no signal"},
		{"POST", "/v1/signal", `{"signal":"TERM","scope":"all"}`, 400, "tree, group or leader were expected"},
		{"POST", "/v1/signal", `{"signal":"TERM","scope":"leader-first"}`, 400, "tree, group or leader were expected"},
		{"POST", "/v1/extend", `{}`, 400, "by: "},
		{"POST", "/v1/extend", `{"by":"0s"}`, 400, "by nothing"},
		{"POST", "/v1/extend", `{"by":"-1h"}`, 400, "it is negative"},
		{"POST", "/v1/scale", `{"replicas":1}`, 400, "app is missing"},
		{"POST", "/v1/scale", `{"app":"web"}`, 400, "0 to 1000 were expected"},
		{"POST", "/v1/scale", `{"app":"web","replicas":1001}`, 400, "0 to 1000 were expected"},
		{"POST", "/v1/scale", `{"app":"web","replicas":-1}`, 400, "0 to 1000 were expected"},
		{"POST", "/v1/update", `{"dryrun":true}`, 400, "unknown field"},
		{"POST", "/v1/down", `{"now":true}`, 400, "unknown field"},
		{"GET", "/v1/events?after=x", "", 400, "the number of an event was expected"},
		{"GET", "/v1/events?follow=maybe", "", 400, "true or false were expected"},
		{"GET", "/v1/events?since=1", "", 400, "after, follow are possible"},
		{"GET", "/v1/history?newest=-1", "", 400, "0 or more, was expected"},
		{"GET", "/v1/history?newest=99999999999999", "", 400, "0 or more, was expected"},
		{"GET", "/v1/logs?stream=both", "", 400, "stdout or stderr were expected"},
		{"GET", "/v1/logs?since=yesterday", "", 400, "is no time"},
		{"GET", "/v1/logs?newest=--1", "", 400, "was expected"},
		{"GET", "/v1/logs?target=.1", "", 400, "from 1"},
		{"GET", "/v1/environment", "", 400, "app is missing"},
		{"GET", "/v1/terminal?app=web", "", 426, "Upgrade: foster-terminal/1 was expected"},
	} {
		f := &fake{}
		w := ask(f, try.method, try.path, try.body)
		var told client.RequestError
		if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || w.Code != try.status || !strings.Contains(told.Text, try.want) {
			t.Errorf("%s %s %.60s: %d %s, want %d %q", try.method, try.path, try.body, w.Code, w.Body, try.status, try.want)
		}
		if f.last() != "" {
			t.Errorf("%s %s %.60s: %s was done", try.method, try.path, try.body, f.last())
		}
	}
}

func TestQueriesAreReadAsPeopleWriteThem(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/events?follow":              "events 0 true",
		"/v1/events?follow=false":        "events 0 false",
		"/v1/history":                    "history  0 0",
		"/v1/history?app=web&newest=3":   "history web 0 3",
		"/v1/environment?app=a.b":        "environment a.b 0",
		"/v1/logs?newest=-1":             "Newest:-1",
		"/v1/logs?target=web&target=b.2": "Targets:[{App:web Replica:0 All:false} {App:b Replica:2 All:false}]",
		"/v1/logs?target=a.b":            "Targets:[{App:a.b Replica:0 All:false}]",
	} {
		f := &fake{events: make(chan client.Event)}
		close(f.events)
		if w := ask(f, "GET", path, ""); w.Code != http.StatusOK || !strings.Contains(f.last(), want) {
			t.Errorf("%s: %d, %q, want %q", path, w.Code, f.last(), want)
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"targets":[{"app":"web","replica":2}]}`, `{"signal":"TERM","scope":"group"}`, `{"by":"1h"}`, `{"app":"a","replicas":3}`,
		`{"dry_run":true}`, `{`, `null`, `[[[[`, `{"targets":[{}]}`, "\xff",
	} {
		f.Add(uint8(0), body)
	}
	own := &server{supervisor: &fake{}}
	table := own.table()
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		r := table[int(which)%len(table)]
		if r.method != "POST" {
			return
		}
		w := ask(&fake{}, r.method, r.path, body)
		switch w.Code {
		case http.StatusOK, http.StatusNoContent:
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%q", w.Body)
			}
		default:
			t.Errorf("%s %q: %d %s", r.path, body, w.Code, w.Body)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"app=web&replica=1", "target=web.2&newest=-3&since=10m", "after=18446744073709551616", "follow=&stream=stdout", "%zz"} {
		f.Add(uint8(12), q)
	}
	events := make(chan client.Event)
	close(events)
	own := &server{supervisor: &fake{}}
	table := own.table()
	f.Fuzz(func(t *testing.T, which uint8, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawQuery = table[int(which)%len(table)].path, query
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody follows
		w := httptest.NewRecorder()
		s := &server{supervisor: &fake{events: events}}
		serving(s.table()).ServeHTTP(w, r.WithContext(ctx))
		if w.Code >= 500 {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add(frames.Append(frames.Append(nil, frames.Size(80, 24)), frames.Frame{Kind: frames.Data, Content: []byte("ls\n")}))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{2, 0, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, wire []byte) {
		var again []byte
		for r := frames.NewReader(bytes.NewReader(wire)); ; {
			frame, err := r.Read()
			if err != nil {
				break
			}
			_, _, _ = frame.Window()
			again = frames.Append(again, frame)
		}
		if !bytes.HasPrefix(wire, again) {
			t.Errorf("%x is read as %x", wire, again)
		}
	})
}

// Who doesn't read holds up nobody, and is cut off at the end.
func TestASlowReaderHoldsUpNobody(t *testing.T) {
	leaktest.Check(t)
	l, err := Listen("test", "")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{events: make(chan client.Event)}
	for range 50_000 {
		f.logs = append(f.logs, client.Line{App: "web", Text: strings.Repeat("x", 100)})
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, f) }()
	for range 5 {
		slow, err := net.Dial("unix", l.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		if _, err := io.WriteString(slow, "GET /v1/logs?follow HTTP/1.1\r\nHost: foster\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.Dial("test")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range c.Logs(t.Context(), client.LogQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if _, err := c.Status(t.Context()); err != nil || n != len(f.logs) {
		t.Errorf("%d lines, %v", n, err)
	}
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Whatever a client sends on a terminal, only it is sent away.
func TestATerminalGuestThatMisbehavesIsSentAway(t *testing.T) {
	for name, sent := range map[string]string{
		"garbage":       "GET / HTTP/1.1\r\n\r\n",
		"a huge frame":  "\x01\xff\xff\xff\xff",
		"a bad size":    "\x02\x00\x00\x00\x01x",
		"unknown":       "\x09\x00\x00\x00\x00",
		"half a header": "\x01\x00",
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{term: newFakeTerminal()}
			_, l := serveFake(t, f)
			conn, err := net.Dial("unix", l.Path())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /v1/terminal?app=web HTTP/1.1\r\nHost: foster\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n%s", frames.Protocol, sent)
			if strings.HasPrefix(name, "half") {
				_ = conn.(*net.UnixConn).CloseWrite()
			}
			answer, _ := io.ReadAll(conn) // a reset is an end, too
			if !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") {
				t.Errorf("%q", answer)
			}
		})
	}
}

// The rest of many clients that have gone in the middle of something is nothing.
func TestClientsThatGoAwayLeaveNothing(t *testing.T) {
	f := &fake{events: make(chan client.Event), hold: make(chan struct{}), freed: make(chan error, 100), term: newFakeTerminal()}
	_, l := serveFake(t, f)
	for _, request := range []string{
		"", "GET ", "GET /v1/events?follow HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/logs?follow HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "POST /v1/start HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
		"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for range 10 {
			conn, err := net.Dial("unix", l.Path())
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.WriteString(conn, request)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
	}
	leaktest.Eventually(t, "the server is idle", func() bool { return idle() })
}

// idle says whether no goroutine of the server serves a connection.
func idle() bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return !bytes.Contains(stacks, []byte("net/http.(*conn).serve"))
}

// A thousand connections that announce long bodies, and send a part of them, cost little, and
// nobody else is kept from being answered.
func TestAThousandThatAnnounceLongBodiesCostLittle(t *testing.T) {
	f := &fake{}
	c, l := serveFake(t, f)
	const guests, sent = 1000, 100 << 10
	part := bytes.Repeat([]byte(" "), sent)
	before := inUse()
	for range guests {
		var conn net.Conn
		leaktest.Eventually(t, "there is room", func() bool {
			var err error
			conn, err = net.Dial("unix", l.Path())
			return err == nil
		})
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // it may not be read
		fmt.Fprintf(conn, "POST /v1/start HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", longestBody)
		_, _ = conn.Write(part)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("who asks meanwhile isn't answered: %v", err)
	}
	if err := c.Start(t.Context(), client.Target{App: strings.Repeat("x", 100)}); err != nil {
		t.Errorf("who asks meanwhile isn't answered: %v", err)
	}
	cost := int64(inUse()) - int64(before)
	t.Logf("%d bytes each, of %d that were sent", cost/guests, sent)
	if cost > guests*sent/3 {
		t.Errorf("%d bytes are held, of %d that were sent", cost, guests*sent)
	}
}

// inUse are the bytes that are alive, and those of stacks. What a pool holds is freed by the
// second collection.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// Long bodies are read, too, a few at a time.
func TestALongBodyIsReadAsItComes(t *testing.T) {
	f := &fake{}
	c, _ := serveFake(t, f)
	var many []client.Target
	for n := range 3000 {
		many = append(many, client.Target{App: fmt.Sprint("app", n)})
	}
	var group sync.WaitGroup
	for range 3 * largeBodies {
		group.Go(func() {
			if err := c.Start(t.Context(), many...); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := f.last(); !strings.HasPrefix(got, "start [{app0 0") || !strings.Contains(got, "{app2999 0") {
		t.Errorf("%.60q", got)
	}
}
