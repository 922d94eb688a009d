package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"strings"

	"github.com/foster-init/foster/internal/wire"
	"sync"
)

// A file has three parts of fixed room. The header is written once, before the file
// has its name. The two slots hold what is known of the tree's life, the newer in
// turn: a write that is torn leaves the older one. All numbers are little endian.
//
//	header  magic (8) version (4) length (4) checksum (4) entry
//	slot    magic (8) sequence (8)           length (4) checksum (4) life
//
// The checksum is of all that stands before it and of what follows.
const (
	// Version is the version of the format that this source writes. It changes
	// when an older reader would misunderstand a file, not when a field is added.
	Version = 1

	headerRoom = 8 << 10
	slotRoom   = 64 << 10
	fileRoom   = headerRoom + 2*slotRoom

	headerHead = 8 + 4 + 4 + 4
	slotHead   = 8 + 8 + 4 + 4
)

var (
	headerMagic = []byte("foster\x00T")
	slotMagic   = []byte("foster\x00L")

	// castagnoli is made when it is first asked for, which takes a while: a shim is to
	// come up at once.
	castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })
)

func slotOffset(i int) int { return headerRoom + i*slotRoom }

// seal puts length and checksum in front of a payload; head is what stands there
// before them.
func seal(head, payload []byte) []byte {
	head = binary.LittleEndian.AppendUint32(head, uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(head, castagnoli()), castagnoli(), payload)
	return append(binary.LittleEndian.AppendUint32(head, sum), payload...)
}

// unseal gives the payload of a part whose head, up to the length, has n bytes.
func unseal(b []byte, n int) ([]byte, bool) {
	if len(b) < n+8 {
		return nil, false
	}
	size := binary.LittleEndian.Uint32(b[n:])
	payload := b[n+8:]
	if uint64(size) > uint64(len(payload)) {
		return nil, false
	}
	payload = payload[:size]
	sum := crc32.Update(crc32.Checksum(b[:n+4], castagnoli()), castagnoli(), payload)
	return payload, sum == binary.LittleEndian.Uint32(b[n+4:])
}

// frame encodes a message without the length that a stream needs.
func frame(m wire.Message) ([]byte, error) {
	b, err := wire.Encode(m)
	if err != nil {
		return nil, err
	}
	return b[4:], nil
}

// formatEntry makes the header. A command that is too long is cut; that it was, its
// last argument says by an ellipsis at its end.
func formatEntry(e *wire.Entry) ([]byte, error) {
	small := *e
	small.Shim.Name, small.Owner.Name = cut(e.Shim.Name, mostName), cut(e.Owner.Name, mostName)
	small.Command = nil
	payload, err := frame(&small)
	if err != nil {
		return nil, err
	}
	room := headerRoom - headerHead - len(payload)
	if room < 0 {
		return nil, fmt.Errorf("%w: an entry of %d bytes", ErrTooLarge, len(payload))
	}
	small.Command = cutCommand(e.Command, room)
	if payload, err = frame(&small); err != nil {
		return nil, err
	}
	head := binary.LittleEndian.AppendUint32(bytes.Clone(headerMagic), Version)
	return seal(head, payload), nil
}

const ellipsis = "…"

// cutCommand cuts a command to the room that its arguments take in an entry.
func cutCommand(args []string, room int) (fit []string) {
	const perArgument = 4 // a tag and a length of at most three bytes
	for i, arg := range args {
		// Room for the mark is kept as long as more may follow.
		left := room - perArgument
		if i < len(args)-1 {
			left -= perArgument + len(ellipsis)
		}
		if len(arg) <= left {
			fit = append(fit, arg)
			room -= perArgument + len(arg)
			continue
		}
		if room >= perArgument+len(ellipsis) {
			fit = append(fit, cut(arg, min(len(arg)-1, room-perArgument)))
		}
		break
	}
	return fit
}

// cut cuts a text to at most n bytes, an ellipsis at its end included.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:max(0, n-len(ellipsis))], "") + ellipsis
}

// What a life holds beside its members is bounded, so that there's room for them.
const (
	mostName  = 64
	mostCause = 1 << 10
	mostNamed = 64
)

// formatLife makes a slot. Members that don't fit are left out from the end of the
// list: those who were seen first are nearer to the leader, and the rest descends
// from them.
func formatLife(l *wire.Life, sequence uint64) ([]byte, error) {
	small := *l
	small.Cause = cut(l.Cause, mostCause)
	small.Leader.Name = cut(l.Leader.Name, mostName)
	small.Members = shorten(l.Members, len(l.Members))
	small.LeaderEnd.Left = shorten(l.LeaderEnd.Left, mostNamed)
	small.End.Survivors = shorten(l.End.Survivors, mostNamed)
	small.End.Orphans = slices.Clone(l.End.Orphans[:min(len(l.End.Orphans), mostNamed)])
	for i := range small.End.Orphans {
		small.End.Orphans[i].Name = cut(small.End.Orphans[i].Name, mostName)
	}
	const most = slotRoom / 4 // a member takes at least so many bytes
	all := small.Members[:min(len(small.Members), most)]
	var failed error
	encode := func(n int) []byte {
		small.Members = all[:n]
		b, err := frame(&small)
		if err != nil {
			failed = err
		}
		return b
	}
	fits := func(b []byte) bool { return slotHead+len(b) <= slotRoom }
	payload := encode(len(all))
	if !fits(payload) {
		n := sort.Search(len(all), func(n int) bool { return !fits(encode(n + 1)) })
		payload = encode(n)
	}
	if failed != nil {
		return nil, failed
	}
	if !fits(payload) {
		return nil, fmt.Errorf("%w: a life of %d bytes", ErrTooLarge, len(payload))
	}
	head := binary.LittleEndian.AppendUint64(bytes.Clone(slotMagic), sequence)
	return seal(head, payload), nil
}

func shorten(list []wire.Member, most int) []wire.Member {
	list = slices.Clone(list[:min(len(list), most)])
	for i := range list {
		list[i].Name = cut(list[i].Name, mostName)
	}
	return list
}

// content is what a file says.
type content struct {
	entry    *wire.Entry
	life     *wire.Life // nil: none was written
	sequence uint64     // of life
	slot     int        // where life stands
	half     bool       // a slot isn't whole: it is being written, or a write of it was torn
}

// parse reads the content of a file. With errTornLife the entry is whole, and life
// is nil.
func parse(b []byte) (c content, err error) {
	if c.entry, err = parseEntry(b); err != nil {
		return content{}, err
	}
	for i := range 2 {
		part := slot(b, i)
		life, sequence, ok := parseLife(part)
		c.half = c.half || !ok && len(bytes.Trim(part, "\x00")) > 0
		if ok && sequence > c.sequence {
			c.life, c.sequence, c.slot = life, sequence, i
		}
	}
	if c.half && c.life == nil {
		return c, errTornLife
	}
	if c.life != nil && c.life.Shim.PID != 0 {
		c.entry.Shim = c.life.Shim // it wasn't known before the start
	}
	return c, nil
}

var errTornLife = fmt.Errorf("%w: what was written after the start isn't whole", ErrTorn)

func slot(b []byte, i int) []byte {
	from := min(slotOffset(i), len(b))
	return b[from:min(from+slotRoom, len(b))]
}

func parseEntry(b []byte) (*wire.Entry, error) {
	b = b[:min(len(b), headerRoom)]
	if len(bytes.Trim(b, "\x00")) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrTorn)
	}
	if !bytes.HasPrefix(b, headerMagic) {
		return nil, ErrAlien
	}
	if len(b) < headerHead {
		return nil, ErrTorn
	}
	if v := binary.LittleEndian.Uint32(b[len(headerMagic):]); v != Version {
		return nil, fmt.Errorf("%w: version %d of the format, this one knows %d", ErrNewer, v, Version)
	}
	payload, ok := unseal(b, len(headerMagic)+4)
	if !ok {
		return nil, fmt.Errorf("%w: the checksum is wrong", ErrTorn)
	}
	m, err := wire.Decode(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTorn, err)
	}
	e, ok := m.(*wire.Entry)
	if !ok {
		return nil, fmt.Errorf("%w: it holds a %T", ErrAlien, m)
	}
	return e, nil
}

func parseLife(b []byte) (*wire.Life, uint64, bool) {
	if !bytes.HasPrefix(b, slotMagic) {
		return nil, 0, false
	}
	payload, ok := unseal(b, len(slotMagic)+8)
	if !ok {
		return nil, 0, false
	}
	m, err := wire.Decode(payload)
	if err != nil {
		return nil, 0, false
	}
	l, ok := m.(*wire.Life)
	return l, binary.LittleEndian.Uint64(b[len(slotMagic):]), ok
}
