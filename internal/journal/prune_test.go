package journal

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

func TestPruneBoundsTheJournal(t *testing.T) {
	dir, runtime := folder(t), t.TempDir()
	now := time.Now()
	const more = 5
	for i := range mostKept + more {
		keep(t, dir, &wire.Entry{ID: fmt.Sprintf("kept-%03d", i), Keep: true}, now.Add(-time.Duration(i)*time.Second))
	}
	keep(t, dir, &wire.Entry{ID: "ended"}, now)
	forge(t, dir, "lost", func(*wire.Entry) {})
	forge(t, dir, "gone", func(e *wire.Entry) { e.Boot = "an earlier one" })
	forge(t, dir, "theirs", func(e *wire.Entry) { e.PIDNS++ })
	living := mustCreate(t, dir, &wire.Entry{ID: "living"})
	defer living.Close()
	half := filepath.Join(dir, newPrefix+"x")
	torn, old := filepath.Join(dir, "torn.tree"), filepath.Join(dir, "torn-old.tree")
	for _, path := range []string{half, torn, old} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Unix(1, 0)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	gone := func(path string) bool { _, err := os.Lstat(path); return err != nil }

	removed, err := Prune(dir, runtime)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range removed {
		if !gone(path) {
			t.Errorf("still there: %s", path)
		}
	}
	for name, want := range map[string]bool{
		"living": false, "lost": false, "theirs": false, "torn": false, "kept-000": false,
		fmt.Sprintf("kept-%03d", mostKept-1): false,
		"ended":                              true, "gone": true, "torn-old": sys.BootTime() > 0,
		fmt.Sprintf("kept-%03d", mostKept):        true,
		fmt.Sprintf("kept-%03d", mostKept+more-1): true,
	} {
		if gone(treePath(dir, name)) != want {
			t.Errorf("%s: removed is %t", name, !want)
		}
	}
	if !gone(half) {
		t.Error("a file that never got its name stays")
	}
	if again, err := Prune(dir, runtime); len(again) > 0 || err != nil {
		t.Errorf("once more: %v, %v", again, err)
	}
	if again, err := Prune(filepath.Join(dir, "none"), filepath.Join(dir, "none")); len(again) > 0 || err != nil {
		t.Errorf("of no folder: %v, %v", again, err)
	}
}

func TestATornFileOfAnEarlierBootGivesWay(t *testing.T) {
	if sys.BootTime() == 0 {
		leaktest.Need(t, "the time of the boot", errors.ErrUnsupported)
	}
	dir := folder(t)
	path := treePath(dir, "db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, &wire.Entry{ID: "db"}); !errors.Is(err, ErrTorn) {
		t.Errorf("of this boot: %v", err)
	}
	past := time.Unix(1, 0)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	closeRecord(t, mustCreate(t, dir, &wire.Entry{ID: "db"}))
}

func TestPruneRemovesSocketsOfTreesThatDoNotLive(t *testing.T) {
	dir, runtime := folder(t), shortFolder(t)
	living := mustCreate(t, dir, &wire.Entry{ID: "living"})
	defer living.Close()
	forge(t, dir, "lost", func(*wire.Entry) {})
	forge(t, dir, "gone", func(e *wire.Entry) { e.Boot = "an earlier one" })
	forge(t, dir, "theirs", func(e *wire.Entry) { e.PIDNS++ })
	keep(t, dir, &wire.Entry{ID: "kept", Keep: true}, time.Now())
	for _, id := range []string{"living", "lost", "gone", "theirs", "kept", "unknown"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(runtime, id), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	for _, name := range []string{"plain.sock", "other"} {
		if err := os.WriteFile(filepath.Join(runtime, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Prune(dir, runtime); err != nil {
		t.Fatal(err)
	}
	mustHaveFiles(t, runtime, "living.sock", "lost.sock", "other", "plain.sock", "theirs.sock")
	mustHaveFiles(t, dir, "kept.tree", "living.tree", "lost.tree", "theirs.tree")
}

// shortFolder is one whose sockets have a path that is short enough.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "foster-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestPruneLeavesWhatAnotherIsAt(t *testing.T) {
	dir, runtime := folder(t), t.TempDir()
	keep(t, dir, &wire.Entry{ID: "ended"}, time.Now())
	f := mustFind(t, dir, "ended", Ended)
	r, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	half, err := linkNew(dir, treePath(dir, "half"), file(t, &wire.Entry{ID: "half"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(treePath(dir, "half"), filepath.Join(dir, newPrefix+"half")); err != nil {
		t.Fatal(err)
	}
	if removed, err := Prune(dir, runtime); len(removed) > 0 || err != nil {
		t.Errorf("removed %v, %v", removed, err)
	}
	closeRecord(t, half)
	closeRecord(t, r)
}
