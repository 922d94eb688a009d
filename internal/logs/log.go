package logs

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Log is what one instance writes. Its files are open only while something comes.
type Log struct {
	store   *Store
	name    string
	dir     string
	app     string
	replica int

	bytes, lines, dropped atomic.Uint64

	mu        sync.Mutex
	policy    Policy                 // that is in force
	wanted    atomic.Pointer[Policy] // that is to be, with the next line
	recovered bool
	safe      int64     // how far the open file was whole at the last look
	looked    time.Time // when the names of the files were looked at
	stated    bool      // the state is written
	end       position  // of what is whole and stays
	born      time.Time
	spools    [2]spool
	users     int // captures that have it open
	state     *os.File
	file      *os.File
	json      bool // its records are JSON
	watchers  watchers
	trouble   string // what was told last
}

// Counters are the totals of a log since the store was made: what the instance wrote, in
// bytes and lines, and the lines that were dropped.
type Counters struct{ Bytes, Lines, Dropped uint64 }

// Counters gives the totals. It doesn't wait for a disk.
func (l *Log) Counters() Counters {
	c := Counters{l.bytes.Load(), l.lines.Load(), l.dropped.Load()}
	for n := range l.spools {
		c.Dropped += l.spools[n].dropped.Load()
	}
	return c
}

// SetPolicy says how the log is kept from now on, also while something is written to it:
// records of another format begin another file. It doesn't wait for a disk.
func (l *Log) SetPolicy(p Policy) { l.wanted.Store(&p) }

// adopt takes over the policy that was set last.
func (l *Log) adopt() {
	if p := l.wanted.Load(); p != nil {
		l.policy = *p
	}
}

// open opens the files that are written to, and first repairs what a life before, or
// somebody else, has left.
func (l *Log) open() error {
	l.adopt()
	if l.file != nil {
		return l.look()
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	if err := l.recover(); err != nil {
		return err
	}
	var err error
	if l.state, err = openState(l.dir); err != nil {
		return err
	}
	err = l.openFile()
	if err == nil && !l.stated { // before anything is in a spool that the state says nothing of
		err = l.commit(l.end, nil, 0, false)
	}
	if err != nil {
		l.close()
	}
	return err
}

// settleEnd makes the open file end where it is whole, and begins another where its
// format isn't that which is asked for now.
func (l *Log) settleEnd() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	err = cut(l.file, l.end.off) // of a batch that is written again
	if err != nil || l.end.off == 0 {
		l.json = l.policy.JSON
		l.point()
		return err
	}
	var head [64]byte
	n, _ := l.file.ReadAt(head[:], 0) // what can't be read is of no age
	l.born = info.ModTime()
	if at, ok := stampOf(head[:n]); ok { // the time of the file is that of its newest line
		l.born = at
	}
	if now := time.Now(); l.born.After(now) { // the clock was ahead then
		l.born = now
	}
	if l.json = head[0] == '{'; l.json != l.policy.JSON {
		return l.rotate()
	}
	return nil
}

// point makes the name "current" that of the file that is written to, for tail -F.
func (l *Log) point() {
	link := filepath.Join(l.dir, "current")
	_ = os.Remove(link + tmpSuffix)
	if os.Symlink(filepath.Base(logPath("", l.end.seq)), link+tmpSuffix) == nil {
		_ = os.Rename(link+tmpSuffix, link) // a comfort, no more
	}
}

func (l *Log) close() {
	for _, f := range []*os.File{l.state, l.file} {
		if f != nil {
			f.Close()
		}
	}
	l.state, l.file = nil, nil
}

// enter and leave count the captures that write.
func (l *Log) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users++
}

// leave closes the spool of a stream, and the log's files after the last.
func (l *Log) leave(s *spool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.close()
	if l.users--; l.users == 0 {
		l.close()
	}
}

// commit makes what was written up to end stay, and the spool of a stream used up to
// there. What isn't committed is written again, over it.
func (l *Log) commit(end position, s *spool, used int64, mid bool) error {
	st := state{end: end}
	for n := range l.spools {
		st.used[n], st.mid[n] = l.spools[n].used, l.spools[n].mid
	}
	if s != nil {
		st.used[s.stream], st.mid[s.stream] = used, mid
	}
	b := st.encode()
	if _, err := l.state.WriteAt(b[:], 0); err != nil {
		return err
	}
	l.end, l.stated = end, true
	if s != nil {
		s.used, s.mid = used, mid
		s.scanned = max(s.scanned, used)
	}
	l.watchers.tell()
	return nil
}

// told is what keeps the log from being written, as it was told.
func (l *Log) told() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}

// tell tells what keeps the log from being written, once.
func (l *Log) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	l.mu.Lock()
	news := text != l.trouble
	l.trouble = text
	l.mu.Unlock()
	if news && l.store.problem != nil {
		l.store.problem(l.name, err)
	}
}
