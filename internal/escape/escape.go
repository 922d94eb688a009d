// Package escape makes text that others chose safe to show: names of processes, arguments,
// paths. A terminal acts on control characters, those of C1 (U+0080 to U+009F) included,
// and characters that change the direction of writing make a text look like another one.
package escape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// hidden says whether a character isn't shown as itself. Only the blank of ASCII is shown;
// another one could be taken for it.
func hidden(r rune) bool { return !unicode.IsPrint(r) }

// Text escapes what isn't shown as itself, in the way of Go strings. Text that has nothing
// of this kind is given back as it is.
func Text(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// JSON gives an encoder whose output has \u escapes in place of what isn't shown as itself.
// For a program that reads it, the values are the same. It doesn't escape for HTML.
func JSON(w io.Writer) *json.Encoder {
	e := json.NewEncoder(jsonWriter{w})
	e.SetEscapeHTML(false)
	return e
}

// jsonWriter escapes JSON on its way out. An Encoder writes a whole value at once, so no
// character is in two parts. Outside of strings JSON has line feeds, and else only what is
// shown.
type jsonWriter struct{ to io.Writer }

func (e jsonWriter) Write(p []byte) (int, error) {
	escaped := func(r rune) bool { return r != '\n' && hidden(r) }
	if bytes.IndexFunc(p, escaped) < 0 {
		return e.to.Write(p)
	}
	var b strings.Builder
	for _, r := range string(p) {
		switch high, low := utf16.EncodeRune(r); {
		case !escaped(r):
			b.WriteRune(r)
		case high != unicode.ReplacementChar:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	if _, err := io.WriteString(e.to, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}
