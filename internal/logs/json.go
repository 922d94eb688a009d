package logs

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonRecord is a line of a file, as it is read.
type jsonRecord struct {
	Time   string  `json:"time"`
	Stream string  `json:"stream"`
	Part   bool    `json:"part"`
	More   bool    `json:"more"`
	Text   *string `json:"text"`
	Raw    []byte  `json:"raw"`
}

// jsonBegin is what stands before the time.
const jsonBegin = `{"time":"`

// jsonHead is what stands before what differs from line to line.
func (l *Log) jsonHead(dst []byte, at time.Time, stream Stream) []byte {
	dst = append(dst, jsonBegin...)
	dst = at.UTC().AppendFormat(dst, stampLayout)
	dst = append(dst, `","app":`...)
	dst = appendJSONString(dst, []byte(l.app))
	dst = append(dst, `,"replica":`...)
	dst = strconv.AppendInt(dst, int64(l.replica), 10)
	dst = append(append(dst, `,"stream":"`...), stream.String()...)
	return append(dst, '"')
}

// appendJSON writes a record as a line of JSON.
func appendJSON(dst, head []byte, part, more bool, text []byte) []byte {
	dst = append(dst, head...)
	if part {
		dst = append(dst, `,"part":true`...)
	}
	if more {
		dst = append(dst, `,"more":true`...)
	}
	if utf8.Valid(text) {
		dst = appendJSONString(append(dst, `,"text":`...), text)
	} else {
		dst = append(dst, `,"raw":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, text)
		dst = append(dst, '"')
	}
	return append(dst, "}\n"...)
}

// escaped are the bytes that can't stand in a string as they are.
var escaped = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

const hexDigits = "0123456789abcdef"

// appendJSONString writes valid UTF-8 as a string of JSON.
func appendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	plain := 0 // since when nothing had to be escaped
	for n, c := range text {
		if !escaped[c] {
			continue
		}
		dst = append(dst, text[plain:n]...)
		plain = n + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\t':
			dst = append(dst, `\t`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\n':
			dst = append(dst, `\n`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, text[plain:]...), '"')
}

func parseJSON(line []byte) (r record, ok bool) {
	var j jsonRecord
	if json.Unmarshal(line, &j) != nil {
		return r, false
	}
	if r.stream, ok = knownStream([]byte(j.Stream)); !ok {
		return r, false
	}
	r.part, r.more, r.text = j.Part, j.More, j.Raw
	if j.Text != nil {
		r.text = []byte(*j.Text)
	}
	r.time, ok = parseStamp([]byte(j.Time))
	return r, ok
}
