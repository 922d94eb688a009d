package history

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/foster-init/foster/client"
)

// view reads the file. Where there is none, nothing is read.
func (s *Store) view(do func(*bolt.Tx) error) error {
	s.mu.Lock()
	db := s.db
	s.mu.Unlock()
	if db == nil {
		return nil
	}
	err := safely(func() error { return db.View(do) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return nil // closed, or set aside, meanwhile
	}
	if errors.Is(err, errCorrupt) {
		s.mu.Lock()
		if s.db == db {
			s.corrupt = err
		}
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}: // it is set aside by who writes
		default:
		}
	}
	return err
}

// unwritten is what isn't in the file yet, the oldest first.
func (s *Store) unwritten() []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.backlog, s.writing, s.queue)
}

func (s *Store) since() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits.Age <= 0 {
		return time.Time{}
	}
	return s.clock.Since(s.limits.Age)
}

// Runs gives the runs of an instance, the newest last: at most so many; 0 is all. Replica
// 0 is all of the application, and no application all.
func (s *Store) Runs(app string, replica, newest int) ([]client.Run, error) {
	late := s.unwritten() // before the file is read: what is written meanwhile is found twice, not never
	found := map[uint64]client.Run{}
	start := prefix(app, replica)
	err := s.view(func(tx *bolt.Tx) error {
		for c, key := seek(tx.Bucket(runsBucket), start); key != nil && bytes.HasPrefix(key, start); key, _ = c.Next() {
			if r, ok := parse[client.Run](tx.Bucket(runsBucket).Get(key)); ok {
				found[r.ID] = r
			}
		}
		return nil
	})
	for _, r := range late {
		if r.run != nil && (app == "" || r.run.App == app && (replica == 0 || r.run.Replica == replica)) {
			found[r.run.ID] = *r.run
		}
	}
	since := s.since()
	maps.DeleteFunc(found, func(_ uint64, r client.Run) bool { return tooOld(r, since) })
	runs := slices.SortedFunc(maps.Values(found), func(a, b client.Run) int { return cmp.Compare(a.ID, b.ID) })
	if newest > 0 {
		runs = runs[max(0, len(runs)-newest):]
	}
	return runs, err
}

// Events gives the first events after a number that are written, at most so many.
func (s *Store) Events(after uint64, most int) (events []client.Event, err error) {
	since := s.since()
	err = s.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(eventsBucket).Cursor()
		for key, text := c.Seek(number(after + 1)); key != nil && len(events) < most; key, text = c.Next() {
			if e, ok := parse[client.Event](text); ok && !e.Time.Before(since) {
				events = append(events, e)
			}
		}
		return nil
	})
	return events, err
}

// unfinished gives the runs without an end.
func unfinished(tx *bolt.Tx) (runs []client.Run, err error) {
	return runs, tx.Bucket(openBucket).ForEach(func(_, key []byte) error {
		if r, ok := parse[client.Run](tx.Bucket(runsBucket).Get(key)); ok {
			runs = append(runs, r)
		}
		return nil
	})
}
