package importer

import (
	"fmt"
	"strings"
)

// section is one of an ini file, as supervisord reads it.
type section struct {
	name    string
	at      position
	options []option
}

// option is one "key = value".
type option struct {
	key, value string
	at         position
	used       bool
	more       []string // lines that go on with the value
}

// position is a line of a file.
type position struct {
	file string
	line int
}

// remark is one about what stands there.
func (p position) remark(what, format string, args ...any) Remark {
	return Remark{p.file, p.line, what, fmt.Sprintf(format, args...)}
}

func (p position) wrong(format string, args ...any) error {
	return &Error{File: p.file, Line: p.line, Text: fmt.Sprintf(format, args...)}
}

// what is the option as it is written, in short.
func (o *option) what() string { return o.key + "=" + clip(o.value) }

func (o *option) remark(format string, args ...any) Remark {
	return o.at.remark(o.what(), format, args...)
}

func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// get gives an option, the last where there are several; nil where there is none.
func (s *section) get(key string) *option {
	for i := len(s.options) - 1; i >= 0; i-- {
		if s.options[i].key == key {
			s.options[i].used = true
			return &s.options[i]
		}
	}
	return nil
}

// parseINI reads the dialect of Python's configparser that supervisord has: comments
// begin with ; or #, also behind a blank within a line; a line that is indented deeper
// than its key goes on with the value; keys are in lower case; a section may come twice.
func parseINI(in input) ([]*section, error) {
	p := iniParser{in: in}
	for n, line := range in.lines {
		if err := p.line(position{in.path, n + 1}, line); err != nil {
			return nil, err
		}
	}
	for _, s := range p.sections {
		for i := range s.options {
			o := &s.options[i]
			o.value = strings.TrimSpace(strings.Join(append([]string{o.value}, o.more...), "\n"))
		}
	}
	return p.sections, nil
}

type iniParser struct {
	in       input
	sections []*section
	current  *section
	indent   int
	going    bool // the last line was an option, or went on with it
}

func (p *iniParser) line(at position, line string) error {
	text := uncomment(line)
	trimmed := strings.TrimSpace(text)
	indent := len(text) - len(strings.TrimLeft(text, " \t"))
	switch {
	case trimmed == "":
		return nil
	case p.going && indent > p.indent:
		last := &p.current.options[len(p.current.options)-1]
		last.more = append(last.more, trimmed)
		return nil
	case trimmed[0] == '[':
		end := strings.IndexByte(trimmed, ']')
		if end < 0 {
			return at.wrong("%q has no closing ]", clip(trimmed))
		}
		p.begin(trimmed[1:end], at)
		return nil
	}
	sep := strings.IndexAny(trimmed, "=:")
	key := ""
	if sep > 0 {
		key = strings.ToLower(strings.TrimSpace(trimmed[:sep]))
	}
	switch {
	case key == "":
		return at.wrong("expected key=value: got %q", clip(trimmed))
	case p.current == nil:
		return at.wrong("%q stands before the first [section]", clip(trimmed))
	}
	p.current.options = append(p.current.options, option{key: key, value: strings.TrimSpace(trimmed[sep+1:]), at: at})
	p.going, p.indent = true, indent
	return nil
}

// begin begins a section, or goes on with one of that name.
func (p *iniParser) begin(name string, at position) {
	p.going = false
	for _, s := range p.sections {
		if s.name == name {
			p.current = s
			return
		}
	}
	p.current = &section{name: name, at: at}
	p.sections = append(p.sections, p.current)
}

// uncomment takes away a comment: at the beginning of a line, or behind a blank.
func uncomment(line string) string {
	for i := range len(line) {
		if (line[i] == ';' || line[i] == '#') && (strings.TrimSpace(line[:i]) == "" || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}
