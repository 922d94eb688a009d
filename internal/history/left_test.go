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

func leftRuns(folder, app string, replica, newest int) ([]client.Run, error) {
	l, err := OpenLeft(folder)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Runs(app, replica, newest)
}

func leftEvents(folder string, after uint64, most int) ([]client.Event, error) {
	l, err := OpenLeft(folder)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Events(after, most)
}

// Whatever is written meanwhile, what is read is as it was at one moment.
func TestLeftIsReadWholeWhileItIsWritten(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	s, _ := Open(folder, (&listener{}).options())
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for n := uint64(1); ; n++ {
			s.AddEvent(client.Event{Seq: n, Time: time.Now(), Cause: strings.Repeat("x", int(n%500))})
			s.Flush(time.Minute)
			select {
			case <-stop:
				return
			case <-pace.C:
			}
		}
	}()
	last := 0
	for range 50 {
		events, err := leftEvents(folder, 0, 1<<20)
		if err != nil {
			t.Error(err)
			break
		}
		for n, e := range events {
			if e.Seq != uint64(n+1) || len(e.Cause) != (n+1)%500 {
				t.Fatalf("event %d is %d, %d long", n+1, e.Seq, len(e.Cause))
			}
		}
		if len(events) < last {
			t.Errorf("%d events after %d", len(events), last)
		}
		last = len(events)
	}
	close(stop)
	<-done
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatASupervisorHasLeftIsReadAndNotTouched(t *testing.T) {
	leaktest.Check(t)
	folder := t.TempDir()
	if runs, err := leftRuns(folder, "web", 0, 0); err != nil || runs != nil {
		t.Errorf("of nothing: %v, %v", runs, err)
	}
	s, _ := Open(folder, (&listener{}).options())
	s.AddEvent(client.Event{Seq: 1, Time: time.Now(), Cause: "one"})
	s.AddEvent(client.Event{Seq: 2, Time: time.Now(), Cause: "two"})
	for id := range uint64(3) {
		s.SetRun(client.Run{ID: id + 1, App: "web", Replica: int(id)%2 + 1, Started: time.Now()})
	}
	s.Flush(time.Minute)
	if runs, err := leftRuns(folder, "web", 2, 0); err != nil || len(runs) != 1 || runs[0].ID != 2 {
		t.Errorf("beside one that lives: %v, %v", runs, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "history.db")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if runs, err := leftRuns(folder, "web", 1, 1); err != nil || len(runs) != 1 || runs[0].ID != 3 {
		t.Errorf("%v, %v", runs, err)
	}
	if events, err := leftEvents(folder, 1, 10); err != nil || len(events) != 1 || events[0].Cause != "two" {
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
	if _, err := leftRuns(folder, "web", 0, 0); !errors.Is(err, errCorrupt) {
		t.Errorf("of a damaged one: %v", err)
	}
}
