package config

import (
	"fmt"
	"os"
	"strings"
)

// variable is one of an environment.
type variable struct{ name, value string }

// readEnv reads a file of NAME=value lines. A value may stand in single quotes, as it is,
// or in double quotes, with \n, \" and the like; both may go over several lines. Without
// quotes it ends at a # after a blank. "export" before a name, empty lines and comments
// are passed over. Variables are replaced but in single quotes.
func (d *decoder) readEnv(name, path string) (list []variable, err error) {
	data, err := d.read(path)
	if err != nil {
		return nil, err
	}
	f := newFile(name, path, data)
	r := envReader{f, d.vars, &d.problems, map[string]string{}}
	for n := 0; n < len(f.lines); {
		v, taken, ok := r.variable(n)
		if ok {
			r.known[v.name] = v.value
			list = append(list, v)
		}
		n += taken
	}
	return list, nil
}

type envReader struct {
	file     *file
	vars     lookup
	problems *problems
	known    map[string]string // of the lines before
}

func (r *envReader) look(name string) (string, bool) {
	if v, ok := r.vars(name); ok {
		return v, true
	}
	v, ok := r.known[name]
	return v, ok
}

func (r *envReader) wrong(n, column int, format string, args ...any) {
	r.problems.add(place{&node{file: r.file, line: n + 1, column: column}, ""}, "", format, args...)
}

// variable reads the line n, and those after it that belong to it.
func (r *envReader) variable(n int) (v variable, lines int, ok bool) {
	line := strings.TrimSuffix(r.file.lines[n], "\r")
	rest := strings.TrimLeft(line, " \t")
	if rest == "" || rest[0] == '#' {
		return v, 1, false
	}
	if after, ok := strings.CutPrefix(rest, "export "); ok {
		rest = strings.TrimLeft(after, " \t")
	}
	column := len(line) - len(rest) + 1
	name, value, found := strings.Cut(rest, "=")
	name = strings.TrimRight(name, " \t")
	if !found || !validVariable(name) {
		r.wrong(n, column, "%q is not NAME=value", clip(rest))
		return v, 1, false
	}
	v.name = name
	value = strings.TrimLeft(value, " \t")
	lines, quote := 1, byte(0)
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		quote = value[0]
		end := endOfQuote(value)
		for ; end < 0 && n+lines < len(r.file.lines) && len(value) < mostText; lines++ {
			value += "\n" + strings.TrimSuffix(r.file.lines[n+lines], "\r")
			end = endOfQuote(value)
		}
		if end < 0 {
			r.wrong(n, column, "the quote of %s is not closed", name)
			return v, 1, false
		}
		if after := strings.TrimSpace(value[end+1:]); after != "" && after[0] != '#' {
			r.wrong(n, column, "%q follows the value of %s", clip(after), name)
			return v, lines, false
		}
		value = value[1:end]
	} else {
		value = uncommented(value)
	}
	if quote == '"' {
		value = unescape.Replace(value)
	}
	if v.value = value; quote != '\'' {
		var err error
		if v.value, _, err = expand(value, r.look); err != nil {
			r.wrong(n, column, "%s: %v", name, err)
			return v, lines, false
		}
	}
	if strings.IndexByte(v.value, 0) >= 0 {
		r.wrong(n, column, "a zero byte can't be part of the value of %s", name)
		return v, lines, false
	}
	return v, lines, true
}

// unescape has no \$: that a dollar stays is written $$, as in foster.yaml.
var unescape = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\"`, `"`, `\\`, `\`, `\$`, "$$")

// endOfQuote is where the quote that a text begins with is closed; -1: nowhere.
func endOfQuote(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && text[0] == '"':
			i++
		case text[i] == text[0]:
			return i
		}
	}
	return -1
}

func uncommented(value string) string {
	for i := range len(value) {
		if value[i] == '#' && (i == 0 || value[i-1] == ' ' || value[i-1] == '\t') {
			value = value[:i]
			break
		}
	}
	return strings.TrimRight(value, " \t")
}

// validVariable says whether a name can be that of a variable: execve(2) takes all but
// these.
func validVariable(name string) bool {
	return name != "" && !strings.ContainsAny(name, "= \t\x00")
}

// readEnvAt reads the files that a key names.
func (d *decoder) readEnvAt(at place) (vars []variable) {
	for _, below := range at.each() {
		name, ok := d.text(below, "the path of a file")
		if !ok {
			continue
		}
		more, err := d.readEnv(name, d.path(below, name))
		if err != nil {
			d.problems.add(below, fileHint(err), "%s", fileProblem(err))
		}
		vars = append(vars, more...)
	}
	return vars
}

// fileHint is what can be done about a file that isn't read.
func fileHint(err error) string {
	if d, ok := err.(*DistrustError); ok {
		return d.Hint
	}
	return ""
}

// fileProblem is why a file can't be read, without its name twice.
func fileProblem(err error) string {
	if p, ok := err.(*os.PathError); ok {
		return fmt.Sprintf("can't read %s: %v", p.Path, p.Err)
	}
	return err.Error()
}
