package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// files is how files are read: tests have their own.
type files struct {
	read func(path string) ([]byte, error)
	glob func(pattern string) ([]string, error)
	abs  func(path string) (string, error)
}

var osFiles = files{read: readFile, glob: filepath.Glob, abs: filepath.Abs}

// mostBytes bounds a file, mostFiles how many there are.
const (
	mostBytes = 4 << 20
	mostFiles = 1000
)

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	return io.ReadAll(io.LimitReader(f, mostBytes+1))
}

// input is one file that was read.
type input struct {
	path     string // as it was given
	instance string // of a template unit: what stands after the @
	lines    []string
}

func (in input) dir() string { return filepath.Dir(in.path) }

// text is the whole file again.
func (in input) text() string { return strings.Join(in.lines, "\n") }

// open reads a file. For a unit foo@bar.service that isn't there, it takes foo@.service.
func (fs files) open(path string, unit bool) (input, error) {
	in := input{path: path}
	if _, instance, _, ok := template(path); ok {
		in.instance = instance
	}
	data, err := fs.read(path)
	if err != nil && unit && missing(err) {
		if base, instance, suffix, ok := template(path); ok && instance != "" {
			if d, e := fs.read(base + "@" + suffix); e == nil {
				data, err = d, nil
			}
		}
	}
	if err != nil {
		return in, &Error{File: path, Text: "can't be read: " + reason(err)}
	}
	if len(data) > mostBytes {
		return in, &Error{File: path, Text: fmt.Sprintf("it has more than %d bytes", mostBytes)}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for n, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			return in, &Error{File: path, Line: n + 1, Text: "it isn't text in UTF-8"}
		}
		in.lines = append(in.lines, line)
	}
	return in, nil
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// template takes the path of a unit apart: foo@bar.service.
func template(path string) (base, instance, suffix string, ok bool) {
	dir, name := filepath.Split(path)
	suffix = filepath.Ext(name)
	base, instance, ok = strings.Cut(strings.TrimSuffix(name, suffix), "@")
	return dir + base, instance, suffix, ok
}
