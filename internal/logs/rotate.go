package logs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	logSuffix = ".log"
	gzSuffix  = ".gz"
	tmpSuffix = ".tmp"
)

func logPath(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%010d%s", seq, logSuffix))
}

// numbered is a file of a log.
type numbered struct {
	seq    uint64
	plain  bool // the file is there as it was written
	packed bool // it is there compressed
}

// listing is what is in a log's folder.
type listing struct {
	files  []numbered // by number
	spools [2][]int64 // bases
	torn   []string   // that were never finished
}

// list reads a log's folder; one that isn't there is empty.
func list(dir string) (l listing, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	found := map[uint64]numbered{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		name := e.Name()
		if strings.HasSuffix(name, tmpSuffix) {
			l.torn = append(l.torn, filepath.Join(dir, name))
			continue
		}
		for n := range l.spools {
			if text, ok := strings.CutPrefix(name, streamNames[n]+".spool."); ok {
				if base, err := strconv.ParseInt(text, 16, 64); err == nil {
					l.spools[n] = append(l.spools[n], base)
				}
			}
		}
		plain, packed := strings.CutSuffix(name, gzSuffix)
		number, isLog := strings.CutSuffix(plain, logSuffix)
		seq, perr := strconv.ParseUint(number, 10, 64)
		if !isLog || perr != nil || seq == 0 {
			continue
		}
		f := found[seq]
		found[seq] = numbered{seq, f.plain || !packed, f.packed || packed}
	}
	for _, f := range found {
		l.files = append(l.files, f)
	}
	slices.SortFunc(l.files, func(a, b numbered) int { return cmp.Compare(a.seq, b.seq) })
	for n := range l.spools {
		slices.Sort(l.spools[n])
	}
	return l, err
}

// recover finds out how far the log was written, and removes what doesn't count. It is
// done once, before the first line.
func (l *Log) recover() error {
	if l.recovered {
		return nil
	}
	found, err := list(l.dir)
	if err != nil {
		return err
	}
	st, known, err := readState(l.dir)
	if err != nil {
		return err
	}
	if !known {
		if st.end, err = lastWhole(l.dir, found.files); err != nil {
			return err
		}
	}
	for _, path := range found.torn {
		_ = os.Remove(path)
	}
	for _, f := range found.files {
		switch path := logPath(l.dir, f.seq); {
		case f.seq > st.end.seq: // was begun by a rotation that wasn't committed
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case f.plain && f.packed && f.seq < st.end.seq: // what is compressed is whole
			_ = os.Remove(path)
		}
	}
	l.end = st.end
	for n := range l.spools {
		s := &l.spools[n]
		s.used, s.mid = st.used[n], st.mid[n]
		s.adopt(found.spools[n], known)
	}
	l.recovered, l.stated = true, known
	return nil
}

// adopt takes the spool that is left: the newest, if it is of this state.
func (s *spool) adopt(bases []int64, known bool) {
	s.base, s.size = s.used, 0
	for n, base := range bases {
		info, err := os.Stat(s.path(base))
		newest := n == len(bases)-1
		if known && newest && err == nil && base <= s.used && s.used <= base+info.Size() {
			s.base, s.size = base, info.Size()
			continue
		}
		_ = os.Remove(s.path(base))
	}
	s.scanned = s.used
}

// lastWhole is where a log ends whose state isn't known, since the machine was started
// again: at the last whole line.
func lastWhole(dir string, files []numbered) (position, error) {
	if len(files) == 0 {
		return position{seq: 1}, nil
	}
	last := files[len(files)-1]
	if !last.plain || last.packed {
		return position{seq: last.seq + 1}, nil
	}
	f, err := openToRead(logPath(dir, last.seq))
	if err != nil {
		return position{}, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return position{}, err
	}
	buf := make([]byte, 64<<10)
	for end > 0 {
		from := max(0, end-int64(len(buf)))
		n, err := f.ReadAt(buf[:end-from], from)
		if err != nil && err != io.EOF {
			return position{}, err
		}
		for n > 0 && buf[n-1] != '\n' {
			n--
		}
		if n > 0 {
			return position{last.seq, from + int64(n)}, nil
		}
		end = from
	}
	return position{seq: last.seq}, nil
}

// rotateIfDue begins another file where the one that is open has become too large or
// too old, or its records have another format.
func (l *Log) rotateIfDue(now time.Time) error {
	p := &l.policy
	full := p.MaxSize > 0 && l.end.off >= p.MaxSize
	old := p.MaxAge > 0 && now.Sub(l.born) > p.MaxAge
	switch other := l.json != p.JSON; {
	case l.end.off == 0:
		l.json = p.JSON
		return nil
	case !full && !old && !other:
		return nil
	}
	return l.rotate()
}

// rotate begins another file. What the log has up to here is whole in the files before;
// the commit makes the new one count.
func (l *Log) rotate() error {
	file, next, err := l.createNext()
	if err != nil {
		return err
	}
	if err := l.commit(next, nil, 0, false); err != nil {
		file.Close()
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.born, l.json = file, time.Now(), l.policy.JSON
	l.point()
	l.trim()
	l.store.keeper.rotated(l)
	return nil
}

// createNext makes the file that follows. What has its name and isn't a log, be it a symbolic
// link or a folder, stays as it is: a later number is taken.
func (l *Log) createNext() (*os.File, position, error) {
	next := position{seq: l.end.seq + 1}
	for {
		path := logPath(l.dir, next.seq)
		file, err := create(path, os.O_TRUNC|os.O_APPEND)
		if err == nil || !occupied(path) {
			return file, next, err
		}
		next.seq++
	}
}

// trim removes what is more than the policy keeps.
func (l *Log) trim() {
	found, err := list(l.dir)
	if err != nil {
		return // it is tried again with the next rotation
	}
	for _, f := range found.files {
		if f.seq >= l.end.seq {
			continue
		}
		path := logPath(l.dir, f.seq)
		tooMany := l.policy.MaxSize > 0 && l.end.seq-f.seq > uint64(max(0, l.policy.MaxFiles))
		if !tooMany && !l.tooOld(path, f) {
			continue
		}
		if f.plain {
			_ = os.Remove(path)
		}
		if f.packed {
			_ = os.Remove(path + gzSuffix)
		}
	}
}

// tooOld says whether the newest line of a file is older than the policy keeps it.
func (l *Log) tooOld(path string, f numbered) bool {
	if l.policy.MaxAge <= 0 {
		return false
	}
	if !f.plain {
		path += gzSuffix // has the time of the file that it was made from
	}
	info, err := os.Stat(path)
	return err == nil && info.ModTime().Before(l.store.clock.Since(l.policy.MaxAge))
}
