// Package frames is what goes over the wire between foster attach and a supervisor, when
// an application's terminal is shown somewhere else: bytes, the size of the window, and
// why it is over.
package frames

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Protocol is the name by which HTTP is left for frames.
const Protocol = "foster-terminal/1"

// Kind is what a frame is. The numbers are given by hand and never used again.
type Kind byte

// The kinds.
const (
	Data   Kind = 1 // bytes from or to the terminal
	Resize Kind = 2 // to the terminal: columns and rows, two bytes each, the higher first
	End    Kind = 3 // from the terminal: it is over; the text says why, and is empty at its end
)

// Longest is how much one frame can hold.
const Longest = 64 << 10

// A frame is its kind, its length in four bytes, the highest first, and its content.
const header = 5

// Frame is one.
type Frame struct {
	Kind    Kind
	Content []byte // the next Read of a Reader takes it back
}

// Append writes a frame behind b.
func Append(b []byte, f Frame) []byte {
	b = append(b, byte(f.Kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Content)))
	return append(b, f.Content...)
}

// Size is a frame that tells the size of a window.
func Size(columns, rows uint16) Frame {
	content := binary.BigEndian.AppendUint16(nil, columns)
	return Frame{Resize, binary.BigEndian.AppendUint16(content, rows)}
}

// Window reads the content of a Resize.
func (f Frame) Window() (columns, rows uint16, err error) {
	if len(f.Content) != 4 {
		return 0, 0, fmt.Errorf("the size of a window has 4 bytes, not %d", len(f.Content))
	}
	return binary.BigEndian.Uint16(f.Content), binary.BigEndian.Uint16(f.Content[2:]), nil
}

// step is how much of a frame is read at once.
const step = 8 << 10

// Reader reads frames.
type Reader struct {
	from *bufio.Reader
	kept []byte
}

// NewReader makes a reader of frames.
func NewReader(r io.Reader) *Reader { return &Reader{from: bufio.NewReader(r)} }

// Read reads one. The error is io.EOF where there is no other, and the stream ends with
// a whole frame.
func (r *Reader) Read() (Frame, error) {
	var head [header]byte
	if _, err := io.ReadFull(r.from, head[:]); err != nil {
		return Frame{}, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > Longest {
		return Frame{}, fmt.Errorf("a frame of %d bytes: at most %d are possible", length, Longest)
	}
	r.kept = r.kept[:0]
	for len(r.kept) < int(length) { // what is only announced takes no memory
		had := len(r.kept)
		r.kept = slices.Grow(r.kept, min(int(length)-had, step))
		r.kept = r.kept[:had+min(int(length)-had, step)]
		if _, err := io.ReadFull(r.from, r.kept[had:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return Frame{}, err
		}
	}
	return Frame{Kind(head[0]), r.kept}, nil
}
