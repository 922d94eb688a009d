package foster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/wire"
)

// TestTheEndOfATreeLeavesTheSocketOfTheNext: another took the name, since who had claimed
// the tree meanwhile has ended it, before its first owner has noticed.
func TestTheEndOfATreeLeavesTheSocketOfTheNext(t *testing.T) {
	folder := t.TempDir()
	create := func() *registration {
		record, err := journal.Create(folder, &wire.Entry{ID: "db"})
		if err != nil {
			t.Fatal(err)
		}
		r := &registration{folder: folder, id: "db", record: record, socket: filepath.Join(folder, "db.sock")}
		if err := os.WriteFile(r.socket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := create()
	if err := first.record.Remove(folder); err != nil {
		t.Fatal(err)
	}
	second := create()
	first.end(false)
	if _, err := os.Lstat(second.socket); err != nil {
		t.Errorf("the socket of the next tree: %v", err)
	}
	if _, err := journal.Find(folder, "db"); err != nil {
		t.Errorf("its entry: %v", err)
	}
	second.end(false)
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("after its end there is %v, %v", left, err)
	}
}
