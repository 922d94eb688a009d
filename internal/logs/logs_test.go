package logs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

// pipe begins a capture of one stream, of a new run.
func pipe(t *testing.T, l *Log, stream Stream) *written {
	t.Helper()
	return capturePipe(t, l, stream, true)
}

func capturePipe(t *testing.T, l *Log, stream Stream, fresh bool) *written {
	t.Helper()
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sys.GrowPipe(r, 1<<20)
	c, err := l.Capture(stream, r, fresh, nil)
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
	f.Fuzz(func(t *testing.T, line []byte) {
		r, ok := parseRecord(line)
		if !ok || bytes.IndexByte(line, '\n') >= 0 || r.time.Year() < 0 || r.time.Year() > 9999 {
			return // what is in a file has no newline
		}
		n := slices.Index(streamNames[:], r.stream)
		if n < 0 {
			t.Fatalf("got %+v", r)
		}
		if bytes.IndexByte(r.text, '\n') >= 0 {
			return // of JSON, which isn't written like this
		}
		l := &Log{app: "web", replica: 1}
		again, ok := parseRecord(bytes.TrimSuffix(l.appendRecord(nil, r.time, Stream(n), r.part, r.more, r.text), []byte("\n")))
		r.time = r.time.Truncate(time.Microsecond)
		if !ok || !again.time.Equal(r.time) || again.stream != r.stream || again.part != r.part || again.more != r.more || !bytes.Equal(again.text, r.text) {
			t.Errorf("%+v became %+v", r, again)
		}
	})
}

// A file that is damaged is told of in its place, and what is before and after it is read.
func TestADamagedFileHidesNoOther(t *testing.T) {
	leaktest.Check(t)
	random := make([]byte, 256<<10) // does not become small
	rand.NewChaCha8([32]byte{}).Read(random)
	for name, harm := range map[string]func([]byte) []byte{
		"empty": func([]byte) []byte { return nil },
		"cut":   func(b []byte) []byte { return b[:len(b)/2] },
		"other": func([]byte) []byte { return []byte("no gzip") },
		"flip":  func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b },
		"sum":   func(b []byte) []byte { b[len(b)-6] ^= 0xff; return b },
	} {
		l := newLog(t, t.TempDir(), Policy{})
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for n, text := range []string{"first", fmt.Sprintf("%x", random), "last"} {
			path := logPath(l.dir, uint64(n+1))
			record := plainHead(nil, time.Unix(int64(n), 0), Stdout, false, false)
			if err := os.WriteFile(path, fmt.Appendf(record, "%s\n", text), 0o600); err != nil {
				t.Fatal(err)
			}
			if n == 2 {
				break
			}
			if err := pack(path, nil); err != nil {
				t.Fatal(err)
			}
		}
		path := logPath(l.dir, 2) + gzSuffix
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, harm(b), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, newest := range []int{0, 100} {
			lines := texts(t, []*Log{l}, client.LogQuery{Newest: newest})
			if n := len(lines); n < 3 || lines[0] != "first" || lines[n-1] != "last" ||
				lines[n-2] != "0000000002.log.gz is damaged: the rest of it can't be read" {
				t.Errorf("%s, newest %d: read %.200q", name, newest, lines)
			}
		}
	}
}

// The state of a log is read as it was written, or not at all.
func FuzzState(f *testing.F) {
	s := state{end: position{3, 4096}, used: [2]int64{10, 20}, mid: [2]bool{true, false}}
	whole := s.encode()
	f.Add(whole[:])
	f.Add(whole[:63])
	f.Add([]byte(stateMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := decodeState(b); ok {
			if s.end.seq == 0 || s.end.off < 0 || s.used[0] < 0 || s.used[1] < 0 {
				t.Errorf("got %+v", s)
			}
		}
		if len(b) < stateSize {
			return
		}
		s := state{
			end:  position{binary.LittleEndian.Uint64(b) | 1, int64(binary.LittleEndian.Uint64(b[8:]) >> 1)},
			used: [2]int64{int64(binary.LittleEndian.Uint64(b[16:]) >> 1), int64(b[24])}, mid: [2]bool{b[25]&1 == 1, b[26]&1 == 1},
		}
		text := s.encode()
		if again, ok := decodeState(text[:]); !ok || again != s {
			t.Errorf("%+v became %+v, %v", s, again, ok)
		}
		text[int(b[27])%stateSize] ^= b[28] | 1
		if again, ok := decodeState(text[:]); ok {
			t.Errorf("%+v with another byte is %+v", s, again)
		}
	})
}

// Whatever is in the folder of a log, what is written to it from then on is read, behind it.
func FuzzFolder(f *testing.F) {
	line := "2026-11-25T13:00:00.123456Z stdout F text\n"
	s := state{end: position{1, int64(len(line))}}
	whole := s.encode()
	f.Add([]byte(line), whole[:], []byte(nil), false)
	f.Add([]byte(line+line[:30]), []byte(nil), []byte("begun"), false)
	f.Add([]byte(line), []byte(stateMagic), []byte("\x1f\x8b"), true)
	f.Add([]byte("\xff\x00\n{}\n{\"time\":1}\n"), []byte(nil), []byte(line), true)
	f.Add([]byte(nil), whole[:], []byte("x\ny"), false)
	f.Fuzz(func(t *testing.T, log, state, spool []byte, packed bool) {
		dir := t.TempDir()
		l := NewStore(dir, func(string, error) {}).Log("web", 1)
		name := "stdout.spool.0"
		if packed {
			name = "0000000001.log.gz"
		}
		for path, content := range map[string][]byte{"0000000001.log": log, stateFile: state, name: spool} {
			if err := errors.Join(os.MkdirAll(l.dir, 0o700), os.WriteFile(filepath.Join(l.dir, path), content, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		var lines []string
		look := func() {
			lines = lines[:0]
			for line, err := range read(t.Context(), client.LogQuery{}, l) {
				if err != nil {
					return // what can't be read is told
				}
				lines = append(lines, textOf(line))
			}
		}
		look()
		if most := bytes.Count(log, []byte("\n")) + bytes.Count(spool, []byte("\n")) + 4; len(lines) > most && !packed {
			t.Errorf("%d lines came of at most %d", len(lines), most)
		}
		w := pipe(t, l, Stderr)
		w.write("the last\n")
		w.end()
		// Where somebody else has written the end of a line away, it is behind that.
		if look(); len(lines) == 0 || !strings.HasSuffix(lines[len(lines)-1], "the last") {
			t.Errorf("read %q", lines)
		}
	})
}
