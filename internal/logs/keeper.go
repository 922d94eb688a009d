package logs

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// keeper compresses what was rotated, one file at a time, and removes what is too old.
type keeper struct {
	mu     sync.Mutex
	queue  []*Log
	news   chan struct{} // has one when something is in the queue
	ending chan struct{}
	done   chan struct{}
}

// lookEvery is how often logs that nobody writes to are looked at for their age.
const lookEvery = time.Minute

func (k *keeper) start(s *Store) {
	k.ending, k.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(k.done)
		clock := time.NewTicker(lookEvery)
		defer clock.Stop()
		for {
			select {
			case <-k.news:
				for l := k.next(); l != nil; l = k.next() {
					l.compress(k.ending)
				}
			case now := <-clock.C:
				s.freeBuffers()
				s.touch(now)
				for _, l := range s.all() {
					l.age(now)
				}
			case <-k.ending:
				return
			}
		}
	}()
}

// touchEvery is how often the store's folder is given the time, for the next life.
const touchEvery = time.Hour

// touch notes that the store is alive at this time, for the clock of the next life.
func (s *Store) touch(now time.Time) {
	if now.Sub(s.touched) >= touchEvery {
		s.touched = now
		_ = os.Chtimes(s.folder, now, now) // there may be none yet; then there is nothing to become old
	}
}

// lastAlive is the time that the life before has noted last.
func lastAlive(folder string) time.Time {
	info, err := os.Stat(folder)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// stop ends the keeper; a file that it is compressing is left as it was.
func (k *keeper) stop() {
	close(k.ending)
	<-k.done
}

func (k *keeper) rotated(l *Log) {
	if !l.policy.Compress {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.queue, l) {
		k.queue = append(k.queue, l)
	}
	select {
	case k.news <- struct{}{}:
	default:
	}
}

func (k *keeper) next() *Log {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.queue) == 0 {
		return nil
	}
	l := k.queue[0]
	k.queue = k.queue[1:]
	return l
}

// age does what is due for the age of a log.
func (l *Log) age(now time.Time) {
	l.lookWhileQuiet()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.adopt(); l.policy.MaxAge <= 0 {
		return
	}
	if !l.recovered {
		if _, err := os.Stat(l.dir); err != nil {
			return
		}
	}
	idle := l.file == nil
	if l.open() == nil { // what fails here is told with the next line
		_ = l.rotateIfDue(now)
		l.trim()
	}
	if idle {
		l.close()
	}
}

// compress compresses all files that were rotated, the newest first: the oldest are the
// first to be removed.
func (l *Log) compress(ending <-chan struct{}) {
	for {
		l.mu.Lock()
		found, err := list(l.dir)
		now := l.end.seq
		l.mu.Unlock()
		slices.Reverse(found.files)
		n := slices.IndexFunc(found.files, func(f numbered) bool { return f.plain && !f.packed && f.seq < now })
		if err != nil || n < 0 {
			return
		}
		if err := pack(logPath(l.dir, found.files[n].seq), ending); err != nil {
			return // it is tried again after the next rotation
		}
	}
}

var errEnding = errors.New("it ends")

// pack replaces a file by its compressed form. A reader, also after a crash, finds one
// of them whole; where there are both, they are the same.
func pack(path string, ending <-chan struct{}) error {
	from, err := openToRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // was removed meanwhile
	}
	if err != nil {
		return err
	}
	defer from.Close()
	tmp := path + gzSuffix + tmpSuffix
	if err := packTo(tmp, from, ending); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path+gzSuffix); err != nil {
		return err
	}
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(path + gzSuffix) // was removed for its age or number meanwhile
	}
	return nil
}

func packTo(path string, from *os.File, ending <-chan struct{}) error {
	to, err := create(path, os.O_TRUNC)
	if err != nil {
		return err
	}
	defer to.Close()
	z, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ending:
			return errEnding
		default:
		}
		_, err := io.CopyN(z, from, 1<<20)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	info, err := from.Stat()
	if err == nil {
		err = errors.Join(z.Close(), to.Sync(), os.Chtimes(path, info.ModTime(), info.ModTime()))
	}
	return err
}
