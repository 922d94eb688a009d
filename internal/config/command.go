package config

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// command is what is executed: a list as it stands, a text parsed as a shell does, or
// given to a shell where there is one. What a variable holds is never split.
func (d *decoder) command(at place, shell string) (argv []string) {
	switch at.kind {
	case list:
		if shell != "" {
			d.problems.add(at, "write it as one text, or leave out shell", "what a shell runs is a text: got a list")
			return nil
		}
		for i, item := range at.items {
			word, _, ok := d.expanded(at.below(index(i), item), "a text")
			if !ok {
				return nil
			}
			argv = append(argv, word)
		}
	case scalar:
		if shell != "" {
			text, _, ok := d.expanded(at, "a text")
			if ok && strings.TrimSpace(text) == "" {
				d.wrong(at, "a command")
			}
			return []string{shell, "-c", text}
		}
		if argv = d.words(at); argv == nil {
			return nil
		}
	default:
		d.wrong(at, "a command, as a text or a list")
		return nil
	}
	if len(argv) == 0 || argv[0] == "" {
		d.problems.add(at, "", "expected a command: it is empty")
		return nil
	}
	return argv
}

// words splits a text as a shell does, and replaces the variables in each word.
func (d *decoder) words(at place) (words []string) {
	list, err := split(at.text)
	if err != nil {
		hint := "shell: true has a shell run it"
		if needs, ok := err.(shellError); !ok || needs.variable != "" {
			hint = ""
			if ok {
				hint = fmt.Sprintf("write ${%s}, or $$%s for the text itself; or shell: true, to have a shell run it", needs.variable, needs.variable)
			}
		}
		d.problems.add(at, hint, "%s", err)
		return nil
	}
	words = []string{}
	for _, w := range list {
		word, _, ok := d.expand(at, w)
		if !ok {
			return nil
		}
		words = append(words, word)
	}
	return words
}

// shellError is something that only a shell can do.
type shellError struct{ what, variable string }

func (e shellError) Error() string {
	return fmt.Sprintf("%s needs a shell, and a command that is a text isn't run by one", e.what)
}

// mostWords bounds a text that is parsed: each of its bytes can be a level of nesting,
// and the parser goes down as deep.
const mostWords = 32 << 10

// split parses a text into words as a POSIX shell does: blanks, quotes, backslashes and
// comments have their meaning. Variables stay as they are written, each within its word;
// what only a shell can do, as a pipe, is an error.
func split(text string) (words []string, err error) {
	if len(text) > mostWords {
		return nil, fmt.Errorf("a command that is a text has at most %d bytes; this one has %d", mostWords, len(text))
	}
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("a zero byte can't be part of it")
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), "")
	if err != nil {
		if p, ok := err.(syntax.ParseError); ok {
			return nil, fmt.Errorf("it can't be parsed as a shell does, at character %d: %s", p.Pos.Col(), p.Text)
		}
		return nil, fmt.Errorf("it can't be parsed as a shell does: %w", err)
	}
	words = []string{}
	for i, statement := range file.Stmts {
		if i > 0 {
			return nil, shellError{what: "more than one command"}
		}
		call, ok := statement.Cmd.(*syntax.CallExpr)
		switch {
		case len(statement.Redirs) > 0:
			return nil, shellError{what: "a redirection"}
		case statement.Background:
			return nil, shellError{what: "&"}
		case statement.Semicolon.IsValid():
			return nil, shellError{what: ";"}
		case statement.Negated:
			return nil, shellError{what: "!"}
		case !ok:
			return nil, shellError{what: "a pipe, && or the like"}
		case len(call.Assigns) > 0:
			return nil, shellError{what: "a variable before the command"}
		}
		for _, w := range call.Args {
			s := splitter{text: text}
			if err := s.parts(w.Parts, false); err != nil {
				return nil, err
			}
			words = append(words, s.word.String())
		}
	}
	return words, nil
}

// splitter makes one word of its parts.
type splitter struct {
	text string
	word strings.Builder
}

func (s *splitter) parts(parts []syntax.WordPart, quoted bool) error {
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			s.literal(part.Value, quoted)
		case *syntax.SglQuoted:
			s.word.WriteString(part.Value)
		case *syntax.DblQuoted:
			if err := s.parts(part.Parts, true); err != nil {
				return err
			}
		case *syntax.ParamExp:
			written := s.text[part.Pos().Offset():part.End().Offset()]
			if !strings.HasPrefix(written, "${") && written != "$$" {
				return shellError{what: clip(written), variable: strings.TrimPrefix(written, "$")}
			}
			s.word.WriteString(written)
		default:
			return shellError{what: clip(s.text[part.Pos().Offset():part.End().Offset()])}
		}
	}
	return nil
}

// literal takes away backslashes. One before a dollar makes it a dollar for good.
func (s *splitter) literal(text string, quoted bool) {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			s.word.WriteByte(text[i])
			continue
		}
		next := text[i+1]
		switch {
		case next == '\n':
		case next == '$':
			s.word.WriteString("$$")
		case !quoted || strings.IndexByte("\"\\`", next) >= 0:
			s.word.WriteByte(next)
		default:
			s.word.WriteString(text[i : i+2])
		}
		i++
	}
}
