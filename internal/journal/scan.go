package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// Found is what the journal says of one tree.
type Found struct {
	Path  string
	State State
	Entry *wire.Entry
	Life  *wire.Life // nil: nothing was written after the start
	Torn  bool       // something was, and isn't whole
}

// Problem is a file that isn't obeyed, or not wholly, and why.
type Problem struct {
	Path string
	Err  error
	Held bool // its tree lives, wherever that is, or another recovers it
}

// ID is the name of the tree that the file is of.
func (p Problem) ID() string { return strings.TrimSuffix(filepath.Base(p.Path), treeSuffix) }

// MayBeLeft says whether the file may be that of a tree which both its sides have left.
func (p Problem) MayBeLeft() bool { return !p.Held && !errors.Is(p.Err, ErrAlien) }

func (p Problem) Error() string { return fmt.Sprintf("journal: %s: %v", p.Path, p.Err) }

// Scan reads the journal. It changes nothing. Files that aren't named as trees are
// passed over.
func Scan(folder string) (found []Found, problems []Problem, err error) {
	here, err := whereabouts()
	if err != nil {
		return nil, nil, err
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, ignoreMissing(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), treeSuffix) {
			continue
		}
		path := filepath.Join(folder, file.Name())
		one, err := here.look(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // removed meanwhile
		case err != nil:
			problems = append(problems, Problem{path, err, one.State == Living})
			continue
		case one.Torn:
			problems = append(problems, Problem{path, errTornLife, one.State == Living})
		}
		found = append(found, one)
	}
	return found, problems, nil
}

// Find reads what the journal says of one tree; ErrUnknown where that is nothing.
func Find(folder, id string) (Found, error) {
	if err := ValidID(id); err != nil {
		return Found{}, err
	}
	here, err := whereabouts()
	if err != nil {
		return Found{}, err
	}
	found, err := here.look(treePath(folder, id))
	if errors.Is(err, fs.ErrNotExist) {
		return Found{}, fmt.Errorf("%w: %s", ErrUnknown, id)
	}
	return found, err
}

// Take takes the lock of a tree that isn't living, so that nobody else recovers or
// replaces it meanwhile, and reads it again: what was true before may not be now. It
// is ErrTaken where another was first, and ErrUnknown where it's gone from the
// journal.
func (f *Found) Take() (*Record, error) {
	here, err := whereabouts()
	if err != nil {
		return nil, err
	}
	file, err := open(f.Path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	locked, err := lockAlone(file)
	switch {
	case err != nil:
	case !locked:
		err = ErrTaken
	case !isAt(file, f.Path):
		err = ErrUnknown // it was removed, or replaced, before it was locked
	default:
		*f, err = here.read(f.Path, file, true)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Record{f: file, entry: f.Entry}, nil
}

// lockAlone takes the lock if nobody has it but who only looks. That's told by asking
// for a share of it, which is given only beside others who look.
func lockAlone(f *os.File) (bool, error) {
	for range tries {
		if ok, err := sys.TryLock(f, false); ok || err != nil {
			return ok, err
		}
		if ok, err := sys.TryLock(f, true); !ok || err != nil {
			return false, err
		}
		if err := sys.Unlock(f); err != nil {
			return false, err
		}
		// Not at the same pace as another who does the same.
		time.Sleep(time.Duration(rand.Int64N(int64(time.Millisecond))))
	}
	return false, nil
}

// open opens a file that may be anything.
func open(path string, flag int) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", ErrAlien)
	}
	// It may have been replaced since: a FIFO must not block.
	return os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// place is where an entry may be obeyed.
type place struct {
	boot    string
	pidns   uint64
	uid     int
	machine string        // "": not known
	clock   time.Duration // by how much the time namespace is ahead
	noClock error         // why that isn't known
}

// whereabouts are those of this process, of which only the user can change.
func whereabouts() (place, error) {
	p, err := fixed()
	p.uid = os.Geteuid()
	return p, err
}

var fixed = sync.OnceValues(func() (p place, err error) {
	if p.boot, err = sys.BootID(); err == nil {
		p.pidns, err = sys.PIDNamespace()
	}
	p.machine = sys.MachineID()
	p.clock, p.noClock = sys.BootOffset()
	return p, err
})

func (p place) fill(e *wire.Entry) {
	e.Version, e.Boot, e.PIDNS, e.UID, e.Machine = Version, p.boot, p.pidns, p.uid, p.machine
	if e.Clock = ""; p.noClock == nil {
		e.Clock = strconv.FormatInt(int64(p.clock), 10)
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
}

// look reads a file, and tells by its lock whether the tree lives.
func (p place) look(path string) (Found, error) {
	f, err := open(path, os.O_RDONLY)
	if err != nil {
		return Found{}, err
	}
	defer f.Close()
	free, err := sys.TryLock(f, true)
	if err != nil {
		return Found{}, err
	}
	if free {
		// A process that is just being forked may have a copy of the descriptor, so
		// it isn't enough to close it.
		defer func() { _ = sys.Unlock(f) }()
	}
	found, err := p.read(path, f, free)
	if err != nil && !free {
		found.State = Living
	}
	return found, err
}

// read reads an open file, whose lock is free or held by the caller, or isn't.
func (p place) read(path string, f *os.File, free bool) (Found, error) {
	info, err := f.Stat()
	if err != nil {
		return Found{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > fileRoom {
		return Found{}, fmt.Errorf("%w: not a file as the journal has them", ErrAlien)
	}
	if owner := sys.Owner(info); owner != p.uid {
		return Found{}, fmt.Errorf("%w: the file belongs to user %d", ErrForeign, owner)
	}
	c, err := (&Record{f: f}).read()
	// Where the shim writes meanwhile, a write may have met one slot, and the next the other: then
	// what is read is none, or older than what was written before.
	for range 10 {
		if free || !c.half {
			break
		}
		c, err = (&Record{f: f}).read()
	}
	torn := errors.Is(err, errTornLife)
	if err != nil && !torn {
		if free && p.isRuined(info, err) {
			err = fmt.Errorf("%w: %w", errRuined, err)
		}
		return Found{}, err
	}
	found := Found{Path: path, Entry: c.entry, Life: c.life, Torn: torn}
	found.State, err = p.judge(path, found, free)
	if err == nil && found.State != Gone {
		err = p.translate(found)
	}
	if err != nil {
		return Found{}, err
	}
	return found, nil
}

// tick is the unit of start times: see procfs.Stat.
const tick = 10 * time.Millisecond

// translate puts the start times of another time namespace into those that /proc shows to
// this process. It's an error where they can't be known to the tick: by those, a living
// process would be taken for one that has ended.
func (p place) translate(f Found) error {
	e := f.Entry
	if e.Clock == "" {
		return nil // a foster wrote it that didn't know of time namespaces
	}
	clock, err := strconv.ParseInt(e.Clock, 10, 64)
	if err = errors.Join(err, p.noClock); err != nil {
		return fmt.Errorf("%w: its start times can't be told here: %w", ErrForeign, err)
	}
	ahead := p.clock - time.Duration(clock)
	if ahead%tick != 0 {
		return fmt.Errorf("%w: it is of another time namespace, whose clock differs by %v, which is no whole number of ticks", ErrForeign, ahead)
	}
	move := func(m *wire.Member) {
		if m.Start != 0 {
			m.Start += uint64(ahead / tick) // a negative number wraps around, and so back
		}
	}
	move(&e.Shim)
	move(&e.Owner)
	if l := f.Life; l != nil {
		move(&l.Leader)
		for _, list := range [][]wire.Member{l.Members, l.LeaderEnd.Left, l.End.Survivors} {
			for i := range list {
				move(&list[i])
			}
		}
	}
	return nil
}

// judge says how a tree stands, or why its entry isn't to be obeyed.
func (p place) judge(path string, f Found, free bool) (State, error) {
	e := f.Entry
	switch {
	case e.Version != Version:
		return 0, fmt.Errorf("%w: version %d of the entry, this one knows %d", ErrNewer, e.Version, Version)
	case ValidID(e.ID) != nil || e.ID+treeSuffix != filepath.Base(path):
		return 0, fmt.Errorf("%w: its name isn't that of the tree %q, of which it tells", ErrAlien, e.ID)
	case e.UID != p.uid:
		return 0, fmt.Errorf("%w: it is of user %d", ErrForeign, e.UID)
	case e.Boot != p.boot && !free:
		// A folder that several machines share.
		return 0, fmt.Errorf("%w: it is of another boot, yet its lock is held: of another machine", ErrForeign)
	case e.Boot != p.boot && e.Machine != "" && p.machine != "" && e.Machine != p.machine:
		return 0, fmt.Errorf("%w: it is of another machine", ErrForeign)
	case e.Boot != p.boot:
		return Gone, nil
	case e.PIDNS != p.pidns && free && namespaceIsGone(filepath.Dir(path), e):
		return Gone, nil
	case e.PIDNS != p.pidns:
		return 0, fmt.Errorf("%w: it is of the PID namespace %d, this is %d", ErrForeign, e.PIDNS, p.pidns)
	case !free:
		return Living, nil
	case f.Life != nil && f.Life.Done:
		return Ended, nil
	}
	return Lost, nil
}

// errRuined says that a file can't be read, but was written in an earlier boot: its
// tree can't live, whatever it was.
var errRuined = errors.New("of an earlier boot")

func (p place) isRuined(info fs.FileInfo, err error) bool {
	if !errors.Is(err, ErrTorn) && !errors.Is(err, ErrNewer) {
		return false
	}
	up := time.Duration(sys.BootTime()) - p.clock
	return p.noClock == nil && up > 0 && info.ModTime().Before(time.Now().Add(-up))
}

// removeRuined removes a file if it still is a ruined one.
func removeRuined(path string) (bool, error) {
	f, err := open(path, os.O_RDWR)
	if err != nil {
		return false, ignoreMissing(err)
	}
	defer f.Close()
	if ok, err := lockAlone(f); err != nil || !ok || !isAt(f, path) {
		return false, err
	}
	here, err := whereabouts()
	if err != nil {
		return false, err
	}
	if _, err := here.read(path, f, true); !errors.Is(err, errRuined) {
		return false, nil
	}
	return true, os.Remove(path)
}
