package logs

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleVariable); dir != "" {
		captureUntilKilled(dir)
		return
	}
	if dir := os.Getenv(benchVariable); dir != "" {
		if err := captureStdin(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}

// written is a log whose stdout a test writes to.
type written struct {
	*Log
	t       *testing.T
	w       *os.File
	capture *Capture
}

// newLog is a log in a folder of its own, or in that which is given.
func newLog(t *testing.T, dir string, p Policy) *Log {
	t.Helper()
	s := NewStore(dir, func(_ string, err error) {
		if err != nil {
			t.Logf("problem: %v", err)
		}
	})
	s.Begin()
	t.Cleanup(s.Close)
	l := s.Log("web", 1)
	l.SetPolicy(p)
	return l
}

// pipe begins a capture of one stream.
func pipe(t *testing.T, l *Log, stream Stream) *written {
	t.Helper()
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sys.GrowPipe(r, 1<<20)
	c, err := l.Capture(stream, r, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &written{l, t, w, c}
}

func (w *written) write(text string) {
	w.t.Helper()
	if _, err := w.w.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
}

// end ends the stream, and waits until all is written.
func (w *written) end() {
	w.t.Helper()
	w.w.Close()
	<-w.capture.Done()
}

// read reads some logs of one store.
func read(ctx context.Context, q client.LogQuery, logs ...*Log) iter.Seq2[client.Line, error] {
	return logs[0].store.Read(ctx, Query{LogQuery: q, Logs: func() ([]*Log, error) { return logs, nil }})
}

// texts are the lines that a query gives.
func texts(t *testing.T, logs []*Log, q client.LogQuery) (list []string) {
	t.Helper()
	for line, err := range read(t.Context(), q, logs...) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, textOf(line))
	}
	return list
}

func textOf(l client.Line) string {
	if l.Raw != nil {
		return string(l.Raw)
	}
	return l.Text
}

func number(n int) string { return fmt.Sprintf("line %d of many that are written here", n) }

func TestLinesComeBackAsTheyWereWritten(t *testing.T) {
	long := strings.Repeat("0123456789", 100_000)
	for _, json := range []bool{false, true} {
		for name, lines := range map[string][]string{
			"plain":    {"a", "", "two words", " leading", "trailing ", "\ttab", "carriage\r"},
			"not text": {"\x00\x01\xff\xfe", "caf\xc3\xa9 caf\xe9", `{"a":"b\"}`, "\u2028<&>"},
			"long":     {"before", long, "after", long + long, "x"},
			"like one": {"2026-11-25T13:00:00.123456Z stdout F text", "{}"},
		} {
			t.Run(fmt.Sprint(name, json), func(t *testing.T) {
				leaktest.Check(t)
				l := newLog(t, t.TempDir(), Policy{JSON: json})
				w := pipe(t, l, Stdout)
				w.write(strings.Join(lines, "\n") + "\n")
				w.end()
				if got := texts(t, []*Log{l}, client.LogQuery{}); strings.Join(got, "|") != strings.Join(lines, "|") {
					t.Errorf("%.200q", got)
				}
				if n := l.Counters().Lines; n != uint64(len(lines)) {
					t.Errorf("%d lines were counted, of %d", n, len(lines))
				}
			})
		}
	}
}

func TestRotationLosesAndTearsNothing(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprint(compress), func(t *testing.T) {
			leaktest.Check(t)
			const count, size = 50_000, 64 << 10
			dir := t.TempDir()
			l := newLog(t, dir, Policy{MaxSize: size, MaxFiles: 1000, Compress: compress})
			w := pipe(t, l, Stdout)
			for n := range count {
				w.write(number(n) + "\n")
			}
			w.end()
			for k := range 2 {
				got := texts(t, []*Log{l}, client.LogQuery{})
				if len(got) != count {
					t.Fatalf("%d lines", len(got))
				}
				for n, text := range got {
					if text != number(n) {
						t.Fatalf("line %d is %q", n, text)
					}
				}
				if !compress || k > 0 {
					break
				}
				leaktest.Eventually(t, "all that was rotated is compressed", func() bool {
					plain, _ := filepath.Glob(filepath.Join(dir, "web.1", "*.log"))
					return len(plain) == 1
				})
			}
			files, _ := filepath.Glob(filepath.Join(dir, "web.1", "*.log*"))
			if len(files) < 20 {
				t.Errorf("only %d files", len(files))
			}
			for _, f := range files {
				if info, err := os.Stat(f); err != nil || info.Size() > size {
					t.Errorf("%s: %v, %d bytes", f, err, info.Size())
				}
			}
			if got := texts(t, []*Log{l}, client.LogQuery{Newest: 3}); strings.Join(got, "|") != number(count-3)+"|"+number(count-2)+"|"+number(count-1) {
				t.Errorf("the newest: %q", got)
			}
		})
	}
}

func TestOnlySoManyFilesAreKept(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	l := newLog(t, dir, Policy{MaxSize: 4 << 10, MaxFiles: 3})
	w := pipe(t, l, Stdout)
	for n := range 5000 {
		w.write(number(n) + "\n")
	}
	w.end()
	files, _ := filepath.Glob(filepath.Join(dir, "web.1", "*.log"))
	if len(files) != 4 {
		t.Errorf("%q", files)
	}
	got := texts(t, []*Log{l}, client.LogQuery{})
	if len(got) == 0 || got[len(got)-1] != number(4999) {
		t.Errorf("%d lines", len(got))
	}
}

func TestFollowersSeeAllAcrossRotations(t *testing.T) {
	leaktest.Check(t)
	l := newLog(t, t.TempDir(), Policy{MaxSize: 32 << 10, MaxFiles: 1000, Compress: true})
	w := pipe(t, l, Stdout)
	w.write("before\n")
	leaktest.Eventually(t, "the first line is written", func() bool { return l.Counters().Lines == 1 })
	const count = 20_000
	go func() {
		for n := range count {
			w.write(number(n) + "\n")
		}
	}()
	next := -1
	for line, err := range read(t.Context(), client.LogQuery{Follow: true}, l) {
		if err != nil {
			t.Fatal(err)
		}
		if want := number(next); next >= 0 && line.Text != want || next < 0 && line.Text != "before" {
			t.Fatalf("%q where %q was to come", line.Text, want)
		}
		if next++; next == count {
			break
		}
	}
	w.end()
}

func TestLinesOfManyComeInTheOrderOfTime(t *testing.T) {
	leaktest.Check(t)
	s := NewStore(t.TempDir(), nil)
	var logs []*Log
	var pipes []*written
	for n := range 3 {
		l := s.Log(fmt.Sprint("app", n), 1)
		logs = append(logs, l)
		pipes = append(pipes, pipe(t, l, Stream(n%2)))
	}
	const count = 60
	for n := range count {
		l, w := logs[n%3], pipes[n%3]
		before := l.Counters().Lines
		w.write(number(n) + "\n")
		leaktest.Eventually(t, "it is written", func() bool { return l.Counters().Lines > before })
	}
	for _, w := range pipes {
		w.end()
	}
	for _, q := range []client.LogQuery{{}, {Newest: 7}, {Newest: 1000}} {
		got := texts(t, logs, q)
		first := count - len(got)
		if q.Newest == 7 && len(got) != 7 || q.Newest != 7 && first != 0 {
			t.Errorf("%+v: %d lines", q, len(got))
		}
		for n, text := range got {
			if text != number(first+n) {
				t.Errorf("%+v: line %d is %q", q, n, text)
			}
		}
	}
	if got := texts(t, logs, client.LogQuery{Stream: "stderr"}); len(got) != count/3 {
		t.Errorf("%d lines of stderr", len(got))
	}
	var middle time.Time
	for line, err := range read(t.Context(), client.LogQuery{}, logs...) {
		if err == nil && line.Text == number(30) {
			middle = line.Time
		}
	}
	since, until := texts(t, logs, client.LogQuery{Since: middle}), texts(t, logs, client.LogQuery{Until: middle})
	if len(since) != count-30 || len(until) != 31 {
		t.Errorf("%d since, %d until", len(since), len(until))
	}
}

// Another format begins another file, also in the middle of a line, and nothing is lost.
func TestAnotherPolicyHoldsWhileSomethingIsWritten(t *testing.T) {
	leaktest.Check(t)
	l := newLog(t, t.TempDir(), Policy{MaxFiles: 9})
	w := pipe(t, l, Stdout)
	w.write("one\nbegin")
	leaktest.Eventually(t, "both are read", func() bool { return l.Counters().Bytes == 9 })
	l.SetPolicy(Policy{JSON: true, MaxFiles: 9})
	w.write(" and end\ntwo\n")
	leaktest.Eventually(t, "it is read", func() bool { return l.Counters().Lines == 3 })
	l.SetPolicy(Policy{MaxSize: 1, MaxFiles: 9})
	w.write("three\nfour\n")
	w.end()
	if got := texts(t, []*Log{l}, client.LogQuery{}); strings.Join(got, "|") != "one|begin and end|two|three|four" {
		t.Errorf("%q", got)
	}
	var formats []string
	for n := range uint64(9) {
		text, err := os.ReadFile(logPath(l.dir, n))
		if err != nil || len(text) == 0 {
			continue
		}
		first := strings.HasPrefix(string(text), "{")
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			if strings.HasPrefix(line, "{") != first {
				t.Errorf("file %d has both formats: %s", n, text)
			}
		}
		formats = append(formats, fmt.Sprint(first, " ", strings.Count(string(text), "\n")))
	}
	if got := strings.Join(formats, ", "); got != "false 1, true 2, false 1, false 1" {
		t.Errorf("%s", got)
	}
}

func TestALineWaitsForItsEnd(t *testing.T) {
	leaktest.Check(t)
	l := newLog(t, t.TempDir(), Policy{})
	w := pipe(t, l, Stdout)
	w.write("one\nbegin")
	leaktest.Eventually(t, "both are read", func() bool { return l.Counters().Bytes == 9 })
	if got := texts(t, []*Log{l}, client.LogQuery{}); strings.Join(got, "|") != "one" {
		t.Errorf("%q", got)
	}
	w.write(" and end\nrest")
	w.end()
	if got := texts(t, []*Log{l}, client.LogQuery{}); strings.Join(got, "|") != "one|begin and end|rest" {
		t.Errorf("%q", got)
	}
}

func TestWhoFollowsSeesNewLogsAndOnlyWhatIsNew(t *testing.T) {
	leaktest.Check(t)
	s := NewStore(t.TempDir(), nil)
	old := pipe(t, s.Log("old", 1), Stdout)
	for n := range 10_000 { // more than is looked back at first
		old.write(number(n) + "\n")
	}
	leaktest.Eventually(t, "all is written", func() bool { return old.Counters().Lines == 10_000 })
	quiet := make(chan struct{})
	lines := s.Read(t.Context(), Query{
		LogQuery: client.LogQuery{Newest: -1, Follow: true}, Quiet: quiet,
		Logs: func() ([]*Log, error) { return s.all(), nil },
	})
	// What is written before anybody looks, but after the call, is new.
	old.write("new\n")
	leaktest.Eventually(t, "it is written", func() bool { return old.Counters().Lines == 10_001 })
	var got []string
	for line, err := range lines {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.App+" "+line.Text)
		switch len(got) {
		case 1:
			other := pipe(t, s.Log("other", 1), Stderr)
			other.write("first\n")
			other.end()
		case 2:
			old.write("last")
			old.end()
			close(quiet)
		}
	}
	if strings.Join(got, ", ") != "old new, other first, old last" {
		t.Errorf("%q", got)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("text"), uint8(0), true, false)
	f.Add([]byte("\xff\x00{}"), uint8(1), false, true)
	f.Fuzz(func(t *testing.T, text []byte, stream uint8, part, more bool) {
		text = bytes.ReplaceAll(text, []byte("\n"), nil)
		at := time.Date(2026, 2, 28, 1, 2, 3, 4000, time.UTC)
		for _, json := range []bool{false, true} {
			l := &Log{app: "web", replica: 1, policy: Policy{JSON: json}}
			out := l.appendRecord(nil, at, Stream(stream%3), part, more, text)
			if bytes.Count(out, []byte("\n")) != 1 {
				t.Fatalf("%q isn't a line", out)
			}
			r, ok := parseRecord(bytes.TrimSuffix(out, []byte("\n")))
			if !ok || !bytes.Equal(r.text, text) || r.stream != Stream(stream%3).String() || r.part != part || r.more != more || !r.time.Equal(at) {
				t.Fatalf("%q was read as %+v", out, r)
			}
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("2026-11-25T13:00:00.123456Z stdout F:+ text"))
	f.Add([]byte(`{"time":"2026-11-25T13:00:00.123456Z","stream":"stderr","raw":"AAA="}`))
	f.Fuzz(func(_ *testing.T, line []byte) { parseRecord(line) })
}
