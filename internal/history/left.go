package history

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/foster-init/foster/client"
)

// LeftRuns is Store.Runs of a folder whose supervisor has ended. It changes nothing, and
// gives an error where one lives: that one is to be asked.
func LeftRuns(folder, app string, replica, newest int) (runs []client.Run, err error) {
	return runs, left(folder, func(s *Store) error {
		runs, err = s.Runs(app, replica, newest)
		return err
	})
}

// LeftEvents is Store.Events of such a folder.
func LeftEvents(folder string, after uint64, most int) (events []client.Event, err error) {
	return events, left(folder, func(s *Store) error {
		events, err = s.Events(after, most)
		return err
	})
}

// left has a file read, where there is one. It is open, and so locked against a supervisor
// that begins, no longer than that takes.
func left(folder string, read func(*Store) error) error {
	path := filepath.Join(folder, "history.db")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	db, err := openBolt(path, true)
	if err != nil {
		return err
	}
	s := &Store{path: path, db: db}
	begun := false // else its supervisor was killed before it had anything to keep
	err = s.view(func(tx *bolt.Tx) error {
		begun = tx.Bucket(runsBucket) != nil && tx.Bucket(eventsBucket) != nil
		return nil
	})
	if err == nil && begun {
		err = read(s)
	}
	if errors.Is(err, errCorrupt) {
		go db.Close() // see setAside
		return err
	}
	return errors.Join(err, db.Close())
}
