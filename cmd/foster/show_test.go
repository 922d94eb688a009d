package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
)

// shown collects what a show writes to both its outputs.
func shown(colours bool) (*show, *bytes.Buffer) {
	s := newShow(nil, nil, true)
	var b bytes.Buffer
	s.stdout, s.stderr = screen{bufio.NewWriter(&b), colours}, screen{bufio.NewWriter(&b), colours}
	return s, &b
}

func TestLinesHaveTheNameOfWhoSaidThem(t *testing.T) {
	s, b := shown(false)
	s.app("db", 1, false)
	s.app("worker", 2, false)
	for _, l := range []client.Line{
		{App: "db", Replica: 1, Stream: "stdout", Text: "one"},
		{App: "worker", Replica: 2, Stream: "stderr", Text: "two"},
		{App: "db", Replica: 1, Stream: "stdout", Raw: []byte("\xff\xfe")},
	} {
		if err := s.line(l); err != nil {
			t.Fatal(err)
		}
	}
	s.flush()
	if want := "db       | one\nworker.2 | two\ndb       | \xff\xfe\n"; b.String() != want {
		t.Errorf("%q", b)
	}
}

func TestAColourOfALineEndsWithIt(t *testing.T) {
	s, b := shown(true)
	s.app("db", 1, false)
	_ = s.line(client.Line{App: "db", Replica: 1, Text: "\x1b[31mred"})
	s.flush()
	if want := "\x1b[36mdb |\x1b[0m \x1b[31mred\x1b[0m\n"; b.String() != want {
		t.Errorf("%q", b)
	}
}

func TestEventsAreToldInWords(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		e    client.Event
		want string
	}{
		{client.Event{App: "web", Replica: 1, Kind: "state", To: client.Running, Cause: "started (pid 7)"}, "web: started (pid 7)"},
		{client.Event{App: "web", Replica: 1, Kind: "state", To: client.Backoff, Cause: "ended: its leader exited with 7", Time: now, Due: now.Add(time.Second)},
			"web: ended: its leader exited with 7; it is started again in 1s"},
		{client.Event{App: "web", Replica: 1, Kind: "state", To: client.Failed, Cause: "no such file"}, "web: failed: no such file"},
		{client.Event{App: "web", Replica: 1, Kind: "state", From: client.Stopping, To: client.Stopped, Cause: "stopped"}, "web: stopped"},
		{client.Event{App: "web", Replica: 1, Kind: "state", To: client.Waiting, Cause: "with foster up"}, ""},
		{client.Event{App: "web", Replica: 1, Kind: "ready"}, ""},
		{client.Event{App: "db", Replica: 1, Kind: "ready"}, "db: ready"},
		{client.Event{Kind: "supervisor", Cause: "stops all applications"}, "stops all applications"},
		{client.Event{App: "web", Replica: 1, Kind: "hook", Cause: "a\x1b[2Jb"}, `web: a\x1b[2Jb`},
	} {
		s, b := shown(false)
		s.app("web", 1, false)
		s.app("db", 1, true)
		s.event(c.e)
		s.flush()
		if got := strings.TrimSuffix(strings.TrimPrefix(b.String(), "foster: "), "\n"); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
