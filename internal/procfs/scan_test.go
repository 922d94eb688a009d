package procfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// whole is a line of a zombie, as Linux 6.18 writes it for one who may trace it.
const whole = "17466 (sh) Z 17464 17450 21966 34816 17450 4227084 85 0 0 0 3 4 5 6 20 -7 1 0 1681296 8192 2 " +
	"18446744073709551615 0 0 0 0 0 0 0 6 65536 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 768\n"

func TestParseLineTakesEachFieldFromItsPlace(t *testing.T) {
	var l Line
	if err := ParseLine([]byte(whole), &l); err != nil {
		t.Fatal(err)
	}
	if string(l.Comm) != "sh" {
		t.Errorf("name %q", l.Comm)
	}
	l.Comm = nil
	want := Line{
		PID: 17466, State: 'Z', PPID: 17464, PGID: 17450, Session: 21966, TTY: 34816, Foreground: 17450,
		Flags: 4227084, User: 3, System: 4, ChildUser: 5, ChildSystem: 6, Priority: 20, Nice: -7, Threads: 1,
		Start: 1681296, VSize: 8192, RSS: 2, Processor: 1, ExitCode: 768, HasExitCode: true, Permitted: true,
	}
	if !sameLine(&l, &want) {
		t.Errorf("got  %+v\nwant %+v", l, want)
	}
}

func sameLine(a, b *Line) bool {
	x, y := *a, *b
	x.Comm, y.Comm = nil, nil
	return bytes.Equal(a.Comm, b.Comm) && equalButComm(x, y)
}

func equalButComm(x, y Line) bool {
	return x.PID == y.PID && x.PPID == y.PPID && x.PGID == y.PGID && x.Session == y.Session && x.State == y.State &&
		x.TTY == y.TTY && x.Foreground == y.Foreground && x.Flags == y.Flags && x.User == y.User &&
		x.System == y.System && x.ChildUser == y.ChildUser && x.ChildSystem == y.ChildSystem &&
		x.Priority == y.Priority && x.Nice == y.Nice && x.Threads == y.Threads && x.Start == y.Start &&
		x.VSize == y.VSize && x.RSS == y.RSS && x.Processor == y.Processor && x.ExitCode == y.ExitCode &&
		x.HasExitCode == y.HasExitCode && x.Permitted == y.Permitted
}

func TestParseLineRefusesALineThatIsCutOff(t *testing.T) {
	line := "40 (a) b)" + fields
	for i := range strings.LastIndexByte(line, ' ') + 1 {
		var l Line
		if err := ParseLine([]byte(line[:i]), &l); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %+v, %v; want ErrMalformed", line[:i], l, err)
		}
	}
}

// agrees compares ParseLine with the slower parser that custody uses.
func agrees(t *testing.T, b []byte) {
	t.Helper()
	var l Line
	if ParseLine(b, &l) != nil {
		return
	}
	s, err := parseStat(b)
	if err != nil {
		t.Fatalf("%q: parseStat refuses it: %v", b, err)
	}
	if l.PID != s.PID || l.PPID != s.PPID || l.PGID != s.PGID || l.Session != s.Session || l.State != s.State ||
		l.Flags != s.Flags || l.Start != s.Start || string(l.Comm) != s.Comm {
		t.Fatalf("%q: got %+v, want %+v", b, l, s)
	}
}

func TestParseLineIsNotMisledByAName(t *testing.T) {
	for _, comm := range []string{"sh", "", "a b", "(", ")", "()", ") R 1 (", ") R 1 1 1 0 0 0", "a\nb", "\xff", "\x00"} {
		b := []byte("40 (" + comm + ")" + fields + rest)
		var l Line
		if err := ParseLine(b, &l); err != nil || string(l.Comm) != comm {
			t.Errorf("%q: %+v, %v", comm, l, err)
		}
		agrees(t, b)
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte("40 (sh)" + fields + rest))
	f.Add([]byte("40 () R 1 ()" + fields))
	f.Add([]byte(whole))
	f.Add([]byte("1 (a"))
	f.Add([]byte("1 () Z 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 -0 0 0")) // no number of threads
	f.Add([]byte("1 ()   0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"))  // no state
	f.Fuzz(agrees)
}

func TestParseLineAllocatesNothing(t *testing.T) {
	b, l := []byte("40 (sh)"+fields+rest), new(Line)
	if n := testing.AllocsPerRun(100, func() { _ = ParseLine(b, l) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// entry is one linux_dirent64.
func entry(name string) []byte {
	size := (entryHeader + len(name) + 1 + 7) &^ 7
	b := make([]byte, size)
	binary.NativeEndian.PutUint16(b[16:], uint16(size))
	copy(b[entryHeader:], name)
	return b
}

func TestOnlyNumbersAmongEntriesAreProcesses(t *testing.T) {
	var b []byte
	for _, name := range []string{".", "..", "1", "self", "32768", "007", "12x", "2147483647", "2147483648", "99999999999", "cpuinfo", "0"} {
		b = append(b, entry(name)...)
	}
	if got := appendPids(nil, b); !slices.Equal(got, []int32{1, 32768, 2147483647}) {
		t.Errorf("got %v", got)
	}
}

func FuzzEntries(f *testing.F) {
	f.Add(append(entry("1"), entry("20")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, pid := range appendPids(nil, b) {
			if pid <= 0 {
				t.Errorf("%d", pid)
			}
		}
	})
}
