package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is all that is wrong with a configuration.
type Error struct {
	Problems []Problem
}

// Problem is one thing that is wrong, and where.
type Problem struct {
	File   string // as it was given or found; "": nothing was read
	Line   int    // from 1; 0: it is about the whole file
	Column int    // from 1, in characters
	Path   string // of the key: apps.web.restart
	Text   string // what is wrong, and what was expected
	Hint   string // what could be done; may be ""
	Source string // the line of the file; may be ""
}

// Error is the first problem, and how many more there are.
func (e *Error) Error() string {
	if len(e.Problems) == 0 {
		return "the configuration is wrong"
	}
	text := e.Problems[0].String()
	if more := len(e.Problems) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// String is the problem in one line: "foster.yaml:7:5: apps.web.restrat: unknown key".
func (p Problem) String() string {
	var parts []string
	switch {
	case p.File != "" && p.Line > 0:
		parts = append(parts, fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column))
	case p.File != "":
		parts = append(parts, p.File)
	}
	if p.Path != "" {
		parts = append(parts, p.Path)
	}
	return strings.Join(append(parts, p.Text), ": ")
}

// Caret is the line below Source that points at the column.
func (p Problem) Caret() string {
	var b strings.Builder
	n := 1
	for _, r := range p.Source {
		if n >= p.Column {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
		n++
	}
	return b.String() + "^"
}

// mostProblems bounds what is told at once; further ones are likely to follow from them.
const mostProblems = 100

// problems collects what is wrong.
type problems struct {
	list []Problem
	seen map[Problem]bool
}

// add tells of a problem at a node, once.
func (p *problems) add(at place, hint, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	problem := Problem{Path: at.path, Text: text, Hint: hint}
	if n := at.node; n != nil {
		problem.File, problem.Line, problem.Column = n.file.name, n.line, n.column
		problem.Source = n.file.line(n.line)
	}
	p.put(problem)
}

// full says that no more is told: then no time is spent on hints.
func (p *problems) full() bool { return len(p.list) >= mostProblems }

func (p *problems) put(problem Problem) {
	same := problem
	if same.Line > 0 {
		same.Path = "" // two that extend the same
	}
	if p.full() || p.seen[same] {
		return
	}
	if p.seen == nil {
		p.seen = map[Problem]bool{}
	}
	p.seen[same] = true
	p.list = append(p.list, problem)
}

// err is nil where there is no problem. They are in the order of the files' lines.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	files := map[string]int{}
	for _, problem := range p.list {
		if _, ok := files[problem.File]; !ok {
			files[problem.File] = len(files)
		}
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(files[a.File], files[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{p.list}
}

// IsError says whether the configuration itself is wrong, and in what.
func IsError(err error) (*Error, bool) { return errors.AsType[*Error](err) }
