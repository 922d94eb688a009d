// Package importer reads what other supervisors are configured by, and writes it as
// foster.yaml: supervisord.conf, Procfile, process-compose.yaml, units of systemd, and
// pm2's ecosystem.config.json.
//
// What it writes can be loaded by package config. Where foster has no equal for a thing,
// or means something else by it, a comment says so, at the place, with the file and line
// that it comes from.
package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Format is what a file is written for.
type Format string

// The formats.
const (
	Supervisord    Format = "supervisord"
	Procfile       Format = "procfile"
	ProcessCompose Format = "process-compose"
	Systemd        Format = "systemd"
	PM2            Format = "pm2"
)

// Formats are all of them.
var Formats = []Format{Supervisord, Procfile, ProcessCompose, Systemd, PM2}

// Source is what is imported.
type Source struct {
	Paths   []string // of files
	From    Format   // "": told by name and content
	Out     string   // the folder in which foster.yaml will be; "": the current one
	Environ []string // what variables of the original are read from; nil: that of this process
}

// Result is the foster.yaml that was made.
type Result struct {
	Format  Format
	YAML    []byte
	Apps    int
	Remarks []Remark // in the order of the text
}

// Remark is about one thing that has no equal, or means something else.
type Remark struct {
	File string // as it was given
	Line int    // from 1; 0: it is about the whole file
	What string // as it is written there
	Text string
}

func (r Remark) String() string {
	text := r.File
	if r.Line > 0 {
		text += fmt.Sprintf(":%d", r.Line)
	}
	if r.What != "" {
		text += ": " + r.What
	}
	return text + ": " + r.Text
}

// Error is input that can't be read.
type Error struct {
	File string
	Line int // from 1; 0: it is about the whole file
	Text string
	Hint string // what could be done; may be ""
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
	}
	return e.File + ": " + e.Text
}

// readers read one format each.
var readers = map[Format]func(*reader, []input) error{
	Supervisord:    (*reader).supervisord,
	Procfile:       (*reader).procfile,
	ProcessCompose: (*reader).compose,
	Systemd:        (*reader).systemd,
	PM2:            (*reader).pm2,
}

// reader makes one foster.yaml.
type reader struct {
	files
	out     string // absolute
	environ []string
	draft   draft
}

// Import reads files, and makes a foster.yaml of them. What can't be read is an *Error.
func Import(src Source) (*Result, error) {
	if len(src.Paths) == 0 {
		return nil, fmt.Errorf("no file was given")
	}
	out, err := filepath.Abs(src.Out)
	if err != nil {
		return nil, err
	}
	r := &reader{files: osFiles, out: out, environ: src.Environ}
	if r.environ == nil {
		r.environ = os.Environ()
	}
	return r.run(src.Paths, src.From)
}

func (r *reader) run(paths []string, format Format) (*Result, error) {
	var inputs []input
	for _, path := range paths {
		in, err := r.open(path, format == Systemd || isUnit(path))
		if err != nil {
			return nil, err
		}
		f, err := detect(in)
		switch {
		case format == "" && err != nil:
			return nil, err
		case format == "":
			format = f
		case len(inputs) > 0 && err == nil && f != format:
			return nil, &Error{File: path, Text: fmt.Sprintf("it is a file of %s, and %s is one of %s", f, paths[0], format), Hint: "import them one by one"}
		}
		inputs = append(inputs, in)
	}
	if len(inputs) > 1 && format != Systemd && format != ProcessCompose {
		return nil, &Error{File: paths[1], Text: fmt.Sprintf("only one file of %s is read at a time", format)}
	}
	read, ok := readers[format]
	if !ok {
		return nil, fmt.Errorf("%q is none of %s", format, formatNames())
	}
	r.draft.origin = paths
	if err := read(r, inputs); err != nil {
		return nil, err
	}
	if len(r.draft.apps) == 0 {
		return nil, &Error{File: paths[0], Text: "there is no application in it"}
	}
	r.draft.complete()
	text, err := r.draft.yaml()
	if err != nil {
		return nil, err
	}
	return &Result{Format: format, YAML: text, Apps: len(r.draft.apps), Remarks: r.draft.remarks()}, nil
}

func formatNames() string {
	var names []string
	for _, f := range Formats {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// variable gives the value of a variable of the environment.
func (r *reader) variable(name string) (string, bool) {
	for _, e := range slices.Backward(r.environ) {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// folder is how foster.yaml names a folder: relative, where it is the own one or below.
func (r *reader) folder(path string) string {
	abs, err := r.abs(path)
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(r.out, abs); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return rel
	}
	return abs
}
