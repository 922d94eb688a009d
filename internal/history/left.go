package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/foster-init/foster/client"
)

// Left is what a supervisor has kept, read without it: it may have ended, or be suspended.
// It is a copy, as the file was at one moment. So nothing is changed, and nobody is kept
// from using the file meanwhile.
type Left struct{ store *Store } // without a db: nothing was kept

// OpenLeft copies the history in a folder.
func OpenLeft(folder string) (*Left, error) {
	path := filepath.Join(folder, "history.db")
	l := &Left{&Store{path: path}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	db, err := openCopy(path)
	if err != nil {
		return nil, err
	}
	l.store.db = db
	begun := false // else its supervisor was killed before it had anything to keep
	err = l.store.view(func(tx *bolt.Tx) error {
		begun = tx.Bucket(runsBucket) != nil && tx.Bucket(eventsBucket) != nil
		return nil
	})
	if err != nil || !begun {
		err = errors.Join(err, l.Close())
		l.store.db = nil
	}
	return l, err
}

// Runs is Store.Runs.
func (l *Left) Runs(app string, replica, newest int) ([]client.Run, error) {
	if l.store.db == nil {
		return nil, nil
	}
	return l.store.Runs(app, replica, newest)
}

// Events is Store.Events.
func (l *Left) Events(after uint64, most int) ([]client.Event, error) {
	if l.store.db == nil {
		return nil, nil
	}
	return l.store.Events(after, most)
}

// Close lets go of the copy.
func (l *Left) Close() error {
	if l.store.db == nil {
		return nil
	}
	if l.store.corrupt != nil {
		go l.store.db.Close() // see setAside
		return nil
	}
	return l.store.db.Close()
}

// openCopy opens a copy of a file, which has no name.
func openCopy(path string) (*bolt.DB, error) {
	to, err := os.CreateTemp("", "foster-history-")
	if err != nil {
		return nil, err
	}
	defer to.Close()
	defer os.Remove(to.Name())
	if err := copyFile(to, path); err != nil {
		return nil, fmt.Errorf("copy %s: %w", path, err)
	}
	db, err := openBolt(to.Name(), true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return db, nil
}

// copyTries is how often a file is copied that a supervisor writes to meanwhile.
const copyTries = 100

// copyFile copies a file as it was at one moment. Each transaction ends by writing one of
// the two pages that the file begins with, and touches nothing that the last one needs: so
// where these are the same before and after, nothing was missed.
func copyFile(to *os.File, path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	heads := func() ([]byte, error) {
		b := make([]byte, 2*os.Getpagesize())
		n, err := from.ReadAt(b, 0)
		if err == io.EOF {
			err = nil
		}
		return b[:n], err
	}
	for range copyTries {
		before, err := heads()
		if err != nil {
			return err
		}
		if err := to.Truncate(0); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(to, 0), io.NewSectionReader(from, 0, 1<<62)); err != nil {
			return err
		}
		after, err := heads()
		if err != nil {
			return err
		}
		if bytes.Equal(before, after) {
			return nil
		}
	}
	return errors.New("it changes all the time")
}
