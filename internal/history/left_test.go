package history

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestWhatASupervisorHasLeftIsReadAndNotTouched(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	if runs, err := LeftRuns(folder, "web", 0, 0); err != nil || runs != nil {
		t.Errorf("of nothing: %v, %v", runs, err)
	}
	s, _ := Open(folder, (&listener{}).options())
	s.AddEvent(client.Event{Seq: 1, Time: time.Now(), Cause: "one"})
	s.AddEvent(client.Event{Seq: 2, Time: time.Now(), Cause: "two"})
	for id := range uint64(3) {
		s.SetRun(client.Run{ID: id + 1, App: "web", Replica: int(id)%2 + 1, Started: time.Now()})
	}
	s.Flush(time.Minute)
	if _, err := LeftRuns(folder, "web", 0, 0); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("beside one that lives: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "history.db")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if runs, err := LeftRuns(folder, "web", 1, 1); err != nil || len(runs) != 1 || runs[0].ID != 3 {
		t.Errorf("%v, %v", runs, err)
	}
	if events, err := LeftEvents(folder, 1, 10); err != nil || len(events) != 1 || events[0].Cause != "two" {
		t.Errorf("%v, %v", events, err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("it was changed: %v", err)
	}
	if found, _ := filepath.Glob(folder + "/*"); len(found) != 1 {
		t.Errorf("%v", found)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("nonsense", 8192)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LeftRuns(folder, "web", 0, 0); !errors.Is(err, errCorrupt) {
		t.Errorf("of a damaged one: %v", err)
	}
}
