package logs

import (
	"bytes"
	"time"
)

// Stream is one of an application's two outputs.
type Stream uint8

// The streams, and what foster itself has to say in a log.
const (
	Stdout Stream = iota
	Stderr
	Foster
)

var streamNames = [...]string{"stdout", "stderr", "foster"}

func (s Stream) String() string { return streamNames[s] }

// A line of a log's file is as the CRI log format has it (of Kubernetes), so that what
// reads that reads this:
//
//	2026-11-25T13:00:00.123456Z stdout F text
//
// F is a whole line, or the last part of one; P is a part that goes on in the next line
// of that stream; what follows such a part has :+ after its letter. The text may have any
// byte but a newline. In JSON it is
//
//	{"time":"2026-11-25T13:00:00.123456Z","app":"web","replica":1,"stream":"stdout","text":"text"}
//
// with "part":true and "more":true for P and +, and "raw" in base64 instead of text where
// that isn't UTF-8.
const stampLayout = "2006-01-02T15:04:05.000000Z"

// record is one line of a file.
type record struct {
	time   time.Time
	stream string
	part   bool // goes on in the next of its stream
	more   bool // goes on from the one before
	text   []byte
}

// plainHead is what stands before the text.
func plainHead(dst []byte, at time.Time, stream Stream, part, more bool) []byte {
	dst = at.UTC().AppendFormat(dst, stampLayout)
	dst = append(append(append(dst, ' '), stream.String()...), ' ')
	if part {
		dst = append(dst, 'P')
	} else {
		dst = append(dst, 'F')
	}
	if more {
		dst = append(dst, ":+"...)
	}
	return append(dst, ' ')
}

// appendLines writes whole lines, each ending in a newline, as records, as long as there
// is room for them, but at least one where must is set. more says that the first goes on
// from a part. It returns how much of src was used, and how many lines that is.
func (l *Log) appendLines(dst, src []byte, at time.Time, stream Stream, more bool, room int64, must bool) (out []byte, used, lines int) {
	head := l.head(at, stream, more)
	json := l.policy.JSON
	for used < len(src) {
		n := bytes.IndexByte(src[used:], '\n')
		before := len(dst)
		if json {
			dst = appendJSON(dst, head, false, more, src[used:used+n])
		} else {
			dst = append(append(dst, head...), src[used:used+n+1]...)
		}
		if int64(len(dst)) > room && !must {
			return dst[:before], used, lines
		}
		if more {
			more = false
			head = l.head(at, stream, false)
		}
		must = false
		used += n + 1
		lines++
	}
	return dst, used, lines
}

// head is what stands before the text of whole lines.
func (l *Log) head(at time.Time, stream Stream, more bool) []byte {
	if l.policy.JSON {
		return l.jsonHead(nil, at, stream)
	}
	return plainHead(nil, at, stream, false, more)
}

// appendRecord writes one record of a text without a newline.
func (l *Log) appendRecord(dst []byte, at time.Time, stream Stream, part, more bool, text []byte) []byte {
	if l.policy.JSON {
		return appendJSON(dst, l.head(at, stream, more), part, more, text)
	}
	dst = plainHead(dst, at, stream, part, more)
	return append(append(dst, text...), '\n')
}

// parseRecord reads a line of a file, without its newline. What is no record, since
// somebody else has written to the file, is not ok.
func parseRecord(line []byte) (r record, ok bool) {
	if len(line) > 0 && line[0] == '{' {
		return parseJSON(line)
	}
	stamp, rest, _ := bytes.Cut(line, []byte(" "))
	stream, rest, _ := bytes.Cut(rest, []byte(" "))
	tag, text, found := bytes.Cut(rest, []byte(" "))
	if !found || len(stamp) != len(stampLayout) {
		return r, false
	}
	r.text = text
	if r.stream, ok = knownStream(stream); !ok {
		return r, false
	}
	tag, r.more = bytes.CutSuffix(tag, []byte(":+"))
	if r.part = string(tag) == "P"; !r.part && string(tag) != "F" {
		return r, false
	}
	r.time, ok = parseStamp(stamp)
	return r, ok
}

func knownStream(name []byte) (string, bool) {
	for _, s := range streamNames {
		if string(name) == s {
			return s, true
		}
	}
	return "", false
}

// stampOf reads the time of a line of either format, of which the beginning is enough.
func stampOf(head []byte) (time.Time, bool) {
	head = bytes.TrimPrefix(head, []byte(jsonBegin))
	return parseStamp(head[:min(len(head), len(stampLayout))])
}

// parseStamp is time.Parse for the one layout, which it is several times faster than.
func parseStamp(b []byte) (time.Time, bool) {
	if len(b) != len(stampLayout) || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[19] != '.' || b[26] != 'Z' {
		return time.Time{}, false
	}
	number := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			if c < '0' || c > '9' {
				return -1
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second, micro := number(11, 13), number(14, 16), number(17, 19), number(20, 26)
	if min(year, hour, minute, second, micro) < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, time.UTC), true
}
