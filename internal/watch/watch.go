// Package watch tells when files change.
//
// Folders are watched, never single files: so it doesn't matter whether an editor writes
// a file in place or puts another in its place, and files that come later are seen.
// Changes that follow one another are told as one, when it has been quiet for a while.
package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Files are those to watch.
type Files struct {
	Paths  []string // globs, absolute, with **; a folder is meant with all that is below it
	Ignore []string // the same, of what doesn't count
	// Debounce is how long it has to be quiet after a change. Where it never is, the
	// change is told all the same, after ten times as long, and no sooner than patience.
	Debounce time.Duration
	// Watching is called when all of them are watched, where it isn't nil.
	Watching func()
}

// patience is how long changes may follow one another before they are told.
const patience = 5 * time.Second

// Change is one or more changes that belong together.
type Change struct {
	Path string // the first; "" where it was lost
	More int    // others, as often as they were seen
}

func (c Change) String() string {
	switch {
	case c.Path == "":
		return "files have changed, too many at once to be told apart"
	case c.More == 0:
		return c.Path + " has changed"
	}
	return fmt.Sprintf("%s and others have changed", c.Path)
}

// follow passes changes on, and keeps the folders that are watched those that are there.
func follow(ctx context.Context, f *folders, m *member, seen chan<- string) error {
	tell := func(paths ...string) {
		for _, p := range paths {
			select {
			case seen <- p:
			case <-ctx.Done():
			}
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.news:
		}
		events, err := m.take()
		for _, e := range events {
			found, err := f.event(e)
			tell(found...)
			if err != nil {
				return err
			}
		}
		if errors.Is(err, fsnotify.ErrEventOverflow) {
			tell("") // whatever it was
			_, err = f.rescan()
		}
		if err != nil {
			return err
		}
	}
}

// debounce tells of changes when it has been quiet.
func debounce(ctx context.Context, quiet time.Duration, seen <-chan string, changed func(Change)) {
	var change Change
	var first time.Time // of the change; zero: there is none
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			changed(change)
			first = time.Time{}
			continue
		case path := <-seen:
			if first.IsZero() {
				change, first = Change{Path: path}, time.Now()
			} else if path != change.Path {
				change.More++
			}
		}
		latest := first.Add(max(10*quiet, patience))
		timer.Reset(min(quiet, time.Until(latest)))
	}
}
