package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// codec writes the fields of a message or reads them, so that each message
// names its fields once. Numbers are unsigned varints; a zero value isn't sent.
type codec struct {
	decoding bool
	out      []byte
	in       []field
	err      error
}

type field struct {
	tag uint64
	val []byte
}

// split cuts the fields of a message apart.
func (c *codec) split(b []byte) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag == 0 {
			return fmt.Errorf("%w: bad tag", ErrProtocol)
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return fmt.Errorf("%w: field %d is longer than its frame", ErrProtocol, tag)
		}
		b = b[n:]
		c.in = append(c.in, field{tag, b[:size]})
		b = b[size:]
	}
	return nil
}

func (c *codec) put(tag uint64, val []byte) {
	c.out = binary.AppendUvarint(c.out, tag)
	c.out = binary.AppendUvarint(c.out, uint64(len(val)))
	c.out = append(c.out, val...)
}

// last finds the field with a tag; of several, the last.
func (c *codec) last(tag uint64) ([]byte, bool) {
	for i := len(c.in) - 1; i >= 0; i-- {
		if c.in[i].tag == tag {
			return c.in[i].val, true
		}
	}
	return nil, false
}

// number is any of the integer types that a message holds.
type number interface {
	~int | ~int64 | ~uint8 | ~uint32 | ~uint64 | ~uintptr
}

// num is a number that isn't negative.
func num[T number](c *codec, tag uint64, v *T) {
	if !c.decoding {
		if *v != 0 {
			c.put(tag, binary.AppendUvarint(nil, uint64(*v)))
		}
		return
	}
	b, ok := c.last(tag)
	if !ok {
		return
	}
	u, n := binary.Uvarint(b)
	if n != len(b) || uint64(T(u)) != u || T(u) < 0 {
		c.fail(tag, "not a number that fits")
		return
	}
	*v = T(u)
}

func nums[T number](c *codec, tag uint64, v *[]T) {
	list(c, tag, v, func(item *T, c *codec) { num(c, 1, item) })
}

func (c *codec) bool(tag uint64, v *bool) {
	var u uint8
	if *v {
		u = 1
	}
	num(c, tag, &u)
	if c.decoding {
		*v = u != 0
	}
}

func (c *codec) duration(tag uint64, v *time.Duration) { num(c, tag, (*int64)(v)) }

// time is a moment with nanoseconds; the zero time isn't sent.
func (c *codec) time(tag uint64, v *time.Time) {
	var ns int64
	if !v.IsZero() {
		ns = v.UnixNano()
	}
	num(c, tag, &ns)
	if c.decoding && ns != 0 {
		*v = time.Unix(0, ns)
	}
}

func (c *codec) string(tag uint64, v *string) {
	if !c.decoding {
		if *v != "" {
			c.put(tag, []byte(*v))
		}
	} else if b, ok := c.last(tag); ok {
		*v = string(b)
	}
}

func (c *codec) bytes(tag uint64, v *[]byte) {
	if !c.decoding {
		c.put(tag, *v)
	} else if b, ok := c.last(tag); ok {
		*v = slices.Clone(b)
	}
}

func (c *codec) strings(tag uint64, v *[]string) {
	if !c.decoding {
		for _, s := range *v {
			c.put(tag, []byte(s))
		}
		return
	}
	for _, f := range c.in {
		if f.tag == tag {
			*v = append(*v, string(f.val))
		}
	}
}

// list is a field that may stand several times, each with fields of its own.
func list[T any](c *codec, tag uint64, v *[]T, fields func(*T, *codec)) {
	if !c.decoding {
		for i := range *v {
			var item codec
			fields(&(*v)[i], &item)
			c.put(tag, item.out)
		}
		return
	}
	for _, f := range c.in {
		if f.tag != tag {
			continue
		}
		item := codec{decoding: true}
		if err := item.split(f.val); err != nil {
			c.err = err
			return
		}
		var t T
		fields(&t, &item)
		if item.err != nil {
			c.err = item.err
			return
		}
		*v = append(*v, t)
	}
}

// one is a field with fields of its own.
func one[T any](c *codec, tag uint64, v *T, fields func(*T, *codec)) {
	items := []T{*v}
	if c.decoding {
		items = nil
	}
	list(c, tag, &items, fields)
	if c.decoding && len(items) > 0 {
		*v = items[len(items)-1]
	}
}

func (c *codec) fail(tag uint64, why string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: field %d: %s", ErrProtocol, tag, why)
	}
}
