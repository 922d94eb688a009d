package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/wire"
)

// A journal with real files is held against a model that knows what was written whole.

// modelRecord is what a file must be read as.
type modelRecord struct {
	r    *Record    // nil: nobody holds it
	last *wire.Life // the last that was written whole; nil: none was
	torn bool       // something was written, and nothing whole
}

// journalModel is a folder and what has to be in it.
type journalModel struct {
	folder  string
	records map[string]*modelRecord
	lives   int
}

// life is one that wasn't written before, now and then one that hardly has room.
func (j *journalModel) life(t *rapid.T) *wire.Life {
	j.lives++
	l := life(rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, 20), rapid.IntRange(1, 20), rapid.IntRange(1, 20), rapid.IntRange(900, 999)).Draw(t, "size"))
	l.Leader.PID = j.lives
	return l
}

// nameOf tells lives apart.
func nameOf(l *wire.Life) string {
	if l == nil {
		return "none"
	}
	return fmt.Sprintf("that of leader %d with %d members", l.Leader.PID, len(l.Members))
}

// some draws a record.
func (j *journalModel) some(t *rapid.T, wanted func(*modelRecord) bool) (id string, m *modelRecord) {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(j.records)) {
		if wanted(j.records[id]) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "", nil
	}
	id = rapid.SampledFrom(ids).Draw(t, "tree")
	return id, j.records[id]
}

func held(m *modelRecord) bool { return m.r != nil }

func lost(m *modelRecord) bool { return m.r == nil && (m.last == nil || !m.last.Done) }

// create makes the record of a tree, which only works where none of that name is left.
func (j *journalModel) create(t *rapid.T) {
	id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	r, err := Create(j.folder, &wire.Entry{ID: id})
	var want error
	switch m := j.records[id]; {
	case m == nil:
	case held(m):
		want = ErrTaken
	case lost(m):
		want = ErrLost
	}
	if !errors.Is(err, want) {
		t.Fatalf("Create(%s): %v, want %v", id, err, want)
	}
	if err == nil {
		j.records[id] = &modelRecord{r: r}
	}
}

// write writes a life.
func (j *journalModel) write(t *rapid.T) {
	id, m := j.some(t, held)
	if m == nil {
		return
	}
	l := j.life(t)
	l.Done = rapid.IntRange(0, 9).Draw(t, "done") == 0
	if err := m.r.Write(l); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	m.last, m.torn = l, false
	if l.Done {
		m.kill()
	}
}

// writeWhileRead writes lives while another reads: each that is read was written, and none
// comes after a later one.
func (j *journalModel) writeWhileRead(t *rapid.T) {
	id, m := j.some(t, held)
	if m == nil {
		return
	}
	order := []*wire.Life{m.last}
	for range 5 {
		order = append(order, j.life(t))
	}
	var read []*wire.Life
	var problem error
	var reader sync.WaitGroup
	done := make(chan struct{})
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			found, err := Find(j.folder, id)
			if err != nil || found.State != Living || found.Torn && order[0] != nil { // the first may be half there
				problem = fmt.Errorf("%v, %v, torn: %v", err, found.State, found.Torn)
				return
			}
			if n := len(read); n == 0 || !reflect.DeepEqual(read[n-1], found.Life) {
				read = append(read, found.Life)
			}
		}
	})
	for _, l := range order[1:] {
		if err := m.r.Write(l); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		m.last, m.torn = l, false
	}
	close(done)
	reader.Wait()
	if problem != nil {
		t.Fatalf("%s, read while it is written: %v", id, problem)
	}
	at := 0
	for _, l := range read {
		n := slices.IndexFunc(order[at:], func(o *wire.Life) bool { return reflect.DeepEqual(o, l) })
		if n < 0 {
			t.Fatalf("%s: what was read isn't what was written, or an older one: %s", id, nameOf(l))
		}
		at += n
	}
}

// tear is the death of a writer in the middle of a write: any part of it is in the file.
func (j *journalModel) tear(t *rapid.T) {
	_, m := j.some(t, held)
	if m == nil {
		return
	}
	if err := m.r.look(); err != nil {
		t.Fatal(err)
	}
	l := j.life(t)
	b, err := formatLife(l, m.r.sequence+1)
	if err != nil {
		t.Fatal(err)
	}
	n := rapid.IntRange(0, len(b)).Draw(t, "bytes")
	if n > 0 {
		if _, err := m.r.f.WriteAt(b[:n], int64(slotOffset(m.r.next))); err != nil {
			t.Fatal(err)
		}
	}
	there := make([]byte, len(b))
	length, _ := m.r.f.ReadAt(there, int64(slotOffset(m.r.next))) // the file may be shorter
	switch {
	case bytes.Equal(there[:length], b): // what wasn't written may have been there
		m.last, m.torn = l, false
	case m.last == nil && n > 0:
		m.torn = true // something was written, and isn't whole
	}
	m.kill()
}

// kill lets go of the record as the kernel does when both sides were killed.
func (m *modelRecord) kill() {
	_ = m.r.Close()
	m.r = nil
}

func (j *journalModel) crash(t *rapid.T) {
	if _, m := j.some(t, held); m != nil {
		m.kill()
	}
}

// take is what a recoverer does.
func (j *journalModel) take(t *rapid.T) {
	id, m := j.some(t, lost)
	if m == nil {
		return
	}
	found, err := Find(j.folder, id)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	if m.r, err = found.Take(); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	if _, err := found.Take(); !errors.Is(err, ErrTaken) {
		t.Fatalf("%s was taken twice: %v", id, err)
	}
}

func (j *journalModel) remove(t *rapid.T) {
	if id, m := j.some(t, held); m != nil {
		if err := m.r.Remove(j.folder); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		m.kill()
		delete(j.records, id)
	}
}

func (j *journalModel) forget(t *rapid.T) {
	id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	var want error
	switch m := j.records[id]; {
	case m == nil:
		want = ErrUnknown
	case held(m):
		want = ErrTaken
	}
	if err := Forget(j.folder, j.folder, id); !errors.Is(err, want) {
		t.Fatalf("Forget(%s): %v, want %v", id, err, want)
	}
	if want == nil {
		delete(j.records, id)
	}
}

// prune removes the trees that have ended, and nothing else.
func (j *journalModel) prune(t *rapid.T) {
	if _, err := Prune(j.folder, j.folder); err != nil {
		t.Fatal(err)
	}
	for id, m := range j.records {
		if !held(m) && !lost(m) {
			delete(j.records, id)
		}
	}
}

// check reads all, and compares it with the model.
func (j *journalModel) check(t *rapid.T) {
	found, problems, err := Scan(j.folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(j.records) {
		t.Fatalf("%d trees are found of %d: %v", len(found), len(j.records), problems)
	}
	halves := 0
	for _, f := range found {
		m := j.records[f.Entry.ID]
		if m == nil {
			t.Fatalf("%s was removed, and is found", f.Entry.ID)
		}
		want := Lost
		switch {
		case held(m):
			want = Living
		case !lost(m):
			want = Ended
		}
		if f.State != want || f.Torn != m.torn || !reflect.DeepEqual(f.Life, m.last) {
			t.Fatalf("%s is %v (torn: %v), want %v (torn: %v); its life is %s, want %s", f.Entry.ID, f.State, f.Torn, want, m.torn, nameOf(f.Life), nameOf(m.last))
		}
		if m.torn {
			halves++
		}
	}
	if len(problems) != halves {
		t.Fatalf("%d problems, want %d: %v", len(problems), halves, problems)
	}
}

// Whatever is written, torn, taken and removed, in whatever order: a tree is read as it was
// last written whole, and its lock tells whether it lives.
func TestTheJournalIsReadAsItWasLastWrittenWhole(t *testing.T) {
	leaktest.Check(t)
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp("", "journal-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(folder)
		j := &journalModel{folder: folder, records: map[string]*modelRecord{}}
		defer func() {
			for _, m := range j.records {
				if m.r != nil {
					_ = m.r.Close()
				}
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"create": j.create, "write": j.write, "write while it is read": j.writeWhileRead, "tear": j.tear, "crash": j.crash,
			"take": j.take, "remove": j.remove, "forget": j.forget, "prune": j.prune, "": j.check,
		})
	})
}

// A file that is cut, as by a crash of the machine, at any byte is read as one of the lives
// that were in it, or not at all.
func TestACutFileIsNeverAMix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := sampleEntry()
		header, err := formatEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, fileRoom)
		copy(b, header)
		end := len(header)
		ends := map[int]*wire.Life{}
		writes := rapid.IntRange(0, 5).Draw(t, "writes")
		for n := 1; n <= writes; n++ {
			l := life(rapid.IntRange(1, 900).Draw(t, "life"))
			part, err := formatLife(l, uint64(n))
			if err != nil {
				t.Fatal(err)
			}
			at := slotOffset((n - 1) % 2)
			copy(b[at:], part)
			ends[(n-1)%2] = l
			end = max(end, at+len(part))
		}
		cut := rapid.OneOf(rapid.IntRange(0, end), rapid.IntRange(0, len(header)), rapid.IntRange(slotOffset(0), slotOffset(1))).Draw(t, "cut")
		damaged := bytes.Clone(b[:min(cut, end)])
		c, err := parse(damaged)
		switch {
		case cut < len(header):
			if err == nil {
				t.Fatalf("cut to %d: read all the same: %+v", cut, c)
			}
		case !reflect.DeepEqual(c.entry, e):
			t.Fatalf("cut to %d: another entry: %+v", cut, c.entry)
		case c.life == nil:
		case !reflect.DeepEqual(c.life, ends[0]) && !reflect.DeepEqual(c.life, ends[1]):
			t.Fatalf("cut to %d: a life that was never written: %s", cut, nameOf(c.life))
		case c.sequence < uint64(writes-1):
			t.Fatalf("cut to %d: life %d of %d", cut, c.sequence, writes)
		}
	})
}

// An entry is obeyed only in the place that it is of.
func TestAnEntryIsObeyedOnlyWhereItIsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		other := func(what string) bool { return rapid.Bool().Draw(t, "another "+what) }
		here := place{boot: "boot", pidns: 1, uid: 2, machine: "machine"}
		e := &wire.Entry{ID: "db"}
		here.fill(e)
		free, done := rapid.Bool().Draw(t, "free"), rapid.Bool().Draw(t, "done")
		user, boot, machine, namespace := other("user"), other("boot"), other("machine"), other("namespace")
		if user {
			e.UID = 3
		}
		if boot {
			e.Boot = "another"
		}
		if machine {
			e.Machine = "another"
		}
		if namespace {
			e.PIDNS = 4
		}
		state, err := here.judge("/folder/db.tree", Found{Entry: e, Life: &wire.Life{Done: done}}, free)
		var want State
		switch {
		case user, boot && (!free || machine), !boot && namespace:
		case boot:
			want = Gone
		case !free:
			want = Living
		case done:
			want = Ended
		default:
			want = Lost
		}
		if state != want || (err != nil) != (want == 0) || err != nil && !errors.Is(err, ErrForeign) {
			t.Fatalf("%+v, free: %v, done: %v: %v, %v; want %v", e, free, done, state, err, want)
		}
	})
}
