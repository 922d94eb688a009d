// Package logs keeps what applications write, line by line, and reads it again.
//
// A [Store] has the logs of a project, a [Log] is that of one instance: a folder with
// numbered files, of which the last is written to. See record.go for what a line of them
// is.
//
// No line is lost or doubled when this process is killed, at any moment, and is followed
// by another within the grace of the application. For that, what an application writes
// goes in one step from its pipe to a small file, the spool (spool.go). From there the
// lines are written to the log, and then one record of 64 bytes, the state (state.go),
// says how far both were used. Whatever was done without that record is done again.
package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/aging"
)

// Policy is what is kept of an instance's output, and how.
type Policy struct {
	JSON     bool          // lines are JSON objects
	MaxSize  int64         // bytes of one file; 0: without a bound
	MaxAge   time.Duration // older files are removed; 0: none for its age
	MaxFiles int           // besides the one that is written to
	Compress bool          // those that aren't written to any more
	// Block has the application wait, by its full pipe, while the disk is full. Else
	// lines are dropped then, which is counted and told.
	Block bool
}

// Store has the logs of a project. Its methods may be called from any goroutine.
type Store struct {
	folder   string
	problem  func(log string, err error)
	lost     func(app string, replica int, what string)
	slots    chan *buffers
	mu       sync.Mutex
	logs     map[string]*Log
	made     int // logs, also those that were forgotten
	keeper   keeper
	watchers watchers
	clock    *aging.Clock
	touched  time.Time // of the keeper, and who begins and ends it
}

// NewStore makes the store of a folder, which need not exist yet. Each log tells by
// problem what keeps it from being written, and by a nil error that it is again.
func NewStore(folder string, problem func(log string, err error)) *Store {
	s := &Store{folder: folder, problem: problem, logs: map[string]*Log{}, clock: aging.New(lastAlive(folder), nil)}
	s.keeper.news = make(chan struct{}, 1)
	s.slots = make(chan *buffers, min(max(2, runtime.GOMAXPROCS(0)), 4))
	for range cap(s.slots) {
		s.slots <- nil
	}
	return s
}

// OnLoss has it told when lines are lost that a log should have. It is called before the
// first log is asked for. to may not wait, nor ask the store.
func (s *Store) OnLoss(to func(app string, replica int, what string)) { s.lost = to }

// Begin has rotated files compressed and old ones removed, until Close.
func (s *Store) Begin() {
	s.touch(time.Now())
	s.keeper.start(s)
}

// Log gives the log of an instance, which is made with the first line.
func (s *Store) Log(app string, replica int) *Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("%s.%d", app, replica)
	l := s.logs[name]
	if l == nil {
		l = &Log{store: s, name: name, dir: filepath.Join(s.folder, name), app: app, replica: replica}
		for n := range l.spools {
			l.spools[n] = spool{log: l, stream: Stream(n)}
		}
		s.logs[name] = l
		s.made++
		s.watchers.tell()
	}
	return l
}

// Number is how many logs are held.
func (s *Store) Number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.logs)
}

// Forget lets go of the log of an instance that is no more, unless somebody uses it. Its files
// stay.
func (s *Store) Forget(app string, replica int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("%s.%d", app, replica)
	l := s.logs[name]
	if l == nil || !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	for n := range l.spools {
		if !l.spools[n].busy.TryLock() {
			return
		}
		defer l.spools[n].busy.Unlock()
	}
	if len(l.watchers) == 0 {
		delete(s.logs, name)
	}
}

// Kept names the instances of which the folder has a log, also of lives before.
func (s *Store) Kept() (list []client.Target, err error) {
	entries, err := os.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		dot := strings.LastIndexByte(e.Name(), '.')
		if replica, err := strconv.Atoi(e.Name()[dot+1:]); err == nil && dot > 0 && replica > 0 {
			list = append(list, client.Target{App: e.Name()[:dot], Replica: replica})
		}
	}
	return list, err
}

// Close ends what Begin has begun. No Capture may be under way.
func (s *Store) Close() {
	s.keeper.stop()
	s.touched = time.Time{}
	s.touch(time.Now())
}

// all are the logs that somebody has asked for.
func (s *Store) all() (list []*Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.logs {
		list = append(list, l)
	}
	return list
}

// buffers are what one turn of a capture works with. There are a few, so that a
// thousand pipes cost no more memory than ten, and none while all is quiet.
type buffers struct{ in, out []byte }

// batch is how much is moved at once. A line that is longer is written in parts.
const batch = 256 << 10

func (s *Store) takeBuffers() *buffers {
	if b := <-s.slots; b != nil {
		return b
	}
	return &buffers{in: make([]byte, 2*batch), out: make([]byte, 0, 3*batch)}
}

func (s *Store) giveBuffers(b *buffers) {
	if cap(b.out) > 8*batch {
		b.out = make([]byte, 0, 3*batch)
	}
	s.slots <- b
}

// freeBuffers lets go of those that nobody uses now.
func (s *Store) freeBuffers() {
	for range cap(s.slots) {
		select {
		case <-s.slots:
			s.slots <- nil
		default:
			return
		}
	}
}
