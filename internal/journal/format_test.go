package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

func sampleEntry() *wire.Entry {
	return &wire.Entry{
		Version: Version, ID: "db", At: time.Unix(9, 7), Boot: "a-boot", PIDNS: 1, UID: 2, Containment: wire.Cgroup,
		CgroupPath: "/sys/fs/cgroup/foster-db", CgroupInode: 3, Shim: wire.Member{PID: 4, Start: 5, Name: "foster-shim"},
		Owner: wire.Member{PID: 6, Start: 7}, Command: []string{"start.sh", "", "a b"}, SocketPath: "/run/foster/db.sock",
		Stop: wire.Plan{Steps: []wire.Step{{Signal: syscall.SIGTERM, Scope: wire.ScopeTree, Wait: time.Second}}, GiveUp: 1},
		Keep: true,
	}
}

func sampleLife(n int) *wire.Life {
	return &wire.Life{
		Leader:  wire.Member{PID: n + 1, Start: 5, Name: "start.sh"},
		Members: []wire.Member{{PID: n + 1, Start: 5}, {PID: n + 2, Start: 6, Name: "sub.sh", State: 'S'}},
		Cause:   fmt.Sprint("life ", n),
	}
}

// file puts parts together as they stand in a file.
func file(t testing.TB, e *wire.Entry, slots ...[]byte) []byte {
	t.Helper()
	b, err := formatEntry(e)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range slots {
		if s == nil {
			continue
		}
		b = append(b, make([]byte, slotOffset(i)-len(b))...)
		b = append(b, s...)
	}
	return b
}

func lifeSlot(t testing.TB, l *wire.Life, sequence uint64) []byte {
	t.Helper()
	b, err := formatLife(l, sequence)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseTakesTheNewerLife(t *testing.T) {
	e := sampleEntry()
	one, two := lifeSlot(t, sampleLife(1), 1), lifeSlot(t, sampleLife(2), 2)
	three := lifeSlot(t, sampleLife(3), 3)
	for _, tt := range []struct {
		name     string
		slots    [][]byte
		want     *wire.Life
		sequence uint64
	}{
		{"none", nil, nil, 0},
		{"the first", [][]byte{one}, sampleLife(1), 1},
		{"the second", [][]byte{one, two}, sampleLife(2), 2},
		{"the first again", [][]byte{three, two}, sampleLife(3), 3},
		{"the second alone", [][]byte{nil, two}, sampleLife(2), 2},
		{"rest of a longer one behind it", [][]byte{append(bytes.Clone(three), 1, 2, 3), two}, sampleLife(3), 3},
	} {
		c, err := parse(file(t, e, tt.slots...))
		if err != nil || !reflect.DeepEqual(c.entry, e) || !reflect.DeepEqual(c.life, tt.want) || c.sequence != tt.sequence {
			t.Errorf("%s: got %+v, %+v, %d, %v", tt.name, c.entry, c.life, c.sequence, err)
		}
	}
}

// Whoever reads while another writes has to see that, or takes an older life for the last.
func TestASlotThatIsNotWholeIsSeen(t *testing.T) {
	one, two := lifeSlot(t, sampleLife(1), 1), lifeSlot(t, sampleLife(2), 2)
	for _, tt := range []struct {
		name  string
		slots [][]byte
		half  bool
	}{
		{"none", nil, false},
		{"one", [][]byte{one}, false},
		{"both", [][]byte{one, two}, false},
		{"the first is half", [][]byte{one[:len(one)/2], two}, true},
		{"the second has begun", [][]byte{one, two[:1]}, true},
	} {
		c, err := parse(file(t, sampleEntry(), tt.slots...))
		if err != nil || c.half != tt.half {
			t.Errorf("%s: half is %v, %v", tt.name, c.half, err)
		}
	}
}

func TestParseRefusesWhatIsNoEntry(t *testing.T) {
	good := file(t, sampleEntry())
	newer := bytes.Clone(good)
	binary.LittleEndian.PutUint32(newer[len(headerMagic):], Version+1)
	life, err := frame(sampleLife(1))
	if err != nil {
		t.Fatal(err)
	}
	headed := func(payload []byte) []byte {
		return seal(binary.LittleEndian.AppendUint32(bytes.Clone(headerMagic), Version), payload)
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrTorn},
		{"only zeros", make([]byte, fileRoom), ErrTorn},
		{"another's", []byte("a shopping list, which is long enough"), ErrAlien},
		{"half of the magic", headerMagic[:4], ErrAlien},
		{"the magic", headerMagic, ErrTorn},
		{"a newer version", newer, ErrNewer},
		{"no message in it", headed([]byte{}), ErrTorn},
		{"an unknown message in it", headed([]byte{255}), ErrTorn},
		{"another message in it", headed(life), ErrAlien},
		{"bad fields in it", headed([]byte{129, 1, 200}), ErrTorn},
	} {
		if c, err := parse(tt.b); !errors.Is(err, tt.want) || c.entry != nil {
			t.Errorf("%s: got %+v, %v, want %v", tt.name, c.entry, err, tt.want)
		}
	}
}

// TestATornFileIsReadAsItWasOrNotAtAll damages a file at each of its bytes. Of the
// life that is damaged, the older is read; of an entry, nothing.
func TestATornFileIsReadAsItWasOrNotAtAll(t *testing.T) {
	e, older, newer := sampleEntry(), sampleLife(1), sampleLife(2)
	headerEnd := len(file(t, e))
	b := file(t, e, lifeSlot(t, older, 6), lifeSlot(t, newer, 7))
	check := func(what string, at int, damaged []byte) {
		t.Helper()
		c, err := parse(damaged)
		switch {
		case err != nil && at < headerEnd:
			return
		case err != nil:
			t.Fatalf("%s at %d: %v", what, at, err)
		case !reflect.DeepEqual(c.entry, e):
			t.Fatalf("%s at %d: another entry: %+v", what, at, c.entry)
		case at >= slotOffset(1) && !reflect.DeepEqual(c.life, older) && !reflect.DeepEqual(c.life, newer):
			t.Fatalf("%s at %d: another life: %+v", what, at, c.life)
		case at < slotOffset(1) && c.life != nil && !reflect.DeepEqual(c.life, newer) && !reflect.DeepEqual(c.life, older):
			t.Fatalf("%s at %d: another life: %+v", what, at, c.life)
		}
	}
	interesting := func(at int) bool { // not each of the zeros between the parts
		return at < headerEnd+2 || at >= slotOffset(0)-2 && at < slotOffset(0)+300 || at >= slotOffset(1)-2
	}
	for at := range b {
		if !interesting(at) {
			continue
		}
		for bit := range 8 {
			damaged := bytes.Clone(b)
			damaged[at] ^= 1 << bit
			check("a flipped bit", at, damaged)
		}
	}
	for n := range b {
		if !interesting(n) {
			continue
		}
		c, err := parse(b[:n])
		switch whole := n >= headerEnd; {
		case !whole && err == nil:
			t.Fatalf("cut to %d: read all the same: %+v", n, c)
		case whole && (!errors.Is(err, errTornLife) && err != nil || !reflect.DeepEqual(c.entry, e)):
			t.Fatalf("cut to %d: %+v, %v", n, c.entry, err)
		case whole && c.life != nil && !reflect.DeepEqual(c.life, older):
			t.Fatalf("cut to %d: %+v", n, c.life)
		case n >= slotOffset(0)+len(lifeSlot(t, older, 6)) && c.life == nil:
			t.Fatalf("cut to %d: the older life was lost", n)
		}
	}
	// A write that got as far as n bytes, over an older one.
	next := lifeSlot(t, sampleLife(3), 8)
	for n := range len(next) + 1 {
		torn := bytes.Clone(b)
		copy(torn[slotOffset(0):], next[:n])
		c, err := parse(torn)
		want := newer
		if n == len(next) {
			want = sampleLife(3)
		}
		if err != nil || !reflect.DeepEqual(c.life, want) && !reflect.DeepEqual(c.life, sampleLife(3)) {
			t.Fatalf("a write of %d bytes: %+v, %v", n, c.life, err)
		}
	}
}

func TestALongCommandIsCutWithAMark(t *testing.T) {
	for _, args := range [][]string{
		{strings.Repeat("x", 100_000)},
		{"sh", "-c", strings.Repeat("ä", 100_000), "more"},
		strings.Fields(strings.Repeat("a ", 100_000)),
		strings.Fields(strings.Repeat("argument ", 5_000)),
		append(make([]string, 50_000), "end"),
	} {
		e := sampleEntry()
		e.Command = args
		b := file(t, e)
		if len(b) > headerRoom {
			t.Fatalf("an entry of %d bytes", len(b))
		}
		c, err := parse(b)
		if err != nil {
			t.Fatal(err)
		}
		got := c.entry.Command
		last := got[len(got)-1]
		if !strings.HasSuffix(last, ellipsis) || len(b) < headerRoom/2 {
			t.Errorf("cut to %d arguments of %d, %d bytes, the last %.20q", len(got), len(args), len(b), last)
		}
		for i, arg := range got[:len(got)-1] {
			if arg != args[i] {
				t.Errorf("argument %d is %q", i, arg)
			}
		}
	}
	short := []string{"sh", "", strings.Repeat("x", headerRoom/2)}
	e := sampleEntry()
	e.Command = short
	if c, err := parse(file(t, e)); err != nil || !reflect.DeepEqual(c.entry.Command, short) {
		t.Errorf("one that fits was cut: %v", err)
	}
}

func TestAnEntryThatDoesNotFitIsAnError(t *testing.T) {
	e := sampleEntry()
	e.CgroupPath = strings.Repeat("/x", headerRoom)
	if _, err := formatEntry(e); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestALifeIsBounded(t *testing.T) {
	long := strings.Repeat("ä", 10_000)
	l := &wire.Life{Leader: wire.Member{PID: 1, Name: long}, Cause: long}
	for i := range 20_000 {
		m := wire.Member{PID: i + 1, Start: 1 << 60, Name: long[:15], State: 'S'}
		l.Members = append(l.Members, m)
		m.Name = long
		l.LeaderEnd.Left = append(l.LeaderEnd.Left, m)
		l.End.Survivors = append(l.End.Survivors, m)
		l.End.Orphans = append(l.End.Orphans, wire.Orphan{PID: 1, Name: long})
	}
	b := lifeSlot(t, l, 1)
	if len(b) > slotRoom || len(b) < slotRoom-100 {
		t.Errorf("%d bytes", len(b))
	}
	got, _, ok := parseLife(b)
	if !ok || len(got.Members) < 500 {
		t.Fatalf("read %v", ok)
	}
	for i, m := range got.Members {
		if m.PID != i+1 {
			t.Fatalf("member %d is %+v: the first are to stay", i, m)
		}
	}
	if len(l.Members) != 20_000 || l.LeaderEnd.Left[0].Name != long {
		t.Error("the caller's was changed")
	}
}

func FuzzParse(f *testing.F) {
	e := sampleEntry()
	f.Add(file(f, e))
	f.Add(file(f, e, lifeSlot(f, sampleLife(1), 1)))
	f.Add(file(f, e, lifeSlot(f, sampleLife(1), 1), lifeSlot(f, sampleLife(2), 2)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse(b)
		if err == nil && c.entry == nil || err != nil && c.life != nil {
			t.Fatalf("got %+v, %v", c, err)
		}
		if c.entry == nil {
			return
		}
		// What was read can be written.
		if _, err := formatEntry(c.entry); err != nil && !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
		if c.life != nil {
			if _, err := formatLife(c.life, c.sequence); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "9", "db", "my-app_1.2", "A.b", strings.Repeat("x", 63)} {
		if err := ValidID(id); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"", ".", "..", "-a", "_a", ".a", "a..b", "a/b", "a b", "ä", "a\x00", "a\n", strings.Repeat("x", 64)} {
		if err := ValidID(id); err == nil || !strings.Contains(err.Error(), "the name ") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestStatesHaveNames(t *testing.T) {
	for s, want := range map[State]string{Living: "living", Ended: "ended", Lost: "lost", Gone: "gone", 0: "unknown"} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
}
