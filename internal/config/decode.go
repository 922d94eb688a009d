package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// decoder makes a project of nodes.
type decoder struct {
	problems problems
	vars     lookup
	app      *app // that is being read
	files    int  // that were read
	bytes    int  // of them

	// found is the file of a project that was found and not named: see trusted.
	found string
}

// wrong tells of a value of the wrong type.
func (d *decoder) wrong(at place, want string) {
	got := at.kind.String()
	if at.kind == scalar {
		got = strconv.Quote(clip(at.text))
	}
	d.problems.add(at, "", "expected %s: got %s", want, got)
}

// unknown tells of a key that there isn't.
func (d *decoder) unknown(at place, known []string, wrong map[string]string) {
	if d.problems.full() {
		return
	}
	hint := ""
	if right, ok := wrong[at.text]; ok {
		hint = right
		for _, k := range known {
			if k == right {
				hint = fmt.Sprintf("here it is called %s", right)
			}
		}
	} else {
		hint = didYouMean(nearest(at.text, known))
	}
	d.problems.add(at, hint, "unknown key")
}

// text is a scalar with its variables replaced.
func (d *decoder) text(at place, want string) (string, bool) {
	text, later, ok := d.expanded(at, want)
	if later {
		d.problems.add(at, "", "${FOSTER_APP} and the like have a value only in command, working_dir, environment, hooks, probes and stop")
		return "", false
	}
	return text, ok
}

// expanded is the same for what may differ between replicas.
func (d *decoder) expanded(at place, want string) (text string, later, ok bool) {
	if at.kind != scalar {
		d.wrong(at, want)
		return "", false, false
	}
	text, later, ok = d.expand(at, at.text)
	return text, later, ok
}

func (d *decoder) expand(at place, written string) (text string, later, ok bool) {
	text, later, err := expand(written, d.vars)
	if err != nil {
		hint := ""
		if name, ok := errors.AsType[unsetError](err); ok {
			hint = fmt.Sprintf("${%s:-} is empty where it isn't set; $${%s} is left as it is, to a shell", string(name), string(name))
		}
		d.problems.add(at, hint, "%s", err)
		return "", false, false
	}
	if strings.ContainsRune(text, 0) {
		d.problems.add(at, "", "a zero byte can't be part of it")
		return "", false, false
	}
	return text, later, true
}

// path is absolute; a relative one is relative to the file in which it is written.
func (d *decoder) path(at place, text string) string {
	if filepath.IsAbs(text) {
		return filepath.Clean(text)
	}
	return filepath.Join(at.file.dir(), text)
}

// glob is absolute, like a path. The folder of the file is no glob, whatever its name.
func (d *decoder) glob(at place, text string) string {
	if filepath.IsAbs(text) {
		return filepath.Clean(text)
	}
	return filepath.Join(literal.Replace(at.file.dir()), text)
}

var literal = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`, `\`, `\\`)

// Bounds for what one project is made of.
const (
	mostFiles = 10_000
	mostTotal = 64 << 20
	mostApps  = 10_000
)

// read reads a file, which may be a pipe, as in a shell's <(…).
func (d *decoder) read(path string) ([]byte, error) {
	path, err := d.trusted(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	d.files++
	d.bytes += len(data)
	var bound error
	switch {
	case err != nil:
		return nil, err
	case len(data) > mostBytes:
		bound = fmt.Errorf("it has more than %d bytes", mostBytes)
	case d.bytes > mostTotal:
		bound = fmt.Errorf("the files of the project have more than %d bytes", mostTotal)
	case d.files > mostFiles:
		bound = fmt.Errorf("the project has more than %d files", mostFiles)
	default:
		return data, nil
	}
	return nil, &os.PathError{Op: "read", Path: path, Err: bound}
}

// value is a scalar as JSON has it.
func (n *node) value() any {
	if n.quoted {
		return n.text
	}
	if b, err := strconv.ParseBool(n.text); err == nil && len(n.text) > 1 {
		return b
	}
	if f, err := strconv.ParseFloat(n.text, 64); err == nil {
		return f
	}
	return n.text
}
