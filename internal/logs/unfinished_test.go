package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

// What has begun of a line is given when it is quiet, and once for each time that more has
// come; the whole line comes as ever. Who doesn't ask for it gets whole lines only.
func TestLineThatHasBegunIsGivenToWhoAsks(t *testing.T) {
	leaktest.Check(t)
	l := newLog(t, t.TempDir(), Policy{})
	w, e := pipe(t, l, Stdout), pipe(t, l, Stderr)
	w.write("before\nname")
	whole := make(chan string, 1)
	go func() {
		var all []string
		for line, err := range read(t.Context(), client.LogQuery{Follow: true}, l) {
			if all = append(all, fmt.Sprintf("%s %v %v", line.Text, line.Unfinished, err)); len(all) == 4 {
				break
			}
		}
		whole <- strings.Join(all, ", ")
	}()
	var got []string
	for line, err := range read(t.Context(), client.LogQuery{Follow: true, Unfinished: true}, l) {
		if err != nil {
			t.Fatal(err)
		}
		text := line.Text
		if line.Unfinished {
			text += "…"
		}
		switch got = append(got, text); len(got) {
		case 2:
			w.write("? ")
		case 3:
			e.write("error\n") // that there is other news is no reason to give it again
		case 4:
			w.write("me\n" + strings.Repeat("x", longestBegun+1)) // no prompt
			e.write("sure? ")
		case 6:
			e.write("yes\n")
		}
		if len(got) == 7 {
			break
		}
	}
	if text := strings.Join(got, ", "); text != "before, name…, name? …, error, name? me, sure? …, sure? yes" {
		t.Errorf("%q", text)
	}
	if text := <-whole; text != "before false <nil>, error false <nil>, name? me false <nil>, sure? yes false <nil>" {
		t.Errorf("whole lines: %q", text)
	}
	w.end()
	w = pipe(t, l, Stdout)
	w.write("at the end")
	leaktest.Eventually(t, "it is read", func() bool {
		end, err := l.position()
		return err == nil && l.begunEnd(Stdout, end) > 0
	})
	var last client.Line
	for line := range read(t.Context(), client.LogQuery{Unfinished: true}, l) {
		last = line
	}
	if last.Text != "at the end" || !last.Unfinished {
		t.Errorf("without following, the last is %+v", last)
	}
	w.end()
	e.end()
}

// A run is lost with half a line, and the supervisor that starts the next is killed before it
// captures that: who adopts it can't tell the two apart.
func TestHalfALineIsNotJoinedWithARunThatIsAdopted(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	l := newLog(t, dir, Policy{})
	w := pipe(t, l, Stdout)
	w.write("before\nhalf")
	leaktest.Eventually(t, "half a line is there", func() bool {
		end, err := l.position()
		return err == nil && l.begunEnd(Stdout, end) > 0
	})
	left := filepath.Join(t.TempDir(), "left") // as it is where this process is killed now
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	w.end()
	next := newLog(t, left, Policy{})
	next.EndLines()
	w = capturePipe(t, next, Stdout, false)
	w.write("whole\n")
	w.end()
	if got := strings.Join(texts(t, []*Log{next}, client.LogQuery{}), ", "); got != "before, half, whole" {
		t.Errorf("%q", got)
	}
}
