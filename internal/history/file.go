package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/sys"
)

// errCorrupt says that the file isn't what it was written as.
var errCorrupt = errors.New("it is damaged")

// The buckets. An entry is JSON.
var (
	eventsBucket = []byte("events") // number of the event
	runsBucket   = []byte("runs")   // application, 0, replica, number of the run
	openBucket   = []byte("open")   // number of a run without an end: its key
	factsBucket  = []byte("facts")
	lastEvent    = []byte("event") // the highest number given
	lastRun      = []byte("run")
	bootFact     = []byte("boot") // in which it was last written
)

// patience is how long the lock of a supervisor that was just killed may linger.
const patience = 2 * time.Second

// open opens the file, or makes it. What can't be read is set aside: that is told by the
// error, and yet there is a store then.
func (s *Store) open() (Past, error) {
	db, past, err := openFile(s.path)
	if db == nil && errors.Is(err, errCorrupt) {
		told := s.setAside(err)
		db, past, err = openFile(s.path)
		err = errors.Join(told, err)
	}
	if err != nil {
		// Whatever numbers there were, these are higher.
		now := uint64(time.Now().UnixMilli())
		past.Event, past.Run = max(past.Event, now), max(past.Run, now)
	}
	s.mu.Lock()
	s.db = db
	s.mu.Unlock()
	return past, err
}

// setAside gives the file another name, and says so.
func (s *Store) setAside(why error) error {
	s.mu.Lock()
	db := s.db
	s.db, s.corrupt = nil, nil
	s.mu.Unlock()
	if db != nil {
		go db.Close() // it may wait for ever for a transaction that has panicked
	}
	return rename(s.path, why)
}

func rename(path string, why error) error {
	aside := path + ".corrupt"
	return errors.Join(fmt.Errorf("%s can't be read (%w): it was set aside as %s", path, why, aside), os.Rename(path, aside))
}

// openFile opens a file that is of this boot of the machine, or makes it so.
func openFile(path string) (*bolt.DB, Past, error) {
	told := ofThisBoot(path)
	db, err := openBolt(path, false)
	if err != nil {
		return nil, Past{}, errors.Join(told, err)
	}
	var past Past
	if err := safely(func() (err error) { past, err = prepare(db); return err }); err != nil {
		go db.Close() // see setAside
		return nil, Past{}, errors.Join(told, classify(path, err))
	}
	return db, past, told
}

func openBolt(path string, readOnly bool) (db *bolt.DB, err error) {
	err = safely(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout: patience, ReadOnly: readOnly, NoSync: true, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		})
		return err
	})
	return db, classify(path, err)
}

// classify tells a file that is damaged from one that can't be had.
func classify(path string, err error) error {
	var of *fs.PathError
	var number syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s: another process uses it", path)
	case errors.Is(err, errCorrupt), errors.As(err, &of), errors.As(err, &number):
		return err
	}
	return fmt.Errorf("%w: %w", errCorrupt, err)
}

// prepare makes the buckets, and reads what there is from before.
func prepare(db *bolt.DB) (past Past, err error) {
	boot, _ := sys.BootID() // not known: it is copied each time
	return past, db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{eventsBucket, runsBucket, openBucket, factsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		facts := tx.Bucket(factsBucket)
		newest, text := tx.Bucket(eventsBucket).Cursor().Last()
		if e, ok := parse[client.Event](text); ok {
			past.last = e.Time
		}
		past.Event, past.Run = max(numberOf(facts.Get(lastEvent)), numberOf(newest)), numberOf(facts.Get(lastRun))
		past.Unfinished, err = unfinished(tx)
		return errors.Join(err, facts.Put(bootFact, []byte(boot)))
	})
}

// safely runs what reads or writes the file. bbolt trusts what it finds there: from what
// is damaged it panics, or reads what isn't mapped.
func safely(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errCorrupt, r)
		}
	}()
	return do()
}
