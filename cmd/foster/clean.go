package main

import (
	"bytes"
	"unicode/utf8"
)

// What applications write is shown on a terminal that they share with others, and with
// foster. So what one of them does to its own screen must not reach it: to clear it, to
// move the cursor, to set a title or another character set. Text and colours stay.

// cleaner makes one line of output fit for a shared terminal.
type cleaner struct {
	out     []byte
	colours []byte        // the sequences of colour in force
	text    int           // where in out a backspace ends
	again   bool          // a carriage return came: text that follows takes the place of that before
	endless map[bool]bool // no control string ends in the rest of the line; with BEL, or without
}

// cleaned is a whole line as it is shown. Of text that is written over, by carriage returns,
// the last is shown.
func cleaned(line []byte) []byte {
	text, _ := clean(line, true)
	return text
}

// clean is cleaned for a line that may go on: used is how much of it can be told, since no
// character or sequence is cut off there.
func clean(line []byte, whole bool) (text []byte, used int) {
	c := cleaner{endless: map[bool]bool{}}
	for used < len(line) {
		rest := line[used:]
		if !whole && !utf8.FullRune(rest) {
			break
		}
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == '\x1b', r >= 0x80 && r < 0xa0, size == 1 && rest[0] >= 0x80 && rest[0] < 0xa0:
			n, colour, complete := c.sequence(rest)
			if !complete && !whole {
				return c.out, used
			}
			if colour != nil {
				c.paint(colour)
			}
			used += n
			continue
		case r == '\r':
			c.again = true
		case r == '\b':
			if !c.again && len(c.out) > c.text {
				_, last := utf8.DecodeLastRune(c.out)
				c.out = c.out[:len(c.out)-last]
			}
		case r == '\t', r == '\a', r >= ' ' && r != 0x7f:
			c.add(rest[:size])
		}
		used += size
	}
	return c.out, used
}

func (c *cleaner) add(text []byte) {
	if c.again {
		c.out, c.again = append(c.out[:0], c.colours...), false
		c.text = len(c.out)
	}
	c.out = append(c.out, text...)
}

// mostColours bounds what is carried from text that was written over.
const mostColours = 256

func (c *cleaner) paint(colour []byte) {
	c.out = append(c.out, colour...)
	c.text = len(c.out)
	if s := string(colour); s == "\x1b[m" || s == "\x1b[0m" || len(c.colours)+len(colour) > mostColours {
		c.colours = c.colours[:0]
	}
	c.colours = append(c.colours, colour...)
}

// sequence is the length of the control sequence that a text begins with (ECMA-48), in its
// form of 7 or 8 bits. colour is the sequence, where it is one of colour. It is incomplete
// where the text ends in it; of a string that has no end, only the beginning is taken.
func (c *cleaner) sequence(b []byte) (n int, colour []byte, complete bool) {
	kind, n := byte(0), 1
	switch {
	case b[0] == 0xc2: // U+0080 to U+009F
		kind, n = b[1]-0x40, 2
	case b[0] != '\x1b':
		kind = b[0] - 0x40
	case len(b) == 1:
		return 1, nil, false
	case b[1] >= ' ' && b[1] < 0x7f:
		kind, n = b[1], 2
	default:
		return 1, nil, true // a control character, or another sequence, follows
	}
	switch kind {
	case '[':
		return controlSequence(b, n)
	case ']', 'P', 'X', '^', '_':
		bell := kind == ']'
		if c.endless[bell] {
			return n, nil, false
		}
		end, found := stringEnd(b[n:], bell)
		if !found {
			c.endless[bell] = true
		}
		return n + end, nil, found
	}
	for i := n - 1; b[0] == '\x1b' && b[i] >= ' ' && b[i] <= '/'; i++ { // intermediate bytes
		if i+1 == len(b) {
			return len(b), nil, false
		}
		if n = i + 2; b[i+1] < ' ' || b[i+1] > '~' {
			return i + 1, nil, true
		}
	}
	return n, nil, true
}

// controlSequence is sequence behind its introducer, of n bytes.
func controlSequence(b []byte, n int) (int, []byte, bool) {
	plain := true // no more than numbers
	for i := n; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= ';':
		case c >= ' ' && c <= '?':
			plain = false
		case c == 'm' && plain:
			return i + 1, append([]byte("\x1b["), b[n:i+1]...), true
		case c >= '@' && c <= '~':
			return i + 1, nil, true
		default:
			return i, nil, true // it is broken off
		}
	}
	return len(b), nil, false
}

// stringEnd is where a control string ends, which may be by BEL.
func stringEnd(b []byte, bell bool) (n int, found bool) {
	for i := range b {
		switch {
		case b[i] == '\a' && bell, b[i] == 0x18, b[i] == 0x1a: // CAN and SUB break it off
			return i + 1, true
		case bytes.HasPrefix(b[i:], []byte("\x1b\\")), bytes.HasPrefix(b[i:], []byte("\u009c")):
			return i + 2, true
		}
	}
	return 0, false
}
