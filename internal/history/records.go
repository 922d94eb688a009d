package history

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/foster-init/foster/client"
)

// number and numberOf write and read keys that sort as their numbers do.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func numberOf(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// prefix is what the keys of an instance's runs begin with; replica 0 is all of the
// application, and no application all.
func prefix(app string, replica int) []byte {
	if app == "" {
		return nil
	}
	key := append([]byte(app), 0)
	if replica > 0 {
		key = binary.BigEndian.AppendUint32(key, uint32(replica))
	}
	return key
}

func runKey(r *client.Run) []byte { return append(prefix(r.App, r.Replica), number(r.ID)...) }

// put writes a batch as one transaction.
func (s *Store) put(batch []record) error {
	s.mu.Lock()
	limits := s.limits
	s.mu.Unlock()
	return safely(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			p := putter{tx: tx, limits: limits, grown: map[string]bool{}}
			for _, r := range batch {
				if err := p.put(r); err != nil {
					return err
				}
			}
			if err := p.prune(); err != nil || time.Since(s.pruned) < time.Hour {
				return err
			}
			s.pruned = time.Now()
			return p.pruneOld(s.clock.Since(limits.Age))
		})
	})
}

// putter is one transaction.
type putter struct {
	tx     *bolt.Tx
	limits Options
	event  uint64          // the highest
	run    uint64          //
	grown  map[string]bool // prefixes of instances that have more runs
}

func (p *putter) put(r record) error {
	if e := r.event; e != nil {
		p.event = max(p.event, e.Seq)
		return putJSON(p.tx.Bucket(eventsBucket), number(e.Seq), e)
	}
	key := runKey(r.run)
	p.run = max(p.run, r.run.ID)
	p.grown[string(prefix(r.run.App, r.run.Replica))] = true
	open := p.tx.Bucket(openBucket)
	err := open.Put(number(r.run.ID), key)
	if r.run.Exit != nil {
		err = open.Delete(number(r.run.ID))
	}
	if err != nil {
		return err
	}
	return putJSON(p.tx.Bucket(runsBucket), key, r.run)
}

func putJSON(b *bolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b.FillPercent = 0.9 // most are added at the end
	return b.Put(key, text)
}

// prune removes what is over the bounds, and notes the highest numbers.
func (p *putter) prune() error {
	facts := p.tx.Bucket(factsBucket)
	for name, n := range map[string]uint64{string(lastEvent): p.event, string(lastRun): p.run} {
		if n > numberOf(facts.Get([]byte(name))) {
			if err := facts.Put([]byte(name), number(n)); err != nil {
				return err
			}
		}
	}
	for prefix := range p.grown {
		if err := p.pruneRuns([]byte(prefix)); err != nil {
			return err
		}
	}
	return p.pruneEvents()
}

// pruneRuns leaves the newest runs of an instance.
func (p *putter) pruneRuns(prefix []byte) error {
	if p.limits.Runs <= 0 {
		return nil
	}
	runs := p.tx.Bucket(runsBucket)
	var keys [][]byte
	for c, key := seek(runs, prefix); bytes.HasPrefix(key, prefix) && key != nil; key, _ = c.Next() {
		if len(key) == len(prefix)+8 {
			keys = append(keys, key)
		}
	}
	for n := range max(0, len(keys)-p.limits.Runs) {
		if err := p.removeRun(keys[n]); err != nil {
			return err
		}
	}
	return nil
}

func (p *putter) removeRun(key []byte) error {
	key = bytes.Clone(key)
	if err := p.tx.Bucket(openBucket).Delete(key[len(key)-8:]); err != nil {
		return err
	}
	return p.tx.Bucket(runsBucket).Delete(key)
}

func seek(b *bolt.Bucket, prefix []byte) (*bolt.Cursor, []byte) {
	c := b.Cursor()
	key, _ := c.Seek(prefix)
	return c, key
}

// pruneEvents leaves the newest events; their numbers have no gaps but where a history
// was lost.
func (p *putter) pruneEvents() error {
	if p.limits.Events <= 0 || p.event <= uint64(p.limits.Events) {
		return nil
	}
	return p.removeEvents(func(seq uint64, _ []byte) bool { return seq <= p.event-uint64(p.limits.Events) })
}

// removeEvents removes the oldest, as long as they are to go.
func (p *putter) removeEvents(gone func(seq uint64, text []byte) bool) error {
	events := p.tx.Bucket(eventsBucket)
	var keys [][]byte
	c := events.Cursor()
	for key, text := c.First(); key != nil && gone(numberOf(key), text); key, text = c.Next() {
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys {
		if err := events.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// pruneOld removes what is too old: all that has ended before a time.
func (p *putter) pruneOld(since time.Time) error {
	if p.limits.Age <= 0 {
		return nil
	}
	var old [][]byte
	c := p.tx.Bucket(runsBucket).Cursor()
	for key, text := c.First(); key != nil; key, text = c.Next() {
		if r, ok := parse[client.Run](text); !ok || tooOld(r, since) {
			old = append(old, bytes.Clone(key))
		}
	}
	for _, key := range old {
		if err := p.removeRun(key); err != nil {
			return err
		}
	}
	return p.removeEvents(func(_ uint64, text []byte) bool {
		e, ok := parse[client.Event](text)
		return !ok || e.Time.Before(since)
	})
}

// tooOld says whether a run had ended before a time. One that hasn't isn't old.
func tooOld(r client.Run, since time.Time) bool {
	if r.Exit == nil {
		return false
	}
	return r.Started.Before(since) && r.Exit.Ended.Before(since)
}

func parse[T any](text []byte) (v T, ok bool) { return v, json.Unmarshal(text, &v) == nil }
