// Package history keeps the runs and the events of a project's applications, for who asks
// later and for the next life of the supervisor.
//
// They are in one bbolt file. Who adds something never waits for the disk: a goroutine
// writes what has come meanwhile, as one transaction. The death of this process, at any
// moment, loses nothing that was told to anybody: an event is given on when it is
// written. There is no fsync, as in the journal of the trees: what was written when the
// process was killed, the kernel has. Only when the machine itself has crashed may the
// file be torn. So one that was last written in another boot is read whole, and all that
// can be read is copied to a new one.
//
// A file that can't be read is set aside, and another one begun. Where nothing can be
// written, the newest is kept in memory, and written as soon as that is possible.
package history

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/aging"
)

// Options is what a store is made with. The functions are called by one goroutine, the
// store's own.
type Options struct {
	Runs   int           // how many are kept of each instance; 0: all
	Age    time.Duration // for how long; 0: for ever
	Events int           // how many of them are kept; 0: all

	// Publish gets each event once it is written, or can't be.
	Publish func([]client.Event)
	// Failed tells why nothing can be written, or what was set aside, and nil when all
	// is well again.
	Failed func(error)

	now func() (wall time.Time, up time.Duration) // nil: as they are
}

// Store is the history of one project.
type Store struct {
	path    string
	options Options
	wake    chan struct{}
	done    chan struct{}
	clock   *aging.Clock

	mu      sync.Mutex
	db      *bolt.DB // nil where it can't be had
	limits  Options
	flushed []chan struct{} // each closed when all before it was tried
	queue   []record        // nobody has tried to write them
	backlog []record        // they couldn't be written
	writing []record
	corrupt error // what a reader has come upon
	closed  bool

	// Of the goroutine:
	pruned  time.Time
	failing bool
}

// record is an event or a run. A run that is there is replaced.
type record struct {
	event *client.Event
	run   *client.Run
}

// Past is what a store has from before.
type Past struct {
	Event      uint64       // the number of the last event
	Run        uint64       // of the last run
	Unfinished []client.Run // whose end isn't known
	last       time.Time    // of the last event
}

// backlogBound is how much is kept for a disk that can't be written.
const backlogBound = 10_000

// retry is how long after a failure it is tried again.
const retry = 5 * time.Second

// Open opens the store of a folder, which only this process uses. It always gives one:
// that nothing can be read or written is told to Failed. Where the past isn't known, the
// numbers go on from the time, so that none is given twice.
func Open(folder string, o Options) (*Store, Past) {
	s := &Store{
		path: filepath.Join(folder, "history.db"), options: o, limits: o,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	past, told := s.open()
	s.clock = aging.New(past.last, o.now)
	go s.write(told)
	return s, past
}

// SetLimits changes how much is kept.
func (s *Store) SetLimits(runs int, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.Runs, s.limits.Age = runs, age
}

// AddEvent keeps an event. They come in the order of their numbers.
func (s *Store) AddEvent(e client.Event) { s.add(record{event: &e}) }

// SetRun keeps a run as it is now.
func (s *Store) SetRun(r client.Run) { s.add(record{run: &r}) }

func (s *Store) add(r record) {
	s.mu.Lock()
	s.queue = append(s.queue, r)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it will look
	}
}

// Flush waits until what was added so far is written, or can't be, or the time is over.
func (s *Store) Flush(bound time.Duration) {
	within, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	s.FlushUntil(within.Done())
}

// FlushUntil is Flush for who waits until another moment, and says whether it is written, or
// can't be.
func (s *Store) FlushUntil(over <-chan struct{}) bool {
	tried := make(chan struct{})
	s.mu.Lock()
	s.flushed = append(s.flushed, tried)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it will look
	}
	select {
	case <-tried:
	case <-s.done:
	case <-over:
		return false
	}
	return true
}

// Close writes what is left, and ends.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	err := errors.Join(s.db.Sync(), s.db.Close())
	s.db = nil
	return err
}

// write is the store's goroutine.
func (s *Store) write(told error) {
	defer close(s.done)
	s.tell(told)
	clock := time.NewTimer(retry)
	for {
		if !s.failing {
			clock.Stop()
		}
		select {
		case <-s.wake:
		case <-clock.C:
		}
		last := s.writeOnce()
		if last {
			clock.Stop()
			return
		}
		if s.failing {
			clock.Reset(retry)
		}
	}
}

// writeOnce writes what there is, and says whether that was the last.
func (s *Store) writeOnce() (last bool) {
	s.mu.Lock()
	fresh := s.queue
	batch := append(s.backlog, fresh...)
	s.queue, s.backlog, s.writing, last = nil, nil, batch, s.closed
	flushed := s.flushed
	s.flushed = nil
	s.mu.Unlock()
	err := s.commit(batch)
	for _, tried := range flushed {
		close(tried)
	}
	s.mu.Lock()
	if s.writing = nil; err != nil {
		s.backlog = batch[max(0, len(batch)-backlogBound):]
	}
	s.mu.Unlock()
	s.tell(err)
	if events := eventsOf(fresh); len(events) > 0 {
		s.options.Publish(events)
	}
	return last
}

func eventsOf(list []record) (events []client.Event) {
	for _, r := range list {
		if r.event != nil {
			events = append(events, *r.event)
		}
	}
	return events
}

// tell tells of an error, and of its end.
func (s *Store) tell(err error) {
	if err != nil || s.failing {
		s.options.Failed(err)
	}
	s.failing = err != nil
}

// commit writes a batch. A store that turns out to be corrupt is set aside, and the batch
// is the first of another.
func (s *Store) commit(batch []record) error {
	s.mu.Lock()
	corrupt := s.corrupt
	s.mu.Unlock()
	if corrupt != nil {
		s.tell(s.setAside(corrupt))
	}
	if s.db == nil {
		if _, err := s.open(); err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	err := s.put(batch)
	if errors.Is(err, errCorrupt) {
		s.tell(s.setAside(err))
		_, err = s.open()
		if err == nil {
			err = s.put(batch)
		}
	}
	return err
}
