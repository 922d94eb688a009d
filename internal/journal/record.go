package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// Record is a file of the journal with its lock. It may be shared by two processes
// that have the same open file; one of them writes, which is the shim once it has it.
type Record struct {
	f     *os.File
	entry *wire.Entry // nil: it wasn't read yet

	looked   bool // at what the slots hold
	next     int  // the slot that is written next
	sequence uint64
}

// Adopt takes over the open file of a record that another process has just made, in which
// nothing is written of a life.
func Adopt(f *os.File) *Record { return &Record{f: f, looked: true} }

// Resume takes over the open file of a record in which another process may have written, and
// gives what is known of the tree's life; nil: nothing.
func Resume(f *os.File) (*Record, *wire.Life) {
	r := &Record{f: f}
	c, err := r.read()
	if err != nil {
		return r, nil
	}
	return r, c.life
}

// File is the open file, to be passed on with its lock.
func (r *Record) File() *os.File { return r.f }

// Close lets go of the record. It only closes, and doesn't unlock: the other side
// has the same lock, by the same open file.
func (r *Record) Close() error { return r.f.Close() }

// Write writes what is known of the tree's life in place of what was known before
// the last write.
func (r *Record) Write(l *wire.Life) error {
	if err := r.look(); err != nil {
		return err
	}
	b, err := formatLife(l, r.sequence+1)
	if err != nil {
		return err
	}
	if _, err := r.f.WriteAt(b, int64(slotOffset(r.next))); err != nil {
		return err
	}
	r.sequence, r.next = r.sequence+1, 1-r.next
	return nil
}

// look finds the slot whose loss is the lesser one.
func (r *Record) look() error {
	if r.looked {
		return nil
	}
	c, err := r.read()
	if err != nil && !errors.Is(err, errTornLife) {
		return err
	}
	if c.life != nil {
		r.next = 1 - c.slot
	}
	r.looked, r.sequence = true, c.sequence
	return nil
}

func (r *Record) read() (content, error) {
	b, err := readWhole(r.f)
	if err != nil {
		return content{}, err
	}
	return parse(b)
}

// readWhole reads as much as a file of the journal can have.
func readWhole(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, fileRoom))
}

// At says whether a path still names the record. While it does, what has the same name in
// another folder is of the same tree, too: who takes the name away needs the lock.
func (r *Record) At(path string) bool { return isAt(r.f, path) }

// Remove removes the record from the folder, unless its name is another's by now.
// Nobody else can take the name away in between: that needs the lock.
func (r *Record) Remove(folder string) error {
	e := r.entry
	if e == nil {
		c, err := r.read()
		if err != nil && c.entry == nil {
			return err
		}
		e = c.entry
	}
	if err := ValidID(e.ID); err != nil {
		return err
	}
	path := treePath(folder, e.ID)
	if !isAt(r.f, path) {
		return nil
	}
	if e.Keep {
		removeOutputs(folder, e.ID)
	}
	return ignoreMissing(os.Remove(path))
}

// Forget removes what the journal has of a tree that nobody holds, whatever it says, and the
// tree's socket. It is ErrUnknown where that is nothing, and ErrTaken where the tree lives or
// another recovers it.
func Forget(folder, runtime, id string) error {
	if err := ValidID(id); err != nil {
		return err
	}
	path := treePath(folder, id)
	f, err := open(path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	defer f.Close()
	locked, err := lockAlone(f)
	switch {
	case err != nil:
		return err
	case !locked:
		return ErrTaken
	case !isAt(f, path):
		return ErrUnknown // it was removed, or replaced, before it was locked
	}
	removeOutputs(folder, id)
	return errors.Join(ignoreMissing(os.Remove(SocketPath(runtime, id))), ignoreMissing(os.Remove(path)))
}

// isAt says whether a path still names the open file.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// tries bounds how often something is tried again that another came between.
const tries = 100

// Create makes the record of a tree that is about to be started, with its lock; it
// fills in what the entry says of version, boot, PID namespace and user. Of several
// that do so with one ID at the same time, one gets it. An entry whose tree has ended
// is replaced. It is ErrTaken where a living tree has that ID, and ErrLost where a
// lost one has.
func Create(folder string, e *wire.Entry) (*Record, error) {
	here, err := whereabouts()
	if err != nil {
		return nil, err
	}
	here.fill(e)
	e.Namespace = holdNamespace(folder, os.Getpid())
	return create(folder, e, nil)
}

func create(folder string, e *wire.Entry, l *wire.Life) (*Record, error) {
	if err := ValidID(e.ID); err != nil {
		return nil, err
	}
	header, err := formatEntry(e)
	if err != nil {
		return nil, err
	}
	var life []byte
	if l != nil {
		if life, err = formatLife(l, 1); err != nil {
			return nil, err
		}
	}
	path := treePath(folder, e.ID)
	for range tries {
		r, err := linkNew(folder, path, header, life)
		switch {
		case err == nil:
			r.entry = e
			return r, nil
		case errors.Is(err, fs.ErrExist):
			err = giveWay(folder, e.ID)
		case errors.Is(err, fs.ErrNotExist): // it was taken for a leftover
			if _, serr := os.Stat(folder); serr == nil {
				err = nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("journal: %s: %w", path, err)
		}
	}
	return nil, fmt.Errorf("journal: %s: %w", path, ErrTaken)
}

// linkNew writes a file under a name that nobody looks for, takes its lock, and only
// then gives it the name that it's to have: so it's never seen half, nor unlocked.
func linkNew(folder, path string, header, life []byte) (_ *Record, err error) {
	name := filepath.Join(folder, newPrefix+strconv.FormatUint(rand.Uint64(), 36))
	f, err := sys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	defer func() { _ = os.Remove(name) }() // else it's pruned
	if ok, err := sys.TryLock(f, false); err != nil || !ok {
		return nil, errors.Join(err, fs.ErrNotExist) // who removes leftovers has it
	}
	if _, err := f.WriteAt(header, 0); err != nil {
		return nil, err
	}
	if life != nil {
		if _, err := f.WriteAt(life, int64(slotOffset(0))); err != nil {
			return nil, err
		}
	}
	if err := os.Link(name, path); err != nil {
		return nil, err
	}
	return &Record{f: f}, nil
}

// giveWay removes the file that has the name of a new one, where its tree has ended.
func giveWay(folder, id string) error {
	found, err := Find(folder, id)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil
	case errors.Is(err, errRuined):
		_, err := removeRuined(treePath(folder, id))
		return err
	case err != nil:
		return err
	}
	if found.State == Living && (found.Life == nil || !found.Life.Done) {
		return ErrTaken
	}
	if found.State == Lost {
		return ErrLost
	}
	r, err := found.Take()
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if errors.Is(err, ErrTaken) { // only for the moment that it takes to remove it
		time.Sleep(time.Millisecond)
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	if found.State == Lost {
		return ErrLost
	}
	return r.Remove(folder)
}
