package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foster-init/foster/internal/wire"
)

// mostKept is how many trees that have ended stay to be read.
const mostKept = 64

// Prune bounds the journal: it removes what is of an earlier boot, the trees that have
// ended but for the newest of those that are kept to be read, files that never got
// their name, and sockets of trees that don't live. Lost trees stay, and so does what
// can't be read, unless it's of an earlier boot. It returns the paths that it removed.
func Prune(folder, runtime string) (removed []string, err error) {
	p := pruner{folder: folder, runtime: runtime}
	err = p.run()
	return p.removed, err
}

type pruner struct {
	folder, runtime string
	removed         []string
	failed          []error
}

func (p *pruner) done(path string, err error) {
	if err = ignoreMissing(err); err != nil {
		p.failed = append(p.failed, err)
	} else {
		p.removed = append(p.removed, path)
	}
}

func (p *pruner) run() error {
	// Sockets first: as long as its tree is in the journal, its lock can be had.
	p.sockets()
	found, problems, err := Scan(p.folder)
	if err != nil {
		return err
	}
	var kept []Found
	for i := range found {
		switch f := &found[i]; {
		case f.State == Gone, f.State == Ended && !f.Entry.Keep:
			p.remove(f)
		case f.State == Ended:
			kept = append(kept, *f)
		}
	}
	slices.SortFunc(kept, func(a, b Found) int { return b.Life.End.At.Compare(a.Life.End.At) })
	for i := mostKept; i < len(kept); i++ {
		p.remove(&kept[i])
	}
	for _, one := range problems {
		if errors.Is(one.Err, errRuined) {
			if ok, err := removeRuined(one.Path); ok || err != nil {
				p.done(one.Path, err)
			}
		}
	}
	p.leftovers()
	p.namespaces()
	return errors.Join(p.failed...)
}

// remove removes a tree that isn't living or lost, unless another is at it.
func (p *pruner) remove(f *Found) {
	r, err := f.Take()
	if err != nil {
		return
	}
	defer r.Close()
	if f.State == Ended || f.State == Gone {
		p.done(f.Path, r.Remove(p.folder))
	}
}

// leftovers removes the files whose maker was killed before they had their name.
func (p *pruner) leftovers() {
	paths, _ := filepath.Glob(filepath.Join(p.folder, newPrefix+"*")) // the pattern is valid
	for _, path := range paths {
		f, err := open(path, os.O_RDWR)
		if err != nil {
			continue
		}
		if ok, err := lockAlone(f); ok && err == nil && isAt(f, path) {
			p.done(path, os.Remove(path))
		}
		_ = f.Close()
	}
}

// sockets removes the sockets whose tree has ended, or isn't known. A lost tree's is
// left to who recovers it.
func (p *pruner) sockets() {
	files, err := os.ReadDir(p.runtime)
	if err != nil {
		if err = ignoreMissing(err); err != nil {
			p.failed = append(p.failed, err)
		}
		return
	}
	for _, file := range files {
		id, ok := strings.CutSuffix(file.Name(), socketSuffix)
		if !ok || ValidID(id) != nil || file.Type()&os.ModeSocket == 0 {
			continue
		}
		p.socket(id)
	}
}

// socket removes a socket with the lock of its tree held, so that no new tree of that
// name makes its own in between.
func (p *pruner) socket(id string) {
	var r *Record
	found, err := Find(p.folder, id)
	unknown := errors.Is(err, ErrUnknown)
	switch {
	case unknown:
		r, err = reserve(p.folder, id)
	case err == nil && (found.State == Ended || found.State == Gone):
		r, err = found.Take()
	default:
		return
	}
	if err != nil {
		return // another is at it
	}
	defer r.Close()
	if unknown || found.State == Ended || found.State == Gone {
		path := SocketPath(p.runtime, id)
		p.done(path, os.Remove(path))
	}
	if unknown {
		_ = r.Remove(p.folder) // else it's pruned, as one that has ended
	}
}

// reserve makes the record of a tree that has ended already, so that its name is held.
func reserve(folder, id string) (*Record, error) {
	here, err := whereabouts()
	if err != nil {
		return nil, err
	}
	e := &wire.Entry{ID: id}
	here.fill(e)
	return create(folder, e, &wire.Life{Done: true})
}
