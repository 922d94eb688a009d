package journal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/wire"
)

const (
	roleEnv   = "FOSTER_TEST_JOURNAL_ROLE"
	folderEnv = "FOSTER_TEST_JOURNAL_FOLDER"
)

// TestMain lets the test binary be a process of a test, too.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleEnv) {
	case "":
		leaktest.Main(m)
	case "shim": // holds the record that it was started with, and writes lives
		err = writeLives(Adopt(os.NewFile(3, "record")))
	case "owner": // makes a record, and holds it
		if _, err = Create(os.Getenv(folderEnv), &wire.Entry{ID: "db"}); err == nil {
			fmt.Println("created")
			select {}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// life is one that can be told from others as a whole.
func life(n int) *wire.Life {
	l := &wire.Life{Leader: wire.Member{PID: n}, Cause: strings.Repeat("x", n%900)}
	for i := range n % 1000 {
		l.Members = append(l.Members, wire.Member{PID: n, Start: uint64(n), Name: fmt.Sprint(i)})
	}
	return l
}

func writeLives(r *Record) error {
	for n := 1; n < 1_000_000; n++ {
		if err := r.Write(life(n)); err != nil {
			return err
		}
		if n == 1 {
			fmt.Println("writing")
		}
	}
	return errors.New("nobody ended it")
}

// role starts the test binary in a role, and waits until it's at work.
func role(t *testing.T, name, folder, says string, files ...*os.File) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+name, folderEnv+"="+folder, "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = files
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != says+"\n" {
		t.Fatalf("%s says %q, %v", name, line, err)
	}
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()         // by the signal
}

// folder is a folder as Folders gives it.
func folder(t *testing.T) string {
	t.Helper()
	leaktest.Check(t)
	return t.TempDir()
}

func mustCreate(t *testing.T, folder string, e *wire.Entry) *Record {
	t.Helper()
	r, err := Create(folder, e)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func closeRecord(t *testing.T, r *Record) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, r *Record, l *wire.Life) {
	t.Helper()
	if err := r.Write(l); err != nil {
		t.Fatal(err)
	}
}

func mustFind(t *testing.T, folder, id string, want State) Found {
	t.Helper()
	f, err := Find(folder, id)
	if err != nil || f.State != want {
		t.Fatalf("%s is %v, %v, want %v", id, f.State, err, want)
	}
	return f
}

// keep makes a tree that has ended at a time.
func keep(t *testing.T, folder string, e *wire.Entry, at time.Time) {
	t.Helper()
	r := mustCreate(t, folder, e)
	write(t, r, &wire.Life{Done: true, End: wire.Ended{At: at}})
	closeRecord(t, r)
}

// forge makes a file with an entry that says what fake does to it, and with no lock.
func forge(t *testing.T, folder, id string, fake func(*wire.Entry)) string {
	t.Helper()
	here, err := whereabouts()
	if err != nil {
		t.Fatal(err)
	}
	e := &wire.Entry{ID: id}
	here.fill(e)
	fake(e)
	path := treePath(folder, id)
	if err := os.WriteFile(path, file(t, e), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	dir := folder(t)
	e := sampleEntry()
	r := mustCreate(t, dir, e)
	if e.UID != os.Geteuid() || e.Boot == "a-boot" || e.Boot == "" || e.Version != Version {
		t.Errorf("not filled in: %+v", e)
	}
	f := mustFind(t, dir, "db", Living)
	if f.Life != nil || !reflect.DeepEqual(f.Entry, e) || f.Path != filepath.Join(dir, "db.tree") {
		t.Errorf("got %+v, %+v", f.Entry, f.Life)
	}
	for n := range 5 {
		write(t, r, sampleLife(n))
		if f := mustFind(t, dir, "db", Living); !reflect.DeepEqual(f.Life, sampleLife(n)) {
			t.Errorf("got %+v", f.Life)
		}
	}
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o600 || info.Size() > fileRoom {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	closeRecord(t, r)
	f = mustFind(t, dir, "db", Lost)
	rec, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, dir, "db", Living)
	write(t, rec, &wire.Life{Done: true})
	closeRecord(t, rec)
	mustFind(t, dir, "db", Ended)
}

func TestALargerFileIsNotReadWhole(t *testing.T) {
	dir := folder(t)
	path := forge(t, dir, "db", func(*wire.Entry) {})
	leaktest.Need(t, "room for a file with a hole", os.Truncate(path, 1<<40))
	if _, err := Find(dir, "db"); !errors.Is(err, ErrAlien) {
		t.Errorf("got %v", err)
	}
}

func TestCreateRefusesABadName(t *testing.T) {
	dir := folder(t)
	for _, id := range []string{"", "../x", "a/b"} {
		if _, err := Create(dir, &wire.Entry{ID: id}); err == nil {
			t.Errorf("%q was taken", id)
		}
		if _, err := Find(dir, id); err == nil {
			t.Errorf("%q was found", id)
		}
	}
	if _, err := Create(filepath.Join(dir, "none"), &wire.Entry{ID: "db"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in no folder: %v", err)
	}
}

func TestCreateTakesTheNameOfWhatHasEndedOnly(t *testing.T) {
	dir := folder(t)
	r := mustCreate(t, dir, &wire.Entry{ID: "db"})
	if _, err := Create(dir, &wire.Entry{ID: "db"}); !errors.Is(err, ErrTaken) {
		t.Errorf("of a living one: %v", err)
	}
	closeRecord(t, r)
	if _, err := Create(dir, &wire.Entry{ID: "db"}); !errors.Is(err, ErrLost) {
		t.Errorf("of a lost one: %v", err)
	}
	f := mustFind(t, dir, "db", Lost)
	rec, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, &wire.Entry{ID: "db"}); !errors.Is(err, ErrTaken) {
		t.Errorf("of one that is being recovered: %v", err)
	}
	write(t, rec, &wire.Life{Done: true})
	closeRecord(t, rec)
	for range 3 {
		keep(t, dir, &wire.Entry{ID: "db", Keep: true}, time.Now())
	}
	forge(t, dir, "old", func(e *wire.Entry) { e.Boot = "an earlier one" })
	mustFind(t, dir, "old", Gone)
	keep(t, dir, &wire.Entry{ID: "old"}, time.Now())
	forge(t, dir, "theirs", func(e *wire.Entry) { e.PIDNS++ })
	if _, err := Create(dir, &wire.Entry{ID: "theirs"}); !errors.Is(err, ErrForeign) {
		t.Errorf("of another namespace's: %v", err)
	}
	mustHaveFiles(t, dir, "db.tree", "old.tree", "theirs.tree")
}

func mustHaveFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("the folder has %v, want %v", names, want)
	}
}

// TestOfManyCreatorsOneWins has them at it together, on a free name and on one whose
// tree has ended, while others look.
func TestOfManyCreatorsOneWins(t *testing.T) {
	dir := folder(t)
	for round := range 20 {
		stop := make(chan struct{})
		var looking sync.WaitGroup
		for range 2 {
			looking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, problems, err := Scan(dir); err != nil || len(problems) > 0 {
						t.Errorf("scan: %v, %v", problems, err)
						return
					}
				}
			})
		}
		won := make(chan *Record, 8)
		var creating sync.WaitGroup
		for range 8 {
			creating.Go(func() {
				r, err := Create(dir, &wire.Entry{ID: "db"})
				if err == nil {
					won <- r
				} else if !errors.Is(err, ErrTaken) {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		creating.Wait()
		close(stop)
		looking.Wait()
		close(won)
		if len(won) != 1 {
			t.Fatalf("round %d: %d have won", round, len(won))
		}
		for r := range won {
			mustFind(t, dir, "db", Living)
			write(t, r, &wire.Life{Done: true})
			closeRecord(t, r)
		}
	}
	mustHaveFiles(t, dir, "db.tree")
}

func TestOfManyRecoverersOneWins(t *testing.T) {
	dir := folder(t)
	closeRecord(t, mustCreate(t, dir, &wire.Entry{ID: "db"}))
	found := mustFind(t, dir, "db", Lost)
	won := make(chan *Record, 8)
	var taking sync.WaitGroup
	for range 8 {
		taking.Go(func() {
			f := found
			r, err := f.Take()
			if err == nil {
				won <- r
			} else if !errors.Is(err, ErrTaken) {
				t.Error(err)
			}
		})
	}
	taking.Wait()
	close(won)
	if len(won) != 1 {
		t.Errorf("%d have won", len(won))
	}
	for r := range won {
		if err := r.Remove(dir); err != nil {
			t.Error(err)
		}
		closeRecord(t, r)
	}
	if _, err := found.Take(); !errors.Is(err, ErrUnknown) {
		t.Errorf("when it's removed: %v", err)
	}
	if _, err := Find(dir, "db"); !errors.Is(err, ErrUnknown) {
		t.Errorf("when it's removed: %v", err)
	}
}

func TestTakeReadsAgain(t *testing.T) {
	dir := folder(t)
	closeRecord(t, mustCreate(t, dir, &wire.Entry{ID: "db"}))
	first, second := mustFind(t, dir, "db", Lost), mustFind(t, dir, "db", Lost)
	r, err := first.Take()
	if err != nil {
		t.Fatal(err)
	}
	write(t, r, &wire.Life{Done: true, Cause: "recovered"})
	closeRecord(t, r)
	r, err = second.Take()
	if err != nil || second.State != Ended || second.Life.Cause != "recovered" {
		t.Fatalf("%+v, %v", second, err)
	}
	closeRecord(t, r)
}

func TestRemoveLeavesTheNextOfThatName(t *testing.T) {
	dir := folder(t)
	r := mustCreate(t, dir, &wire.Entry{ID: "db"})
	if err := os.Remove(treePath(dir, "db")); err != nil { // not as it's done
		t.Fatal(err)
	}
	next := mustCreate(t, dir, &wire.Entry{ID: "db"})
	if err := r.Remove(dir); err != nil {
		t.Error(err)
	}
	mustFind(t, dir, "db", Living)
	closeRecord(t, r)
	closeRecord(t, next)
}

// TestTheLockTellsALivingTree kills one side after the other.
func TestTheLockTellsALivingTree(t *testing.T) {
	dir := folder(t)
	r := mustCreate(t, dir, &wire.Entry{ID: "db"})
	shim := role(t, "shim", dir, "writing", r.File())
	closeRecord(t, r) // the owner's side is gone
	mustFind(t, dir, "db", Living)
	f := mustFind(t, dir, "db", Living)
	if _, err := f.Take(); !errors.Is(err, ErrTaken) {
		t.Errorf("take: %v", err)
	}
	kill(shim)
	mustFind(t, dir, "db", Lost)

	owner := role(t, "owner", t.TempDir(), "created")
	kill(owner)
}

// TestAKilledWriterLeavesAWholeLife kills the shim in the middle of its writes, again
// and again; it goes on where the last has left.
func TestAKilledWriterLeavesAWholeLife(t *testing.T) {
	dir := folder(t)
	r := mustCreate(t, dir, &wire.Entry{ID: "db"})
	for round := range 25 {
		shim := role(t, "shim", dir, "writing", r.File())
		until := time.Now().Add(time.Duration(round) * time.Millisecond)
		for time.Now().Before(until) {
			mustBeWhole(t, dir, Living)
		}
		kill(shim)
		mustBeWhole(t, dir, Living) // this side has the lock
	}
	closeRecord(t, r)
	mustBeWhole(t, dir, Lost)
}

func mustBeWhole(t *testing.T, dir string, want State) {
	t.Helper()
	f := mustFind(t, dir, "db", want)
	if f.Torn || f.Life == nil {
		t.Fatalf("nothing can be read: %+v", f)
	}
	n := f.Life.Leader.PID
	wanted := life(n)
	if f.Life.Cause != wanted.Cause || len(f.Life.Members) > len(wanted.Members) ||
		!slices.Equal(f.Life.Members, wanted.Members[:len(f.Life.Members)]) {
		t.Fatalf("not what was written: life %d", n)
	}
}

// TestAKilledCreatorLeavesALostTree is the moment between record and start.
func TestAKilledCreatorLeavesALostTree(t *testing.T) {
	dir := folder(t)
	owner := role(t, "owner", dir, "created")
	mustFind(t, dir, "db", Living)
	kill(owner)
	f := mustFind(t, dir, "db", Lost)
	if f.Life != nil || f.Torn {
		t.Errorf("got %+v", f)
	}
	mustHaveFiles(t, dir, "db.tree")
}

// Who opened the file before it was removed, and gets its lock after that, has
// nothing.
func TestARemovedRecordIsNotTaken(t *testing.T) {
	dir := folder(t)
	for range 50 {
		closeRecord(t, mustCreate(t, dir, &wire.Entry{ID: "db"}))
		found := mustFind(t, dir, "db", Lost)
		won := make(chan bool, 8)
		var taking sync.WaitGroup
		for range cap(won) {
			taking.Go(func() {
				f := found
				r, err := f.Take()
				if err == nil {
					won <- true
					err = errors.Join(r.Remove(dir), r.Close())
				}
				if err != nil && !errors.Is(err, ErrTaken) && !errors.Is(err, ErrUnknown) {
					t.Error(err)
				}
			})
		}
		taking.Wait()
		if len(won) != 1 {
			t.Fatalf("%d have taken it", len(won))
		}
	}
}
