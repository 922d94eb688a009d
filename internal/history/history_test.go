package history

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

// writerVariable turns the test binary into a process that adds to a store until it is
// killed, and says what was published.
const writerVariable = "FOSTER_TEST_HISTORY"

func TestMain(m *testing.M) {
	if folder := os.Getenv(writerVariable); folder != "" {
		addForEver(folder)
	}
	leaktest.Main(m)
}

// listener takes what a store tells.
type listener struct {
	mu     sync.Mutex
	events []client.Event
	told   []error
}

func (l *listener) options() Options {
	return Options{
		Publish: func(e []client.Event) { l.mu.Lock(); l.events = append(l.events, e...); l.mu.Unlock() },
		Failed:  func(err error) { l.mu.Lock(); l.told = append(l.told, err); l.mu.Unlock() },
	}
}

func (l *listener) published() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

func (l *listener) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.told) == 0 {
		return nil
	}
	return l.told[len(l.told)-1]
}

func run(id uint64, app string, replica int, exit *client.Exit) client.Run {
	return client.Run{ID: id, App: app, Replica: replica, Started: time.Now(), PID: int(id), By: "by hand", Exit: exit}
}

func exit(cause string) *client.Exit { return &client.Exit{Cause: cause, Ended: time.Now()} }

func ids(t *testing.T, s *Store, app string, replica, newest int) string {
	t.Helper()
	runs, err := s.Runs(app, replica, newest)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range runs {
		text := fmt.Sprintf("%d", r.ID)
		if r.Exit != nil {
			text += ":" + r.Exit.Cause
		}
		list = append(list, text)
	}
	return strings.Join(list, " ")
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsKeptIsFoundByTheNextLife(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	var l listener
	s, past := Open(folder, l.options())
	if past.Event != 0 || past.Run != 0 || past.Unfinished != nil {
		t.Errorf("%+v", past)
	}
	s.SetRun(run(1, "web", 1, nil))
	s.SetRun(run(2, "web", 12, nil))
	s.SetRun(run(3, "web2", 1, nil))
	s.SetRun(run(1, "web", 1, exit("ended")))
	for seq := range uint64(10) {
		s.AddEvent(client.Event{Seq: seq + 1, App: "web", Kind: "state", Cause: "a\x00b"})
	}
	for try := range 2 { // before it is written, or after, and in the next life
		if got := ids(t, s, "web", 0, 0); got != "1:ended 2" {
			t.Errorf("%d: %s", try, got)
		}
		if got := ids(t, s, "web", 1, 0) + ", " + ids(t, s, "", 0, 2) + ", " + ids(t, s, "we", 0, 0); got != "1:ended, 2 3, " {
			t.Errorf("%d: %s", try, got)
		}
		closed(t, s)
		s, past = Open(folder, l.options())
		if past.Event != 10 || past.Run != 3 || len(past.Unfinished) != 2 || past.Unfinished[0].ID != 2 {
			t.Errorf("%+v", past)
		}
	}
	events, err := s.Events(7, 2)
	if err != nil || len(events) != 2 || events[0].Seq != 8 || events[0].Cause != "a\x00b" {
		t.Errorf("%+v, %v", events, err)
	}
	closed(t, s)
	if l.published() != 10 || l.last() != nil {
		t.Errorf("%d were published, %v", l.published(), l.last())
	}
}

func TestMoreThanTheBoundIsForgotten(t *testing.T) {
	leaktest.Check(t)
	var l listener
	o := l.options()
	o.Runs, o.Events = 3, 5
	s, _ := Open(t.TempDir(), o)
	for id := range uint64(20) {
		s.SetRun(run(id+1, "web", int(id%2)+1, exit("ended")))
		s.AddEvent(client.Event{Seq: id + 1, Time: time.Now()})
	}
	leaktest.Eventually(t, "all is written", func() bool { return l.published() == 20 })
	if got := ids(t, s, "web", 0, 0); got != "15:ended 16:ended 17:ended 18:ended 19:ended 20:ended" {
		t.Errorf("%s", got)
	}
	if events, err := s.Events(0, 100); err != nil || len(events) != 5 || events[0].Seq != 16 {
		t.Errorf("%+v, %v", events, err)
	}
	closed(t, s)
}

func TestWhatIsTooOldIsForgotten(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	var l listener
	o := l.options()
	o.Age = time.Hour
	s, _ := Open(folder, o)
	old, now := time.Now().Add(-2*time.Hour), time.Now()
	s.SetRun(client.Run{ID: 1, App: "web", Replica: 1, Started: old, Exit: &client.Exit{Ended: old}})
	s.SetRun(client.Run{ID: 2, App: "web", Replica: 1, Started: old}) // it runs
	s.SetRun(client.Run{ID: 3, App: "web", Replica: 1, Started: old, Exit: &client.Exit{Ended: now}})
	s.AddEvent(client.Event{Seq: 1, Time: old})
	s.AddEvent(client.Event{Seq: 2, Time: now})
	if got := ids(t, s, "web", 0, 0); got != "2 3:" {
		t.Errorf("%s", got)
	}
	closed(t, s)
	s, _ = Open(folder, o) // each life looks with the first that it writes
	s.AddEvent(client.Event{Seq: 3, Time: now})
	closed(t, s)
	o.Age = 0 // what is there at all
	if s, _ = Open(folder, o); ids(t, s, "web", 0, 0) != "2 3:" {
		t.Errorf("%s", ids(t, s, "web", 0, 0))
	}
	if events, err := s.Events(0, 100); err != nil || len(events) != 2 || events[0].Seq != 2 {
		t.Errorf("%+v, %v", events, err)
	}
	closed(t, s)
}

// A clock that is set forward, while a store is open or not, removes nothing at once.
func TestAJumpOfTheClockForgetsNothing(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	const jump = 400 * 24 * time.Hour
	wall, up := time.Now(), time.Hour
	var l listener
	o := l.options()
	o.Age = time.Hour
	o.now = func() (time.Time, time.Duration) { return wall, up }
	seq := uint64(0)
	// live is a life in which the clock jumps before anything is read or written.
	live := func(forward time.Duration, want int) {
		t.Helper()
		s, _ := Open(folder, o)
		wall = wall.Add(forward)
		seq++
		s.SetRun(client.Run{ID: seq, App: "web", Replica: 1, Started: wall, Exit: &client.Exit{Ended: wall}})
		s.AddEvent(client.Event{Seq: seq, Time: wall})
		s.Flush(time.Minute)
		events, err := s.Events(0, 100)
		runs, rerr := s.Runs("web", 1, 0)
		if err != nil || rerr != nil || len(events) != want || len(runs) != want {
			t.Errorf("%d events and %d runs of %d, %v, %v", len(events), len(runs), want, err, rerr)
		}
		closed(t, s)
	}
	live(0, 1)
	wall = wall.Add(jump) // while there is none
	live(0, 2)
	wall = wall.Add(-jump)
	live(jump, 3)
	wall, up = wall.Add(-jump+50*time.Minute), up+50*time.Minute // set right again
	live(0, 4)
	wall, up = wall.Add(20*time.Minute), up+20*time.Minute
	live(0, 5) // nobody has seen these minutes pass
	live(0, 5) // now the first is more than an hour old; those whose time is yet to come stay
}

// addForEver writes runs and events as fast as it can.
func addForEver(folder string) {
	out := bufio.NewWriter(os.Stdout)
	s, past := Open(folder, Options{Runs: 50, Events: 5000, Failed: func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}, Publish: func(events []client.Event) {
		for _, e := range events {
			fmt.Fprintln(out, e.Seq)
		}
		out.Flush()
	}})
	for n := uint64(1); ; n++ {
		s.SetRun(run(past.Run+n, "web", 1, nil))
		s.AddEvent(client.Event{Seq: past.Event + n, Time: time.Now(), Cause: strings.Repeat("x", rand.IntN(300))})
		s.SetRun(run(past.Run+n, "web", 1, exit("ended")))
		if n%16 == 0 {
			_, _ = s.Runs("web", 1, 1)
		}
	}
}

// Killed with SIGKILL at any moment, all that was told to anybody is there, without a
// hole, and the numbers go on.
func TestAKilledWriterLeavesNoHole(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	told := uint64(0)
	for range 12 {
		told = max(told, killWriter(t, folder, rand.IntN(2000)))
		var l listener
		s, past := Open(folder, l.options())
		if past.Event < told {
			t.Errorf("%d was told, %d is the last that there is", told, past.Event)
		}
		if len(past.Unfinished) > 1 {
			t.Errorf("%d runs have no end", len(past.Unfinished))
		}
		events, err := s.Events(0, 1<<20)
		if err != nil || len(events) == 0 {
			t.Fatalf("%d events, %v", len(events), err)
		}
		for i, e := range events {
			if want := events[0].Seq + uint64(i); e.Seq != want {
				t.Fatalf("event %d is followed by %d", want-1, e.Seq)
			}
		}
		closed(t, s)
		if l.last() != nil {
			t.Error(l.last())
		}
	}
}

// killWriter kills a writer when it has told of some events, and gives the last of them.
func killWriter(t *testing.T, folder string, after int) (last uint64) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), writerVariable+"="+folder)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			t.Fatal(err)
		}
		if n == after {
			_ = cmd.Process.Signal(syscall.SIGKILL)
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatal(err)
	}
	return last
}

// filled makes a store with something in it, and gives its file.
func filled(t *testing.T, folder string) string {
	t.Helper()
	var l listener
	s, _ := Open(folder, l.options())
	for n := range uint64(300) {
		s.SetRun(run(n+1, "web", 1, exit("ended")))
		s.AddEvent(client.Event{Seq: n + 1, Time: time.Now(), Cause: strings.Repeat("x", 50)})
	}
	closed(t, s)
	return filepath.Join(folder, "history.db")
}

func TestAFileThatIsDamagedIsSetAsideToldAndGoneOnWithout(t *testing.T) {
	for name, damage := range map[string]func(text []byte) []byte{
		"no store":         func([]byte) []byte { return []byte("hello") },
		"zeros":            func(text []byte) []byte { return make([]byte, len(text)) },
		"both meta pages":  func(text []byte) []byte { clear(text[16:9000]); return text },
		"a newer version":  func(text []byte) []byte { text[20]++; text[4096+20]++; return text },
		"all but the meta": func(text []byte) []byte { rand.NewChaCha8([32]byte{1}).Read(text[8192:]); return text },
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			folder := t.TempDir()
			path := filled(t, folder)
			rewrite(t, path, damage)
			var l listener
			s, past := Open(folder, l.options())
			if past.Event < 1e12 || past.Run < 1e12 {
				t.Errorf("numbers may be given twice: %+v", past)
			}
			s.AddEvent(client.Event{Seq: past.Event + 1, Time: time.Now()})
			s.SetRun(run(past.Run+1, "new", 1, nil))
			closed(t, s)
			if len(l.told) != 2 || !strings.Contains(l.told[0].Error(), "set aside") || l.told[1] != nil {
				t.Errorf("told: %v", l.told)
			}
			if _, err := os.Stat(path + ".corrupt"); err != nil {
				t.Error(err)
			}
			s, past = Open(folder, (&listener{}).options())
			if len(past.Unfinished) != 1 {
				t.Errorf("%+v", past)
			}
			closed(t, s)
		})
	}
}

func rewrite(t *testing.T, path string, damage func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, damage(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ofAnotherBoot makes a file look as if the machine had crashed since.
func ofAnotherBoot(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket(factsBucket).Put(bootFact, []byte("another")) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Who makes the file may be killed before anything is in it.
func TestAFileThatWasJustBegunIsGoneOnWith(t *testing.T) {
	leaktest.Check(t)
	for name, begin := range map[string]func(path string) error{
		"empty": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a half": func(path string) error {
			db, err := openBolt(path, false)
			if err != nil {
				return err
			}
			return errors.Join(db.Close(), os.Truncate(path, int64(2*os.Getpagesize())))
		},
		"no buckets": func(path string) error {
			db, err := openBolt(path, false)
			if err != nil {
				return err
			}
			return db.Close()
		},
	} {
		folder := t.TempDir()
		if err := begin(filepath.Join(folder, "history.db")); err != nil {
			t.Fatal(err)
		}
		var l listener
		s, past := Open(folder, l.options())
		s.AddEvent(client.Event{Seq: past.Event + 1})
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if past.Event != 0 || past.Run != 0 || l.last() != nil || l.published() != 1 {
			t.Errorf("%s: the numbers go on from %d and %d, and it tells %v", name, past.Event, past.Run, l.told)
		}
		left, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(left) != 1 {
			t.Errorf("%s: %v, %v", name, left, err)
		}
	}
}

func TestAfterTheMachineHasCrashedAllThatCanBeReadIsKept(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	path := filled(t, folder)
	ofAnotherBoot(t, path)
	var l listener
	s, past := Open(folder, l.options())
	if runs, err := s.Runs("web", 1, 0); err != nil || len(runs) != 300 || past.Event != 300 || past.Run != 300 {
		t.Errorf("%d, %v, %+v", len(runs), err, past)
	}
	closed(t, s)
	if l.last() != nil {
		t.Error(l.last())
	}
	ofAnotherBoot(t, path)
	rewrite(t, path, func(text []byte) []byte { // one page of events or runs is gone
		for page := 4096 * 8; ; page += 4096 {
			if binary.NativeEndian.Uint16(text[page+8:]) == 2 { // a leaf
				clear(text[page : page+4096])
				return text
			}
		}
	})
	s, _ = Open(folder, l.options())
	runs, err := s.Runs("web", 1, 0)
	events, eerr := s.Events(0, 1000)
	if got := len(runs) + len(events); err != nil || eerr != nil || got == 0 || got >= 600 {
		t.Errorf("%d of 600 are left, %v, %v", got, err, eerr)
	}
	closed(t, s)
	if len(l.told) == 0 || !strings.Contains(l.told[0].Error(), "what could be read of it was kept") {
		t.Errorf("%v", l.told)
	}
}

// Whatever is in the file, nobody who reads or writes it comes to harm.
func FuzzDamage(f *testing.F) {
	f.Add(uint64(1), uint16(3), false, uint32(0))
	f.Add(uint64(2), uint16(100), true, uint32(0))
	f.Add(uint64(3), uint16(0), false, uint32(20000))
	f.Add(uint64(4), uint16(9), true, uint32(8192))
	f.Fuzz(func(t *testing.T, seed uint64, flips uint16, crashed bool, cut uint32) {
		folder := t.TempDir()
		path := filled(t, folder)
		if crashed {
			ofAnotherBoot(t, path)
		}
		rewrite(t, path, func(text []byte) []byte {
			random := rand.New(rand.NewPCG(seed, 0))
			for range flips {
				text[random.IntN(len(text))] ^= byte(1 << random.IntN(8))
			}
			if cut > 0 {
				text = text[:min(len(text), int(cut))]
			}
			return text
		})
		s, past := Open(folder, (&listener{}).options())
		_, _ = s.Runs("", 0, 0) // what is damaged is found by who comes upon it
		_, _ = s.Events(0, 1000)
		s.AddEvent(client.Event{Seq: past.Event + 1, Time: time.Now()})
		s.SetRun(run(past.Run+1, "new", 1, nil))
		_ = s.Close()
		if got := ids(t, s, "new", 1, 0); got != "" {
			t.Errorf("a closed store: %s", got)
		}
	})
}
