package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fields is what stands behind the name in /proc/PID/stat, up to the start time;
// rest is what follows there.
const (
	fields = " S 10 20 30 34816 20 4194304 100 0 0 0 1 2 3 4 20 0 5 0 987654"
	rest   = " 1000000 200 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
)

// named is what fields says of a process with that name.
func named(comm string) Stat {
	return Stat{PID: 40, Comm: comm, State: 'S', PPID: 10, PGID: 20, Session: 30, Flags: 4194304, Threads: 5, Start: 987654}
}

func TestParseStatIsNotMisledByAName(t *testing.T) {
	for _, comm := range []string{
		"sh", "", "a b", "(", ")", "()", ") R 1 (", ") R 1 1 1 0 0 0", "((sd-pam))",
		"a\nb", "\n", "\xff\xfe", "µ", " ", "\x00", "%d",
		") S 1 1 1 0 -1 4194304 1 1 1 1 1 1 1 1 20 0 1 0 1 1 1",
	} {
		got, err := parseStat([]byte("40 (" + comm + ")" + fields + rest))
		if want := named(comm); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", comm, got, err, want)
		}
	}
}

func TestParseStatNeedsNoMoreThanTheStartTime(t *testing.T) {
	got, err := parseStat([]byte("40 (sh)" + fields))
	if want := named("sh"); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestParseStatRefusesALineThatIsCutOff(t *testing.T) {
	line := "40 (a) b)" + fields
	for i := range strings.LastIndexByte(line, ' ') + 1 {
		if got, err := parseStat([]byte(line[:i])); !errors.Is(err, ErrMalformed) || got != (Stat{}) {
			t.Errorf("%q: got %+v, %v; want ErrMalformed", line[:i], got, err)
		}
	}
}

func TestParseStatRefusesWhatIsNoNumber(t *testing.T) {
	words := strings.Fields(fields)
	for _, n := range []int{4, 5, 6, 9, 20, 22} { // as proc(5) counts them
		for _, bad := range []string{"x", "1x", "99999999999999999999"} {
			broken := slices.Clone(words)
			broken[n-3] = bad
			if got, err := parseStat([]byte("40 (sh) " + strings.Join(broken, " "))); !errors.Is(err, ErrMalformed) {
				t.Errorf("field %d is %q: got %+v, %v; want ErrMalformed", n, bad, got, err)
			}
		}
	}
	for _, line := range []string{
		"(sh)" + fields, " (sh)" + fields, "x (sh)" + fields, "0 (sh)" + fields, "-1 (sh)" + fields,
		"40 sh" + fields, "40 )sh(" + fields, "40 (sh" + fields, "40 sh)" + fields,
		"40 (sh) SS" + fields[2:],
	} {
		if got, err := parseStat([]byte(line)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %+v, %v; want ErrMalformed", line, got, err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("40 (sh)" + fields + rest))
	f.Add([]byte("40 () R 1 ()" + fields))
	f.Add([]byte("1 (a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || s != (Stat{}) {
				t.Errorf("%+v, %v", s, err)
			}
			return
		}
		if s.PID <= 0 || !bytes.Contains(b, []byte("("+s.Comm+")")) {
			t.Errorf("%+v", s)
		}
		_, _ = s.Ended(), s.StartTime() // whatever they say, they say it
	})
}

func FuzzParseStatIsNotMisledByAName(f *testing.F) {
	f.Add(") R 1 (")
	f.Add("a\nb")
	f.Fuzz(func(t *testing.T, comm string) {
		got, err := parseStat([]byte("40 (" + comm + ")" + fields + rest))
		if want := named(comm); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

func TestEnded(t *testing.T) {
	const randomized = 0x400000 // a flag that says nothing here
	for _, tt := range []struct {
		s    Stat
		want bool
	}{
		{Stat{State: 'R', Threads: 1, Flags: randomized}, false},
		{Stat{State: 'S', Threads: 7}, false},
		{Stat{State: 'D', Threads: 1}, false},
		{Stat{State: 'T', Threads: 1}, false},
		{Stat{State: 'Z', Threads: 1}, true},
		{Stat{State: 'Z', Threads: 0}, true},
		{Stat{State: 'X', Threads: 1}, true},
		{Stat{State: 'R', Threads: 1, Flags: pfExiting | randomized}, true},
		// The first thread has ended, but others run on.
		{Stat{State: 'Z', Threads: 2}, false},
		{Stat{State: 'R', Threads: 2, Flags: pfExiting}, false},
	} {
		if got := tt.s.Ended(); got != tt.want {
			t.Errorf("%c with %d threads and flags %#x: ended is %t", tt.s.State, tt.s.Threads, tt.s.Flags, got)
		}
	}
}

func TestStartTimeIsUnknownWhereThereIsNone(t *testing.T) {
	if got := (Stat{PID: 1}).StartTime(); !got.IsZero() {
		t.Errorf("got %v", got)
	}
}

func TestParsePending(t *testing.T) {
	for _, tt := range []struct {
		content string
		want    uint64
		ok      bool
	}{
		{"Name:\tsh\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n", 0, true},
		{"Name:\tsh\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n", 1 << 8, true},
		{"Name:\tsh\nSigPnd:\tffffffffffffffff", 1<<64 - 1, true},
		// The kernel writes a newline in a name as \n.
		{"Name:\t\\nSigPnd:\t1\nSigPnd:\t0000000000000002\n", 2, true},
		{"", 0, false},
		{"Name:\tsh\n", 0, false},
		{"SigPnd:\t0000000000000100\n", 0, false},
		{"\nSigPnd:\t\n", 0, false},
		{"\nSigPnd:\tx\n", 0, false},
		{"\nSigPnd:\t10000000000000000\n", 0, false},
	} {
		got, ok := parsePending([]byte(tt.content))
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %#x, %t; want %#x, %t", tt.content, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParsePending(f *testing.F) {
	f.Add([]byte("Name:\tsh\nSigPnd:\t0000000000000100\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if mask, ok := parsePending(b); ok {
			again, ok := parsePending(fmt.Appendf(nil, "\nSigPnd:\t%016x\n", mask))
			if !ok || again != mask {
				t.Errorf("%#x became %#x, %t", mask, again, ok)
			}
		}
	})
}

func TestSplitCmdline(t *testing.T) {
	for content, want := range map[string][]string{
		"":                       nil,
		"\x00":                   nil,
		"sh\x00":                 {"sh"},
		"sh\x00-c\x00a b\nc\x00": {"sh", "-c", "a b\nc"},
		"a\x00\x00b\x00":         {"a", "", "b"},
		"\x00a\x00":              {"", "a"},
		// Written by the process itself, as servers do.
		"server: idle":               {"server: idle"},
		"server: idle\x00\x00\x00":   {"server: idle"},
		"\xff\x00":                   {"\xff"},
		"no\x00zero at\x00the end":   {"no", "zero at", "the end"},
		strings.Repeat("\x00", 4096): nil,
	} {
		if got := splitCmdline([]byte(content)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
}

func FuzzSplitCmdline(f *testing.F) {
	f.Add([]byte("sh\x00-c\x00true\x00"))
	f.Add([]byte("a\x00\x00b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		args := splitCmdline(b)
		if got, want := strings.Join(args, "\x00"), strings.TrimRight(string(b), "\x00"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if len(args) > 0 && args[len(args)-1] == "" {
			t.Errorf("an empty argument ends %q", args)
		}
	})
}

// tree makes a snapshot of pairs of a process and its parent.
func tree(pairs ...[2]int) (snapshot []Stat) {
	for _, p := range pairs {
		snapshot = append(snapshot, Stat{PID: p[0], PPID: p[1]})
	}
	return snapshot
}

func pids(list []Stat) (pids []int) {
	for _, s := range list {
		pids = append(pids, s.PID)
	}
	return pids
}

func TestBelow(t *testing.T) {
	for _, tt := range []struct {
		name     string
		snapshot []Stat
		root     int
		want     []int
	}{
		{"nothing", nil, 1, nil},
		{"root alone", tree([2]int{1, 0}), 1, nil},
		{"no such root", tree([2]int{1, 0}, [2]int{2, 1}), 3, nil},
		{"strangers are left out", tree([2]int{1, 0}, [2]int{5, 1}, [2]int{6, 5}, [2]int{7, 1}), 5, []int{6}},
		{"parents come before children, whatever their numbers",
			tree([2]int{2, 9}, [2]int{3, 2}, [2]int{9, 5}, [2]int{5, 1}), 5, []int{9, 2, 3}},
		{"all that hangs together", tree([2]int{1, 0}, [2]int{2, 0}, [2]int{3, 1}), 0, []int{1, 2, 3}},
		{"root is its own parent", tree([2]int{1, 1}, [2]int{2, 1}), 1, []int{2}},
		{"root below its child", tree([2]int{1, 2}, [2]int{2, 1}, [2]int{3, 2}), 1, []int{2, 3}},
		{"a circle elsewhere", tree([2]int{2, 3}, [2]int{3, 2}, [2]int{4, 1}), 1, []int{4}},
		{"a process that is its own parent", tree([2]int{2, 2}, [2]int{3, 1}), 1, []int{3}},
		{"a circle below root, by a process that was read twice",
			tree([2]int{2, 1}, [2]int{3, 2}, [2]int{2, 3}), 1, []int{2, 3}},
	} {
		if got := pids(Below(tt.snapshot, tt.root)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestBelowFindsEachDescendantOnce compares with the simple way: to climb from
// each process to the root.
func TestBelowFindsEachDescendantOnce(t *testing.T) {
	const seed, root = 3, 1
	r := rand.New(rand.NewPCG(seed, seed))
	for range 500 {
		n := 2 + r.IntN(12)
		parent := map[int]int{}
		for pid := 1; pid <= n; pid++ {
			parent[pid] = r.IntN(n + 1) // circles too
		}
		descends := func(pid int) bool {
			for range n {
				if pid = parent[pid]; pid == root {
					return true
				}
			}
			return false
		}
		var snapshot []Stat
		var want []int
		for pid, ppid := range parent {
			snapshot = append(snapshot, Stat{PID: pid, PPID: ppid})
			if pid != root && descends(pid) {
				want = append(want, pid)
			}
		}
		got := pids(Below(snapshot, root))
		for i, pid := range got {
			if p := parent[pid]; p != root && !slices.Contains(got[:i], p) {
				t.Fatalf("%v: %d comes before its parent %d in %v", parent, pid, p, got)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%v: got %v, want %v", parent, got, want)
		}
	}
}
