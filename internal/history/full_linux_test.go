package history

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

// fileLimit bounds the size of files for this process; 0 sets the bound back.
func fileLimit(t *testing.T, size uint64) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur = size; size == 0 {
		l.Cur = l.Max
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		t.Fatal(err)
	}
}

// Where nothing more can be written, that is told, all goes on, and what came meanwhile is
// written as soon as there is room.
func TestAFullDiskLosesNothingAndHoldsUpNobody(t *testing.T) {
	leaktest.Check(t)
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var l listener
	folder := t.TempDir()
	s, _ := Open(folder, l.options())
	defer fileLimit(t, 0)
	fileLimit(t, 64<<10)
	seq := uint64(0)
	add := func() {
		seq++
		s.AddEvent(client.Event{Seq: seq, Time: time.Now(), Cause: strings.Repeat("x", 200)})
		s.SetRun(run(seq, "web", 1, exit("ended")))
	}
	leaktest.Eventually(t, "the disk is full", func() bool { add(); return l.last() != nil })
	for range 500 {
		add()
	}
	leaktest.Eventually(t, "the events are given on", func() bool { return l.published() == int(seq) })
	if runs, err := s.Runs("web", 1, 0); err != nil || len(runs) != int(seq) {
		t.Errorf("%d of %d runs are told, %v", len(runs), seq, err)
	}
	fileLimit(t, 0)
	add()
	leaktest.Eventually(t, "all is well again", func() bool { return l.last() == nil })
	closed(t, s)
	s, past := Open(folder, l.options())
	events, err := s.Events(0, 1<<20)
	if err != nil || len(events) != int(seq) || past.Event != seq || past.Run != seq {
		t.Errorf("%d of %d events, %v, %+v", len(events), seq, err, past)
	}
	closed(t, s)
}

// What can't be written for long is kept up to a bound: the newest.
func TestWithoutAFileTheNewestIsKept(t *testing.T) {
	leaktest.Check(t)
	var l listener
	folder := t.TempDir() + "/file/state"
	if err := os.WriteFile(folder[:len(folder)-len("/state")], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, past := Open(folder, l.options())
	if past.Event < 1e12 {
		t.Errorf("%+v: numbers of a past that isn't known may be given twice", past)
	}
	const many = backlogBound + 500
	for n := range uint64(many) {
		s.SetRun(run(n+1, "web", 1, nil))
	}
	leaktest.Eventually(t, "it was tried", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.queue)+len(s.writing) == 0 && len(s.backlog) == backlogBound
	})
	if runs, err := s.Runs("web", 1, 1); err != nil || len(runs) != 1 || runs[0].ID != many {
		t.Errorf("%+v, %v", runs, err)
	}
	closed(t, s)
	if l.last() == nil {
		t.Error("nothing was told")
	}
}

// How long the supervisor's loop is held up by an event, and what the writing of many
// costs beside it.
func BenchmarkAddEvent(b *testing.B) {
	var l listener
	o := l.options()
	o.Runs, o.Events = 100, 20_000
	s, _ := Open(b.TempDir(), o)
	for n := range b.N {
		s.AddEvent(client.Event{Seq: uint64(n + 1), Time: time.Now(), App: "web", Replica: 1, Kind: "state", From: client.Starting, To: client.Running, Cause: "started with foster up"})
	}
	held := b.Elapsed()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(held.Nanoseconds())/float64(b.N), "held-ns/op")
}

// One start at a time, each with its events and its run, and each written before the next.
func BenchmarkCommit(b *testing.B) {
	var l listener
	o := l.options()
	o.Runs, o.Events = 100, 20_000
	done := make(chan struct{}, 1)
	o.Publish = func([]client.Event) { done <- struct{}{} }
	s, _ := Open(b.TempDir(), o)
	for n := range b.N {
		s.SetRun(run(uint64(n+1), "web", 1, nil))
		s.AddEvent(client.Event{Seq: uint64(n + 1), Time: time.Now(), App: "web", Cause: "started with foster up"})
		<-done
	}
	b.StopTimer()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
