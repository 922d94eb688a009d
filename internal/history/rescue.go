package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/foster-init/foster/internal/sys"
)

// ofThisBoot sees to it that a file that was last written in another boot of the machine
// is whole: it may lack what the kernel hadn't written yet when the machine crashed. All
// that can be read of it is copied to a new one. An error tells that this wasn't all.
func ofThisBoot(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return nil // it is yet to be made
	}
	if page := int64(os.Getpagesize()); info.Size() < newPages*page && info.Size()%page == 0 {
		return os.Truncate(path, 0) // its maker was killed when it had written some of them
	}
	old, err := openBolt(path, true)
	if err != nil {
		return nil // who opens it to write will find out why
	}
	defer func() { go old.Close() }() // see setAside
	if sameBoot(old) {
		return nil
	}
	fresh := path + ".new"
	if err := ignoreMissing(os.Remove(fresh)); err != nil {
		return err
	}
	lost, err := copyAll(old, fresh)
	switch {
	case err != nil:
		return err
	case lost != nil:
		lost = fmt.Errorf("%w; what could be read of it was kept", rename(path, lost))
	}
	return errors.Join(lost, os.Rename(fresh, path))
}

// newPages is how many pages are written to a file that is made.
const newPages = 4

// sameBoot says whether a file was last written in this boot. Whoever made one in which there is
// nothing was killed before it had anything to keep.
func sameBoot(db *bolt.DB) (same bool) {
	boot, err := sys.BootID()
	if err != nil || boot == "" {
		return false
	}
	_ = safely(func() error { // damaged: it isn't
		return db.View(func(tx *bolt.Tx) error {
			facts := tx.Bucket(factsBucket)
			any, _ := tx.Cursor().First()
			same = any == nil || facts != nil && string(facts.Get(bootFact)) == boot
			return nil
		})
	})
	return same
}

// copyAll copies what can be read. lost tells why that isn't all.
func copyAll(old *bolt.DB, path string) (lost, err error) {
	fresh, err := openBolt(path, false)
	if err != nil {
		return nil, err
	}
	err = fresh.Update(func(to *bolt.Tx) error {
		for _, name := range [][]byte{eventsBucket, runsBucket, openBucket, factsBucket} {
			b, err := to.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			b.FillPercent = 0.9
			lost = errors.Join(lost, safely(func() error {
				return old.View(func(from *bolt.Tx) error { return copyBucket(from.Bucket(name), b) })
			}))
		}
		return nil
	})
	return lost, errors.Join(err, fresh.Sync(), fresh.Close())
}

func copyBucket(from, to *bolt.Bucket) error {
	if from == nil {
		return fmt.Errorf("%w: a part of it is missing", errCorrupt)
	}
	broken := 0
	err := from.ForEach(func(key, value []byte) error {
		if bytes.HasPrefix(value, []byte("{")) && !json.Valid(value) {
			broken++
			return nil
		}
		return to.Put(bytes.Clone(key), bytes.Clone(value))
	})
	if err == nil && broken > 0 {
		err = fmt.Errorf("%w: %d entries of it are broken", errCorrupt, broken)
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
