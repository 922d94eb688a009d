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
	s.stdout, s.stderr = screen{bufio.NewWriter(&b), colours, colours}, screen{bufio.NewWriter(&b), colours, colours}
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

// A prompt is shown before its line ends, and nothing of it twice, whatever comes between.
func TestPromptIsShownOnce(t *testing.T) {
	part := func(text string) client.Line {
		return client.Line{App: "a", Replica: 1, Text: text, Unfinished: true}
	}
	line := func(app, text string) client.Line { return client.Line{App: app, Replica: 1, Text: text} }
	for _, c := range []struct {
		name  string
		lines []client.Line
		want  string
	}{
		{"answered", []client.Line{part("name? "), line("a", "name? me")}, "a | name? me\n"},
		{"answered with nothing", []client.Line{part("go on? "), line("a", "go on? ")}, "a | go on? \n"},
		{"in parts", []client.Line{part("na"), part("name? "), line("a", "name? me"), line("a", "name? me")}, "a | name? me\na | name? me\n"},
		{"another between", []client.Line{part("name? "), line("b", "hello"), line("a", "name? me")}, "a | name? \nb | hello\na | me\n"},
		{"another between, and nothing after", []client.Line{part("name? "), line("b", "hello"), line("a", "name? ")}, "a | name? \nb | hello\n"},
		{"another line after all", []client.Line{part("name? "), line("a", "other")}, "a | name? \na | other\n"},
		{"cut in a sequence", []client.Line{part("x\x1b[3"), line("a", "x\x1b[32mgreen\x1b[2J")}, "a | x\x1b[32mgreen\x1b[0m\n"},
		{"cut in a character", []client.Line{part("x\xe6\xbc"), line("a", "x漢")}, "a | x漢\n"},
		{"written over later", []client.Line{part("10%"), part("10%\r20%"), line("a", "10%\r20%\rall")}, "a | 10%\na | all\n"},
		{"nothing to see", []client.Line{part("\x1b[2J"), line("a", "\x1b[2J")}, "a | \n"},
		{"the end", []client.Line{part("name? ")}, "a | name? \n"},
	} {
		s, b := shown(true)
		s.stdout.colours = false
		s.app("a", 1, false)
		for _, l := range c.lines {
			_ = s.line(l) // a buffer
		}
		s.end()
		if b.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, b, c.want)
		}
	}
	s, b := shown(false) // a pipe gets whole lines, as they were written
	s.app("a", 1, false)
	for _, l := range []client.Line{part("name? "), line("a", "name? me\x1b[2J\rx")} {
		_ = s.line(l) // a buffer
	}
	s.end()
	if want := "a | name? me\x1b[2J\rx\n"; b.String() != want {
		t.Errorf("%q, want %q", b, want)
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
