package logs

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/foster-init/foster/client"
)

// keyed is a line with what it is merged by.
type keyed struct {
	line client.Line
	key  time.Time
	torn bool // its beginning wasn't read
}

// heldBound is how many bytes of lines are held to give the newest. Whoever asks for more
// has all read twice.
const heldBound = 16 << 20

var errTooMuch = errors.New("these are more lines than are held")

// weight is about what a line takes in memory.
func (k *keyed) weight() int { return len(k.line.Text) + len(k.line.Raw) + 200 }

func weightOf(lines []keyed) (sum int) {
	for i := range lines {
		sum += lines[i].weight()
	}
	return sum
}

// newest gives the newest lines of all logs together, if they are not too much to hold.
func (r *reading) newest(ctx context.Context, n int) ([]client.Line, error) {
	var all []keyed
	for _, c := range r.cursors {
		lines, err := r.tail(ctx, c, n)
		if err != nil {
			return nil, err
		}
		var key time.Time // a clock that was set back doesn't change the order in one log
		for i := range lines {
			if lines[i].line.Time.After(key) {
				key = lines[i].line.Time
			}
			lines[i].key = key
		}
		all = append(all, lines...)
		slices.SortStableFunc(all, func(a, b keyed) int { return a.key.Compare(b.key) })
		all = slices.Clone(all[max(0, len(all)-n):])
		if weightOf(all) > heldBound {
			return nil, errTooMuch
		}
	}
	lines := make([]client.Line, len(all))
	for i, k := range all {
		lines[i] = k.line
	}
	return lines, nil
}

// mergeNewest gives the newest lines without holding them: it counts first how many there
// are. Where some of them are removed meanwhile, it gives fewer.
func (r *reading) mergeNewest(ctx context.Context, n int, yield func(client.Line) bool) error {
	older := -n
	for _, c := range r.cursors {
		count, err := r.count(ctx, &cursor{log: c.log, at: c.at, since: c.since, bound: c.bound})
		if err != nil {
			return err
		}
		older += count
	}
	return r.merge(ctx, func(l client.Line) bool {
		if older > 0 {
			older--
			return true
		}
		return yield(l)
	})
}

// count counts the lines from a cursor on that are asked for.
func (r *reading) count(ctx context.Context, c *cursor) (n int, err error) {
	defer c.close()
	for ctx.Err() == nil {
		if err := r.advance(c); err != nil || c.head == nil {
			return n, err
		}
		n++
	}
	return n, ctx.Err()
}

// firstLook is how far tail looks back at first; then ever four times as far.
const firstLook = 64 << 10

// tail gives the newest lines of one log.
func (r *reading) tail(ctx context.Context, c *cursor, n int) ([]keyed, error) {
	for look := int64(firstLook); ; look *= 4 {
		from, first, err := lookBack(c.log.dir, c.at, c.bound, look)
		if err != nil {
			return nil, err
		}
		lines, err := r.last(ctx, &cursor{log: c.log, at: from, since: c.since, bound: c.bound}, n)
		if err != nil {
			return nil, err
		}
		if first || len(lines) == n && !slices.ContainsFunc(lines, func(k keyed) bool { return k.torn }) {
			return lines, nil
		}
	}
}

// last reads from a cursor on and keeps the last lines.
func (r *reading) last(ctx context.Context, c *cursor, n int) ([]keyed, error) {
	defer c.close()
	var kept []keyed
	held := 0
	for ctx.Err() == nil {
		line, err := c.next(c.bound)
		if err == io.EOF {
			return kept[max(0, len(kept)-n):], nil
		}
		if err != nil {
			return nil, err
		}
		if !r.wants(c, &line) {
			continue
		}
		if len(kept) > n && (held > heldBound || len(kept) >= 2*n && len(kept) >= 64) {
			kept = slices.Clone(kept[len(kept)-n:]) // what isn't kept is let go of
			held = weightOf(kept)
		}
		if held > heldBound {
			return nil, errTooMuch
		}
		kept = append(kept, keyed{line: line, torn: c.torn})
		held += kept[len(kept)-1].weight()
	}
	return nil, ctx.Err()
}

// lookBack finds where a line begins that is about so many bytes before a position. first
// says that there is nothing before it.
func lookBack(dir string, oldest, bound position, look int64) (from position, first bool, err error) {
	found, err := list(dir)
	if err != nil {
		return from, false, err
	}
	for _, f := range slices.Backward(found.files) {
		if f.seq > bound.seq || f.seq < oldest.seq {
			continue
		}
		path, size := logPath(dir, f.seq), bound.off
		if f.seq < bound.seq {
			if size, err = sizeOf(path, f); err != nil {
				continue // was removed meanwhile
			}
		}
		switch {
		case size < look:
			look -= size
		case !f.plain:
			return position{seq: f.seq}, f.seq == oldest.seq, nil
		default:
			return lineAt(path, f.seq, size-look)
		}
	}
	return oldest, true, nil
}

func sizeOf(path string, f numbered) (int64, error) {
	if f.plain {
		info, err := os.Stat(path)
		if err == nil {
			return info.Size(), nil
		}
	}
	info, err := os.Stat(path + gzSuffix)
	if err != nil {
		return 0, err
	}
	const ratio = 8 // about what logs become smaller by
	return ratio * info.Size(), nil
}

// lineAt finds the first line that begins at or after a place of a file.
func lineAt(path string, seq uint64, off int64) (position, bool, error) {
	if off == 0 {
		return position{seq: seq}, false, nil
	}
	f, err := openToRead(path)
	if err != nil {
		return position{seq: seq}, false, nil // compressed meanwhile: from its beginning
	}
	defer f.Close()
	if _, err := f.Seek(off-1, io.SeekStart); err != nil {
		return position{}, false, err
	}
	r := bufio.NewReader(f)
	at := off - 1
	for {
		part, err := r.ReadSlice('\n')
		at += int64(len(part))
		if err == nil || err == io.EOF {
			return position{seq, at}, false, nil
		}
		if err != bufio.ErrBufferFull {
			return position{}, false, err
		}
	}
}
