package importer

import (
	"fmt"
	"strings"
)

// split splits a text into words, by blanks outside of quotes. What a backslash and what
// follows it mean within a quote, or none (0), is said by escape, which also says how much
// of what follows it has taken.
func split(text string, escape func(rest string, quote byte) (taken int, out string, err error)) (words []string, err error) {
	var word strings.Builder
	var quote byte
	inside := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\':
			taken, out, err := escape(text[i+1:], quote)
			if err != nil {
				return nil, err
			}
			word.WriteString(out)
			i += taken
			inside = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case strings.IndexByte(" \t\r\n", c) >= 0:
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// shlex splits a command as Python's shlex.split does: blanks, quotes and backslashes
// mean something, and nothing else does.
func shlex(text string) (words []string, err error) {
	return split(text, func(rest string, quote byte) (int, string, error) {
		switch {
		case quote == '\'':
			return 0, `\`, nil
		case rest == "":
			return 0, "", fmt.Errorf("nothing follows the last backslash")
		case quote == '"' && rest[0] != '"' && rest[0] != '\\':
			return 0, `\`, nil
		}
		return 1, rest[:1], nil
	})
}
