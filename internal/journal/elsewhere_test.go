package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// inClock forges an entry that was written in a time namespace whose clock is that much
// ahead, of a tree whose members began at these times.
func inClock(t *testing.T, dir, id string, ahead time.Duration, start uint64) {
	t.Helper()
	offset, err := sys.BootOffset()
	if err != nil {
		t.Fatal(err)
	}
	e := &wire.Entry{ID: id, Shim: wire.Member{PID: 7, Start: start}, Owner: wire.Member{PID: 8}}
	r := mustCreate(t, dir, e)
	m := wire.Member{PID: 9, Start: start}
	write(t, r, &wire.Life{Leader: m, Members: []wire.Member{m, {PID: 10, Start: start + 1}}})
	b, err := os.ReadFile(treePath(dir, id))
	if err != nil {
		t.Fatal(err)
	}
	e.Clock = strconv.FormatInt(int64(offset+ahead), 10)
	copy(b, make([]byte, headerRoom))
	copy(b, file(t, e))
	if err := os.WriteFile(treePath(dir, id), b, 0o600); err != nil {
		t.Fatal(err)
	}
	closeRecord(t, r)
}

func TestStartTimesAreTranslatedBetweenTimeNamespaces(t *testing.T) {
	dir := folder(t)
	const begun = 1 << 40
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, 30 * time.Millisecond} {
		inClock(t, dir, "web", ahead, begun)
		want := uint64(begun - ahead/(10*time.Millisecond))
		f := mustFind(t, dir, "web", Lost)
		if f.Entry.Shim.Start != want || f.Entry.Owner.Start != 0 || f.Life.Leader.Start != want ||
			f.Life.Members[0].Start != want || f.Life.Members[1].Start != want+1 {
			t.Errorf("ahead by %v: %+v, %+v; want the start time %d", ahead, f.Entry, f.Life, want)
		}
		if err := Forget(dir, dir, "web"); err != nil {
			t.Fatal(err)
		}
	}
	inClock(t, dir, "web", 3*time.Millisecond, begun)
	if f, err := Find(dir, "web"); !errors.Is(err, ErrForeign) {
		t.Errorf("less than a tick ahead: %+v, %v; want it refused", f, err)
	}
	if _, err := Prune(dir, dir); err != nil {
		t.Error(err)
	}
	mustHaveFiles(t, dir, "web.tree")
}

// A folder may be shared by several machines, or copied to another.
func TestAnotherMachinesTreeIsNotGone(t *testing.T) {
	dir := folder(t)
	here, err := whereabouts()
	if err != nil {
		t.Fatal(err)
	}
	here.machine = "0123456789abcdef0123456789abcdef"
	forge(t, dir, "web", func(e *wire.Entry) { e.Boot, e.Machine = "another", "fedcba9876543210fedcba9876543210" })
	forge(t, dir, "old", func(e *wire.Entry) { e.Boot, e.Machine = "an earlier one", here.machine })
	forge(t, dir, "nameless", func(e *wire.Entry) { e.Boot, e.Machine = "an earlier one", "" })
	if f, err := here.look(treePath(dir, "web")); !errors.Is(err, ErrForeign) {
		t.Errorf("another machine's: %+v, %v", f, err)
	}
	for _, id := range []string{"old", "nameless"} {
		if f, err := here.look(treePath(dir, id)); err != nil || f.State != Gone {
			t.Errorf("%s: %+v, %v; want it gone", id, f, err)
		}
	}
}

func TestWhatMayBeLeftElsewhereIsTold(t *testing.T) {
	dir := folder(t)
	forge(t, dir, "lost", func(e *wire.Entry) { e.PIDNS++ })
	held, err := os.Open(forge(t, dir, "held", func(e *wire.Entry) { e.PIDNS++ }))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if ok, err := sys.TryLock(held, false); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "list.tree"), []byte("bread"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, problems, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, p := range problems {
		left[p.ID()] = p.MayBeLeft()
	}
	if len(left) != 3 || !left["lost"] || left["held"] || left["list"] {
		t.Errorf("what may be left: %v; want only lost", left)
	}
}

func TestForgetDropsWhatNobodyHolds(t *testing.T) {
	dir, runtime := folder(t), t.TempDir()
	r := mustCreate(t, dir, &wire.Entry{ID: "living"})
	if err := Forget(dir, runtime, "living"); !errors.Is(err, ErrTaken) {
		t.Errorf("a living one: %v", err)
	}
	closeRecord(t, r)
	forge(t, dir, "lost", func(*wire.Entry) {})
	forge(t, dir, "foreign", func(e *wire.Entry) { e.PIDNS++ })
	for _, file := range []string{SocketPath(runtime, "lost"), outputPath(dir, "lost", 1), treePath(dir, "torn")} {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"living", "lost", "foreign", "torn"} {
		if err := Forget(dir, runtime, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"lost", "nobody"} {
		if err := Forget(dir, runtime, id); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s, which isn't there: %v", id, err)
		}
	}
	if err := Forget(dir, runtime, "../x"); err == nil {
		t.Error("a path was taken for a name")
	}
	mustHaveFiles(t, dir)
	mustHaveFiles(t, runtime)
}

// The kernel has ended all of a PID namespace whose process 1 is dead, as in a container that
// was killed and is started anew on the same folder.
func TestOnlyADeadFirstProcessProvesItsNamespaceGone(t *testing.T) {
	dir := folder(t)
	if name := holdNamespace(dir, 2); name != "" {
		t.Errorf("process 2 holds %q", name)
	}
	name := holdNamespace(dir, 1)
	if name == "" || holdNamespace(dir, 1) != name {
		t.Fatalf("process 1 holds %q", name)
	}
	forge(t, dir, "web", func(e *wire.Entry) { e.PIDNS, e.Namespace = e.PIDNS+1, name })
	for id, namespace := range map[string]string{"none": "", "removed": namespacePrefix + "1", "path": "../" + filepath.Base(dir) + "/" + name} {
		forge(t, dir, id, func(e *wire.Entry) { e.PIDNS, e.Namespace = e.PIDNS+1, namespace })
	}
	foreign := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			if f, err := Find(dir, id); !errors.Is(err, ErrForeign) {
				t.Errorf("%s: %+v, %v; want it to be another's", id, f, err)
			}
		}
	}
	foreign("web", "none", "removed", "path")
	if _, err := Prune(dir, dir); err != nil {
		t.Error(err)
	}
	mustHaveFiles(t, dir, name, "none.tree", "path.tree", "removed.tree", "web.tree")

	namespaceLocks.files[dir].Close() // it is dead
	delete(namespaceLocks.files, dir)
	foreign("none", "removed", "path")
	mustFind(t, dir, "web", Gone)
	for _, id := range []string{"none", "removed", "path"} {
		if err := Forget(dir, dir, id); err != nil {
			t.Error(err)
		}
	}
	if _, err := Prune(dir, dir); err != nil {
		t.Error(err)
	}
	mustHaveFiles(t, dir)
}
