package procfs

import (
	"bytes"
	"encoding/binary"
)

// Line is all that is of use in /proc/PID/stat (proc_pid_stat(5)). Its name
// belongs to what was parsed. Times are in clock ticks, a hundredth of a second.
type Line struct {
	PID, PPID, PGID, Session int
	Comm                     []byte
	State                    byte
	TTY                      uint32 // device number; 0: none
	Foreground               int    // foreground group of the terminal; -1: none
	Flags                    uint64 // PF_* of the kernel's sched.h
	User, System             uint64
	ChildUser, ChildSystem   uint64
	Priority, Nice           int
	Threads                  int
	Start                    uint64
	VSize                    uint64 // bytes
	RSS                      uint64 // pages
	Processor                int
	ExitCode                 int // as wait(2) gives it; 0 where it may not be seen
	HasExitCode              bool
	Permitted                bool // the caller may trace it: then ExitCode is told
}

// number reads a decimal number at b[i:], and the place behind it and its blank.
func number(b []byte, i int) (v uint64, negative bool, next int, ok bool) {
	if i < len(b) && b[i] == '-' {
		negative = true
		i++
	}
	from := i
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		if v > (1<<64-1)/10 {
			return 0, false, i, false
		}
		w := v*10 + uint64(d)
		if w < v*10 {
			return 0, false, i, false
		}
		v = w
	}
	if i == from || i < len(b) && b[i] != ' ' && b[i] != '\n' {
		return 0, false, i, false
	}
	return v, negative, i + 1, true
}

// signed makes a number of what [number] gave.
func signed(v uint64, negative bool) (int, bool) {
	if v > 1<<63-1 {
		return 0, false
	}
	if negative {
		return -int(v), true
	}
	return int(v), true
}

// ParseLine parses the content of /proc/PID/stat without allocating. The name may
// hold anything, so what is behind it is counted from the last closing bracket.
// Fields behind the start time may be missing.
func ParseLine(b []byte, l *Line) error {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 2 || end < open || end+3 >= len(b) || b[end+1] != ' ' || b[end+3] != ' ' {
		return ErrMalformed
	}
	if letter := b[end+2] | 0x20; letter < 'a' || letter > 'z' {
		return ErrMalformed
	}
	*l = Line{Comm: b[open+1 : end], State: b[end+2], Foreground: -1}
	v, negative, next, ok := number(b[:open], 0)
	if !ok || negative || v == 0 || v > 1<<31-1 || next != open {
		return ErrMalformed
	}
	l.PID = int(v)
	i, field := end+4, 4
	for ; field <= 52 && i < len(b); field++ {
		if v, negative, i, ok = number(b, i); !ok || !l.set(field, v, negative) {
			return ErrMalformed
		}
	}
	if field <= 22 {
		return ErrMalformed
	}
	l.HasExitCode = field > 52
	return nil
}

// set takes field n of proc_pid_stat(5); those that nobody asks for are passed over.
func (l *Line) set(n int, v uint64, negative bool) bool {
	var to *int
	switch n {
	case 4:
		to = &l.PPID
	case 5:
		to = &l.PGID
	case 6:
		to = &l.Session
	case 7:
		s, ok := signed(v, negative)
		l.TTY = uint32(s)
		return ok
	case 8:
		to = &l.Foreground
	case 9:
		l.Flags = v
	case 14:
		l.User = v
	case 15:
		l.System = v
	case 16:
		l.ChildUser = atLeastZero(v, negative)
	case 17:
		l.ChildSystem = atLeastZero(v, negative)
	case 18:
		to = &l.Priority
	case 19:
		to = &l.Nice
	case 20:
		if negative {
			return false
		}
		to = &l.Threads
	case 22:
		l.Start = v
	case 23:
		l.VSize = v
	case 24:
		l.RSS = v
	case 35:
		l.Permitted = v != 0 // that it waits somewhere; 0 for the others
	case 39:
		to = &l.Processor
	case 52:
		to = &l.ExitCode
	}
	if to == nil {
		return !negative || n > 22 || n == 16 || n == 17 || n == 21
	}
	s, ok := signed(v, negative)
	*to = s
	return ok
}

// atLeastZero is for what proc_pid_stat(5) has as signed and can't be negative.
func atLeastZero(v uint64, negative bool) uint64 {
	if negative {
		return 0
	}
	return v
}

// entryHeader is the fixed part of a linux_dirent64: inode, offset, length, type.
const entryHeader = 8 + 8 + 2 + 1

// appendPids appends the numbers among the names in what getdents64(2) gave.
func appendPids(pids []int32, b []byte) []int32 {
	for len(b) > entryHeader {
		size := int(binary.NativeEndian.Uint16(b[16:]))
		if size <= entryHeader || size > len(b) {
			break
		}
		if pid, ok := parsePid(b[entryHeader:size]); ok {
			pids = append(pids, pid)
		}
		b = b[size:]
	}
	return pids
}

// parsePid reads a number that ends with a zero byte or with b.
func parsePid(b []byte) (int32, bool) {
	v, i := int64(0), 0
	for ; i < len(b) && b[i] != 0; i++ {
		d := b[i] - '0'
		if d > 9 || i > 9 {
			return 0, false
		}
		v = v*10 + int64(d)
	}
	return int32(v), i > 0 && b[0] != '0' && v <= 1<<31-1
}
