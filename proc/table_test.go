package proc

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/foster-init/foster/internal/procfs"
)

func numbers(list []*Process) (pids []int) {
	for _, p := range list {
		pids = append(pids, p.PID)
	}
	return pids
}

func TestTrees(t *testing.T) {
	table := made(time.Now(), pid1, at(2, 1, 2, 2, ""), at(9, 2, 9, 2, ""), at(3, 9, 9, 2, ""), at(4, 2, 2, 2, ""),
		at(5, 5, 5, 5, ""), at(6, 77, 5, 5, ""), at(7, 8, 7, 7, ""), at(8, 7, 7, 7, ""))
	for _, tt := range []struct {
		what      string
		got, want []int
	}{
		{"children", numbers(table.Children(2)), []int{4, 9}},
		{"children of none", numbers(table.Children(55)), nil},
		{"its own child", numbers(table.Children(5)), nil},
		{"descendants", numbers(table.Descendants(1)), []int{2, 4, 9, 3}},
		{"descendants in a circle", numbers(table.Descendants(7)), []int{8}},
		{"ancestors", numbers(table.Ancestors(3)), []int{9, 2, 1}},
		{"ancestors in a circle", numbers(table.Ancestors(7)), []int{8}},
		{"ancestors of none", numbers(table.Ancestors(55)), nil},
		{"roots", numbers(table.Roots()), []int{1, 5, 6}},
		{"group", numbers(table.Group(9)), []int{3, 9}},
		{"session", numbers(table.Session(2)), []int{2, 3, 4, 9}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	if got := table.JobControl(9); got != 1 {
		t.Errorf("group 9 is controlled by %d", got)
	}
	if got := table.JobControl(5); got != 0 {
		t.Errorf("group 5 is controlled by %d", got)
	}
}

// TestDescendantsAgreeWithCustodys compares with the way custody finds them.
func TestDescendantsAgreeWithCustodys(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		n := 2 + r.IntN(20)
		var list []Process
		var snapshot []procfs.Stat
		for pid := 1; pid <= n; pid++ {
			ppid := r.IntN(n + 1)
			list = append(list, at(pid, ppid, 1, 1, ""))
			snapshot = append(snapshot, procfs.Stat{PID: pid, PPID: ppid})
		}
		var want []int
		for _, s := range procfs.Below(snapshot, 1) {
			want = append(want, s.PID)
		}
		table := made(time.Now(), list...)
		got := numbers(table.Descendants(1))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: got %v, want %v", snapshot, got, want)
		}
		for pid := range n + 2 {
			table.Ancestors(pid) // ends, whatever the circles
		}
	}
}

func TestANumberThatWasReadTwiceIsInTheTableOnce(t *testing.T) {
	table := made(time.Now(), at(3, 1, 1, 1, "a"), at(2, 1, 1, 1, "b"), at(3, 1, 1, 1, "c"))
	if len(table.Processes) != 2 || table.Get(3).Name != "a" || table.Get(2).Name != "b" || table.Get(4) != nil {
		t.Errorf("%+v", table.Processes)
	}
}

func TestIdentitiesAreReadAsTheyWereWritten(t *testing.T) {
	id := ID{PID: 12, Start: 1<<64 - 1, Boot: "7c0e1a-b"}
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "1", "1.2", "1.2.", "0.2.b", "-1.2.b", "+1.2.b", "01.2.b", "1.x.b", "99999999999.1.b", "1..b"} {
		if id, err := ParseID(s); err == nil {
			t.Errorf("%q: %+v", s, id)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("12.34.b")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Errorf("%q became %q", s, id)
		}
	})
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"":              "",
		"sh -c 'a b'":   "sh -c 'a b'",
		"a\nb":          `a\nb`,
		"\x1b[31m":      `\x1b[31m`,
		"\xff\xfe":      `\xff\xfe`,
		`a\nb`:          `a\\nb`,
		"µ漢字":           "µ漢字",
		"\u202egpj.exe": `\u202egpj.exe`, // turns the direction of text
		"a\u0301":       `a\u0301`,       // sits on the letter before
		"a\u00a0b":      `a\u00a0b`,      // a blank that isn't one
		"\x7f\x00\t":    `\x7f\x00\t`,
		"\u009b2J":      `\u009b2J`, // ESC [ in one
		"\ufffd":        "\ufffd",
	} {
		if got := Printable(s); got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[2J\xff\\")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q: %q isn't UTF-8", s, got)
		}
		for _, r := range got {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e {
				t.Errorf("%q: %q", s, got)
			}
		}
	})
}

func TestCommandLines(t *testing.T) {
	p := Process{Name: "s\nh"}
	if got := p.CommandLine(); got != `[s\nh]` {
		t.Error(got)
	}
	p.Args = []string{"sh", "-c", "a b", "", "it's", "\n"}
	if got := p.CommandLine(); got != `sh -c 'a b' '' 'it\'s' \n` {
		t.Error(got)
	}
}

func TestStatColumn(t *testing.T) {
	p := Process{PID: 5, State: Sleeping, Nice: -1, Session: 5, PGID: 5, Threads: 2, Foreground: 5, known: Always}
	if got := p.Stat(); got != "S<sl+" {
		t.Error(got)
	}
	p = Process{PID: 5, State: Defunct, Nice: 3, Foreground: -1, Threads: 1, known: Always}
	if got := p.Stat(); got != "ZN" {
		t.Error(got)
	}
	for s := range 256 {
		if State(s).Words() == "" || State(s).String() == "" {
			t.Errorf("state %d has no words", s)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for w, want := range map[int]ExitStatus{
		0: {}, 3 << 8: {Code: 3}, 9: {Code: -1, Signal: 9}, 0x8b: {Code: -1, Signal: 11, Core: true},
	} {
		if got := exitStatus(w); got != want {
			t.Errorf("%#x: %+v", w, got)
		}
	}
}
