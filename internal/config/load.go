package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// Source is where a project is read from.
type Source struct {
	Dir     string   // "": the current folder
	Files   []string // relative to Dir; none: foster.yaml, foster.yml or Procfile, whichever is found first
	Environ []string // nil: that of this process
	// Found is set where nobody named Dir: files that another user could have written are
	// refused with a *DistrustError.
	Found bool
}

// defaultFiles are looked for where none is named.
var defaultFiles = []string{"foster.yaml", "foster.yml", "Procfile"}

// ErrNotFound is that a folder has none of the files that are looked for.
var ErrNotFound = errors.New("there is no configuration")

// Load reads a project, and checks it. What is wrong with it is an *Error.
func Load(src Source) (*Project, error) {
	l := &loader{src: src, environ: src.Environ, envs: map[string]string{}}
	if l.environ == nil {
		l.environ = os.Environ()
	}
	dir, err := filepath.Abs(src.Dir)
	if err != nil {
		return nil, err
	}
	names := src.Files
	if len(names) == 0 {
		name, err := find(dir)
		if err != nil {
			return nil, err
		}
		names = []string{name}
		if src.Found {
			l.found = filepath.Join(dir, name)
			if _, err := l.trusted(l.found); err != nil {
				return nil, err
			}
		}
	}
	return l.load(dir, names)
}

// find gives the name of the file of a folder.
func find(dir string) (string, error) {
	for _, name := range defaultFiles {
		_, err := os.Stat(filepath.Join(dir, name))
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%w: none of %s is in %s", ErrNotFound, strings.Join(defaultFiles, ", "), dir)
}

// loader reads the files of a project.
type loader struct {
	src      Source
	environ  []string
	envs     map[string]string // of the .env files
	dotenv   []variable        // the same, for a Procfile
	procfile bool              // there is one
	names    []string          // of the files, absolute
	reading  []string          // that include each other
	others   map[string]*node  // files of which applications are extended
	decoder
}

// look gives a variable for ${NAME}: the environment has the last word.
func (l *loader) look(name string) (string, bool) {
	for i := len(l.environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(l.environ[i], name+"="); ok {
			return value, true
		}
	}
	value, ok := l.envs[name]
	return value, ok
}

func (l *loader) load(dir string, names []string) (*Project, error) {
	l.vars = l.look
	var root *node
	first := ""
	var given []string
	for _, name := range names {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, name)
		}
		if first == "" {
			first = filepath.Dir(path)
			l.readDotenv(first, path)
		}
		shown := name
		if l.src.Dir != "" && !filepath.IsAbs(name) {
			shown = filepath.Join(l.src.Dir, name)
		}
		given = append(given, path)
		root = merge(root, l.tree(shown, path, place{}))
	}
	if err := l.problems.err(); err != nil || root == nil {
		return nil, err
	}
	p := l.project(place{root, ""}, first)
	p.Given = given
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// readDotenv reads the file .env of a folder, which need not be there. beside is the
// project's file.
func (l *loader) readDotenv(dir, beside string) {
	path := filepath.Join(dir, ".env")
	var vars []variable
	err := error(nil)
	if len(l.src.Files) > 0 {
		err = trustedBeside(path, beside)
	}
	if err == nil {
		vars, err = l.readEnv(filepath.Join(l.src.Dir, ".env"), path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.problems.put(Problem{File: ".env", Text: fileProblem(err), Hint: fileHint(err)})
	}
	l.dotenv = vars
	for _, v := range vars {
		l.envs[v.name] = v.value
	}
}

// tree reads a file and those that it includes. by is what names it.
func (l *loader) tree(name, path string, by place) *node {
	for i, other := range l.reading {
		if other == path {
			cycle := append(append([]string{}, l.reading[i:]...), path)
			for i := range cycle {
				cycle[i] = filepath.Base(cycle[i])
			}
			l.problems.add(by, "", "files include each other: %s", strings.Join(cycle, " -> "))
			return nil
		}
	}
	data, err := l.read(path)
	if err != nil {
		if by.node != nil {
			l.problems.add(by, fileHint(err), "%s", fileProblem(err))
		} else {
			l.problems.put(Problem{File: name, Text: fileProblem(err), Hint: fileHint(err)})
		}
		return nil
	}
	l.names = append(l.names, path)
	f := newFile(name, path, data)
	if strings.HasPrefix(filepath.Base(path), "Procfile") {
		l.procfile = true
		return l.readProcfile(f)
	}
	root := parse(f, data, &l.problems)
	if root == nil {
		return nil
	}
	if root.kind != mapping {
		l.wrong(place{root, ""}, "a map with the key apps")
		return nil
	}
	l.reading = append(l.reading, path)
	defer func() { l.reading = l.reading[:len(l.reading)-1] }()
	include := root.get("include")
	if include == nil {
		return root
	}
	var base *node
	for _, at := range (place{include, "include"}).each() {
		if text, ok := l.text(at, "the path of a file"); ok {
			base = merge(base, l.tree(filepath.Join(filepath.Dir(name), text), l.path(at, text), at))
		}
	}
	return merge(base, root.without("include"))
}

// baseEnviron is what each application inherits: the supervisor's environment, less what
// is about the supervisor or the shell that started it.
func (l *loader) baseEnviron() (list []variable) {
	own := map[string]bool{}
	for _, name := range []string{"_", "PWD", "OLDPWD", "SHLVL", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID"} {
		own[name] = true
	}
	known := maps.Clone(own)
	for i := len(l.environ) - 1; i >= 0; i-- { // the last of a name counts
		name, value, ok := strings.Cut(l.environ[i], "=")
		if ok && name != "" && !known[name] {
			known[name] = true
			list = append(list, variable{name, value})
		}
	}
	return list
}
