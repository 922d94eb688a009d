package wire

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// samples has each kind of message at least once, with every field set.
var samples = []Message{
	&Files{},
	&Open{},
	&Confirm{},
	&Parked{State: []byte{1, 0, 2}},
	&Start{
		Path: "/bin/sh", Args: []string{"sh", "", "a b", "\xff\n"}, Env: []string{"A=1", "B="}, Dir: "x",
		Files: 3, Closed: []int{4, 7}, Containment: Cgroup, CgroupPath: "/sys/fs/cgroup/x", Session: true, Foreground: true,
		SetUmask: true, Umask: 0o77,
		Credential: Credential{Set: true, UID: 1000, GID: 100, Groups: []uint32{1, 0, 3}, NoSetGroups: true},
		Rlimits:    []Rlimit{{Resource: 7, Soft: 10, Hard: 1<<64 - 1}, {Resource: 0, Soft: 0, Hard: 1}},
		OwnerGone: Plan{
			Steps:  []Step{{Signal: 15, Scope: ScopeTree, Wait: time.Second}, {Signal: 2, Scope: ScopeGroup}},
			GiveUp: 5 * time.Second,
		},
		ID: "db", Listen: true, SocketPath: "/run/foster/db.sock", Journal: true, JournalPath: "/s/db.tree", Keep: true,
		Owner: Member{PID: 4, Start: 5, Name: "cron"}, OwnerNamed: true, Grace: time.Minute,
		Outputs: []uint8{1, 2}, AfterLeader: "leader-ended",
		Lease:    Lease{Time: time.Hour, Max: 2 * time.Hour, Warn: time.Minute, Signal: 10, Suspend: true},
		Watchdog: time.Second, Notify: "foster-db",
		Attr: Attr{
			Chroot: "/jail", AmbientCaps: []uint64{10}, Cloneflags: 1 << 29, Unshareflags: 1 << 17, Setgroups: true, Noctty: true, Ctty: 3,
			UIDMappings: []IDMap{{0, 1000, 1}}, GIDMappings: []IDMap{{1, 2, 3}},
		},
	},
	&Extend{ID: 1, For: time.Minute},
	&Inspect{ID: 2},
	&Claim{ID: 3, Owner: Member{PID: 7, Start: 8}, Named: true, Output: true},
	&Output{ID: 4},
	&Watch{ID: 5},
	&Drop{Stream: 2},
	&Stopping{At: time.Unix(5, 0), Cause: "expired"},
	&LeaseNews{At: time.Unix(6, 0), Kind: LeaseEnding, Left: time.Second},
	&Notified{At: time.Unix(7, 0), Ready: true, Text: "at work", MainPID: 9},
	&OwnerNews{At: time.Unix(8, 0), Gone: true, Grace: time.Hour, Owner: Member{PID: 1}},
	&Status{
		Reply: 1, ID: "db", State: "running", Stopping: "expired", Leader: Member{PID: 2}, LeaderDone: true,
		Containment: Cgroup, Owner: Member{PID: 3}, OwnerGone: true, GraceLeft: 1, HasLease: true, LeaseLeft: 2,
		LeaseMax: 3, Outputs: []uint8{1}, Reader: 4, Reaped: 5, Ready: true, Text: "x", MainPID: 6, Watchdog: 7,
	},
	&Entry{
		Version: 1, ID: "db", At: time.Unix(9, 0), Boot: "b", PIDNS: 1, UID: 2, Containment: Group, CgroupPath: "/c",
		CgroupInode: 3, Shim: Member{PID: 4}, Owner: Member{PID: 5}, Command: []string{"a", ""}, SocketPath: "/s",
		Stop: Plan{GiveUp: 1}, Keep: true, ShimSelf: true, Many: true,
	},
	&Life{
		Leader: Member{PID: 1}, Members: []Member{{PID: 2, Start: 3}}, LeaderDone: true,
		LeaderEnd: LeaderEnded{Status: 9, At: time.Unix(1, 0)}, Done: true, End: Ended{Reaped: 3, At: time.Unix(2, 0)},
		Cause: "stopped",
	},
	&Signal{ID: 7, Signal: 10, Scope: ScopeLeader},
	&Stop{Plan: Plan{Steps: []Step{{Signal: 15, Scope: ScopeLeaderFirst, Wait: 1}}}, Default: true, Cause: "x", ID: 3},
	&Release{ID: 9, Guest: true, PID: 7}, &LetGo{At: time.Unix(1, 0), Count: 2, Processes: []Member{{PID: 7}}},
	&Hello{Version: 3, Step: "mount", Errno: 1},
	&Started{PID: 12, Start: 1 << 40, At: time.Unix(1, 5), PIDFDs: 1},
	&Failed{Stage: "exec", Errno: 2, Text: "no"},
	&Paused{Signal: 20, At: time.Unix(2, 1)},
	&LeaderEnded{
		Status: 9, Usage: Usage{User: 1, System: 2, MaxRSS: 3}, At: time.Unix(2, 0), Lost: true,
		Left: []Member{{PID: 1, Start: 2, Name: "a) R 1 (", State: 'S'}},
	},
	&Signaled{At: time.Unix(3, 1), Signal: 9, Scope: ScopeTree, Count: 2, Names: []Member{{PID: 3, Error: 1}}},
	&Signaled{At: time.Unix(3, 1), Signal: 15, Scope: ScopeLeader, Count: 1, Left: Plan{Steps: []Step{{Signal: 15, Scope: ScopeLeader, Wait: time.Second}}, GiveUp: 2}},
	&Ended{
		At: time.Unix(3, 0), Usage: Usage{User: 9}, Reaped: 1, Adopted: 2, Killed: 3,
		Released: true, OwnerGone: true, Read: true, Survivors: []Member{{PID: 4}},
		Orphans: []Orphan{{PID: 5, Name: "sub.sh", Status: 9, At: time.Unix(4, 0)}},
	},
	&Replied{ID: 1, Errno: 3, Count: 4, Text: "no", Left: 5},
}

func TestEveryKindIsSampledAndSurvivesTheWire(t *testing.T) {
	seen := map[kind]bool{}
	for _, m := range samples {
		seen[m.kind()] = true
		frame, err := Encode(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		got, err := Decode(frame[header-1:])
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%T changed on the wire:\nsent %+v\ngot  %+v", m, m, got)
		}
	}
	for k := range kinds {
		if !seen[k] {
			t.Errorf("no sample of message kind %d", k)
		}
	}
}

func TestUnknownFieldsAreSkipped(t *testing.T) {
	frame, err := Encode(&Replied{ID: 5, Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	c := codec{out: frame[header-1:]}
	c.put(99, []byte("from a later version"))
	got, err := Decode(c.out)
	if err != nil || !reflect.DeepEqual(got, &Replied{ID: 5, Count: 2}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":             {},
		"unknown kind":        {200},
		"tag 0":               {byte(kindReplied), 0, 0},
		"field past the end":  {byte(kindReplied), 1, 5, 1},
		"unfinished varint":   {byte(kindReplied), 0x80},
		"number too long":     {byte(kindReplied), 1, 2, 1, 1},
		"number that's large": {byte(kindStarted), 1, 10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
		"broken part":         {byte(kindStop), 1, 2, 9, 9},
	} {
		if m, err := Decode(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %+v, %v; want ErrProtocol", name, m, err)
		}
	}
}

func TestEncodeRefusesWhatCannotBeSent(t *testing.T) {
	_, err := Encode(&Start{Args: []string{strings.Repeat("x", MaxFrame)}})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples {
		frame, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame[header-1:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		// What was understood can be said again, and means the same.
		frame, err := Encode(m)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		again, err := Decode(frame[header-1:])
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	x, y, err := sys.Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	a, b = NewConn(x), NewConn(y)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestConnKeepsFramesApartAndPassesDescriptors(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	large := &Start{Env: []string{strings.Repeat("x", 1<<20)}}
	sent := make(chan error, 1)
	go func() {
		err := a.Send([]int{int(w.Fd())}, &Files{}, large, &Replied{ID: 1})
		w.Close()
		sent <- errors.Join(err, a.Close())
	}()
	for _, want := range []Message{&Files{}, large, &Replied{ID: 1}} {
		got, err := b.Receive()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %T, %v; want %T", got, err, want)
		}
	}
	if _, err := b.Receive(); err != io.EOF {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if _, err := b.Claim(2); !errors.Is(err, ErrProtocol) {
		t.Errorf("claimed more than was passed: %v", err)
	}
	fds, err := b.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	passed := os.NewFile(uintptr(fds[0]), "passed")
	if _, err := passed.WriteString("through"); err != nil {
		t.Fatal(err)
	}
	passed.Close()
	if got, err := io.ReadAll(r); string(got) != "through" {
		t.Errorf("the pipe held %q, %v", got, err)
	}
}

func TestConnRefusesABrokenStream(t *testing.T) {
	for name, raw := range map[string]string{
		"empty frame":   "\x00\x00\x00\x00",
		"giant frame":   "\xff\xff\xff\xff",
		"unknown kind":  "\x01\x00\x00\x00\xc8",
		"another world": "GET / HTTP/1.1\r\n\r\n",
	} {
		a, b := pair(t)
		if err := sys.SendFiles(a.sock, []byte(raw), nil); err != nil {
			t.Fatal(err)
		}
		if m, err := b.Receive(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %+v, %v; want ErrProtocol", name, m, err)
		}
	}
	a, b := pair(t)
	if err := sys.SendFiles(a.sock, []byte("\x05\x00\x00\x00\x01"), nil); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := b.Receive(); err != io.ErrUnexpectedEOF {
		t.Errorf("cut off in a frame: %v, want io.ErrUnexpectedEOF", err)
	}
}

// However a stream is cut into pieces, the same messages come out of it, and what isn't the
// protocol is told as that. A length that is only announced takes no memory.
func FuzzStream(f *testing.F) {
	var all []byte
	for _, m := range samples {
		frame, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame, uint8(1))
		all = append(all, frame...)
	}
	f.Add(all, uint8(7))
	f.Add([]byte("\xff\xff\xff\x00\x01"), uint8(3))
	f.Add([]byte("\x00\x00\x00\x00"), uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		read := func(step int) (messages []Message, err error) {
			c := &Conn{mostFrame: MaxFrame}
			for rest := b; ; {
				frame, ok, err := c.next()
				switch {
				case err != nil:
					return messages, err
				case ok:
					m, err := Decode(frame)
					if err != nil {
						return messages, err
					}
					messages = append(messages, m)
				case len(rest) == 0:
					if len(c.in) > len(b) {
						t.Fatalf("%d bytes are held of %d", len(c.in), len(b))
					}
					return messages, nil
				default:
					n := min(step, len(rest))
					c.in, rest = append(c.in, rest[:n]...), rest[n:]
				}
			}
		}
		whole, err := read(len(b) + 1)
		if err != nil && !errors.Is(err, ErrProtocol) {
			t.Errorf("%v isn't told as ErrProtocol", err)
		}
		pieces, perr := read(int(step) + 1)
		if !reflect.DeepEqual(whole, pieces) || (err == nil) != (perr == nil) {
			t.Errorf("whole: %+v, %v\nin pieces of %d: %+v, %v", whole, err, step+1, pieces, perr)
		}
	})
}
