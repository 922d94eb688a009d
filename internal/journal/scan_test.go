package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

func TestScanReportsWhatItDoesNotObey(t *testing.T) {
	dir := folder(t)
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	same := func(*wire.Entry) {}
	living := mustCreate(t, dir, &wire.Entry{ID: "a-living"})
	defer living.Close()
	keep(t, dir, &wire.Entry{ID: "b-ended"}, time.Now())
	forge(t, dir, "c-lost", same)
	forge(t, dir, "d-gone", func(e *wire.Entry) { e.Boot = "an earlier one" })
	forge(t, dir, "e-gone-of-another-namespace", func(e *wire.Entry) { e.Boot, e.PIDNS = "an earlier one", 1 })

	forge(t, dir, "f-user", func(e *wire.Entry) { e.UID++ })
	forge(t, dir, "g-namespace", func(e *wire.Entry) { e.PIDNS++ })
	forge(t, dir, "h-newer", func(e *wire.Entry) { e.Version++ })
	forge(t, dir, "i-renamed", func(e *wire.Entry) { e.ID = "c-lost" })
	forge(t, dir, "j-escaping", func(e *wire.Entry) { e.ID = "../x" })
	put("k-alien.tree", []byte("a shopping list"))
	put("l-empty.tree", nil)
	put("m-short.tree", file(t, sampleEntry())[:100])
	torn := append(file(t, &wire.Entry{ID: "x"}, lifeSlot(t, sampleLife(1), 1)), 0)
	torn[slotOffset(0)+30] ^= 1
	b, err := os.ReadFile(forge(t, dir, "n-torn-life", same))
	if err != nil {
		t.Fatal(err)
	}
	put("n-torn-life.tree", append(append(b, make([]byte, slotOffset(0)-len(b))...), torn[slotOffset(0):]...))
	if err := os.Symlink("c-lost.tree", filepath.Join(dir, "o-link.tree")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "p-folder.tree"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "q-fifo.tree"), 0o600); err != nil {
		t.Fatal(err)
	}
	put("notes.txt", []byte("passed over"))
	put(newPrefix+"1", nil)
	machine := forge(t, dir, "r-machine", func(e *wire.Entry) { e.Boot = "another machine's" })
	held, err := os.Open(machine)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if ok, err := sys.TryLock(held, false); !ok || err != nil {
		t.Fatal(ok, err)
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	found, problems, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprint(filepath.Base(f.Path), " ", f.State))
	}
	if want := []string{
		"a-living.tree living", "b-ended.tree ended", "c-lost.tree lost", "d-gone.tree gone",
		"e-gone-of-another-namespace.tree gone", "n-torn-life.tree lost",
	}; !slices.Equal(got, want) {
		t.Errorf("found %v", got)
	}
	wants := []struct {
		name string
		err  error
	}{
		{"f-user", ErrForeign}, {"g-namespace", ErrForeign}, {"h-newer", ErrNewer}, {"i-renamed", ErrAlien},
		{"j-escaping", ErrAlien}, {"k-alien", ErrAlien}, {"l-empty", ErrTorn}, {"m-short", ErrTorn},
		{"n-torn-life", ErrTorn}, {"o-link", ErrAlien}, {"p-folder", ErrAlien}, {"q-fifo", ErrAlien},
		{"r-machine", ErrForeign},
	}
	for i, p := range problems {
		if i >= len(wants) || filepath.Base(p.Path) != wants[i].name+".tree" || !errors.Is(p.Err, wants[i].err) {
			t.Errorf("problem %d: %v", i, p)
		}
	}
	if len(problems) != len(wants) {
		t.Errorf("%d problems, want %d", len(problems), len(wants))
	}
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Errorf("files were removed: %v, %v", after, err)
	}
	if found, problems, err := Scan(filepath.Join(dir, "none")); len(found)+len(problems) > 0 || err != nil {
		t.Errorf("of no folder: %v, %v, %v", found, problems, err)
	}
}

func TestAnotherUsersFileIsNotObeyed(t *testing.T) {
	dir := folder(t)
	path := forge(t, dir, "db", func(*wire.Entry) {})
	if err := os.Chown(path, 4711, -1); err != nil {
		leaktest.Need(t, "root", err)
	}
	if _, err := Find(dir, "db"); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
	if _, err := Create(dir, &wire.Entry{ID: "db"}); !errors.Is(err, ErrForeign) {
		t.Errorf("create: %v", err)
	}
}
