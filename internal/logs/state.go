package logs

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"hash/fnv"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/foster-init/foster/internal/sys"
)

// position is a place in a log: the number of a file, and how far in it.
type position struct {
	seq uint64
	off int64
}

func (p position) before(q position) bool { return p.seq < q.seq || p.seq == q.seq && p.off < q.off }

// state is how far a log was written, and how far the spools were used for that. It is
// written in one step, within one page: a process that is killed leaves the old or the
// new. Nothing else is believed of the files.
type state struct {
	end  position
	used [2]int64 // of each stream, since its first spool began
	mid  [2]bool  // the last record of the stream is a part
}

const (
	stateFile  = "state"
	stateMagic = "fostlog1"
	stateSize  = 64
)

// thisBoot is a sum of what names this boot of the machine: what the kernel had not
// written when it crashed is missing in any file, so a state of before proves nothing.
var thisBoot = sync.OnceValue(func() uint64 {
	id, _ := sys.BootID() // without one, each boot is taken for the same
	h := fnv.New64a()
	_, _ = io.WriteString(h, id) // never fails
	return h.Sum64()
})

func (s *state) encode() (b [stateSize]byte) {
	copy(b[:], stateMagic)
	put := binary.LittleEndian.PutUint64
	put(b[8:], s.end.seq)
	put(b[16:], uint64(s.end.off))
	put(b[24:], uint64(s.used[0]))
	put(b[32:], uint64(s.used[1]))
	for n, mid := range s.mid {
		if mid {
			b[40+n] = 1
		}
	}
	put(b[48:], thisBoot())
	put(b[56:], uint64(crc32.Checksum(b[:56], crcTable())))
	return b
}

// crcTable is made when it is first asked for: see package journal.
var crcTable = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

// decodeState reads a state; it isn't ok where it isn't whole, or of another boot.
func decodeState(b []byte) (s state, ok bool) {
	get := binary.LittleEndian.Uint64
	if len(b) != stateSize || string(b[:8]) != stateMagic || get(b[48:]) != thisBoot() || get(b[56:]) != uint64(crc32.Checksum(b[:56], crcTable())) {
		return s, false
	}
	s.end = position{get(b[8:]), int64(get(b[16:]))}
	s.used = [2]int64{int64(get(b[24:])), int64(get(b[32:]))}
	s.mid = [2]bool{b[40] == 1, b[41] == 1}
	return s, s.end.seq > 0 && min(s.end.off, s.used[0], s.used[1]) >= 0
}

// readState reads the state of a log's folder.
func readState(dir string) (state, bool, error) {
	f, err := openToRead(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, false, nil
	}
	if err != nil {
		return state{}, false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, stateSize+1))
	if err != nil {
		return state{}, false, err
	}
	s, ok := decodeState(b)
	return s, ok, nil
}
