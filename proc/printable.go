package proc

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes a name, an argument or a path safe to be shown: what isn't a
// letter, a mark, a number, a sign or a blank is escaped as in Go strings, and so
// are bytes that aren't UTF-8, and the backslash. Two different names never look the
// same by it. No terminal takes the result for a command, and it is one line.
func Printable(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < utf8.RuneSelf-1 && s[i] != '\\'
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + hex(s[i]))
		case r == '\\':
			b.WriteString(`\\`)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.IsMark(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += size
	}
	return b.String()
}

func hex(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// CommandLine is what ps(1) shows as COMMAND: the arguments, escaped, with one
// that a blank would hide in quotes; without arguments, the name in brackets.
func (p *Process) CommandLine() string {
	if len(p.Args) == 0 {
		return "[" + Printable(p.Name) + "]"
	}
	words := make([]string, len(p.Args))
	for i, a := range p.Args {
		words[i] = Printable(a)
		if a == "" || strings.ContainsAny(a, " '\"") {
			words[i] = "'" + strings.ReplaceAll(words[i], "'", `\'`) + "'"
		}
	}
	return strings.Join(words, " ")
}
