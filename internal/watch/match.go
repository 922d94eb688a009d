package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// never are what never counts: what editors and version control keep beside the files.
var never = []string{"**/.git", "**/.hg", "**/.svn", "**/*~", "**/.*.sw[a-z]", "**/.#*", "**/4913", "**/.goutputstream-*", "**/.DS_Store"}

// Check says whether something is a glob, for who reads a configuration.
func Check(glob string) error {
	switch {
	case !doublestar.ValidatePathPattern(glob):
		return fmt.Errorf("%q isn't a glob: a bracket or brace isn't closed, or it ends in a backslash", glob)
	case !filepath.IsAbs(glob):
		return fmt.Errorf("%q isn't absolute", glob)
	}
	return nil
}

// matcher says which files count, and in which folders they may be.
type matcher struct {
	paths  []glob
	ignore []string
}

// glob is one of the paths to watch.
type glob struct {
	text  string
	base  string   // the folder above all that it matches
	parts []string // below the base
	deep  bool     // with **: however far below
}

func newMatcher(files Files) (*matcher, error) {
	m := &matcher{ignore: slices.Concat(files.Ignore, never)}
	if len(files.Paths) == 0 {
		return nil, errors.New("watch: no path was given")
	}
	for _, text := range slices.Concat(files.Paths, files.Ignore) {
		if err := Check(text); err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
	}
	for _, text := range files.Paths {
		if info, err := os.Stat(text); err == nil && info.IsDir() {
			text = filepath.Join(text, "**")
		}
		base, rest := doublestar.SplitPattern(filepath.Clean(text))
		m.paths = append(m.paths, glob{text, base, strings.Split(rest, "/"), strings.Contains(rest, "**") || strings.Contains(rest, "{")})
	}
	return m, nil
}

// counts says whether a change of a file is one.
func (m *matcher) counts(path string) bool {
	return !m.ignored(path) && slices.ContainsFunc(m.paths, func(g glob) bool {
		return doublestar.PathMatchUnvalidated(g.text, path)
	})
}

// ignored says whether a path doesn't count: it, or a folder that it is in, is ignored.
func (m *matcher) ignored(path string) bool {
	for p := path; ; p = filepath.Dir(p) {
		for _, ignore := range m.ignore {
			if doublestar.PathMatchUnvalidated(ignore, p) {
				return true
			}
		}
		if p == filepath.Dir(p) {
			return false
		}
	}
}

// holds says whether files that count may be in a folder, or below it.
func (m *matcher) holds(folder string) bool {
	return !m.ignored(folder) && slices.ContainsFunc(m.paths, func(g glob) bool { return g.holds(folder) })
}

func (g glob) holds(folder string) bool {
	if !within(g.base, folder) {
		return false
	}
	if folder == g.base || g.deep {
		return true
	}
	below := strings.Split(strings.TrimPrefix(strings.TrimPrefix(folder, g.base), "/"), "/")
	if len(below) >= len(g.parts) {
		return false
	}
	for n, name := range below {
		if !doublestar.MatchUnvalidated(g.parts[n], name) {
			return false
		}
	}
	return true
}

// within says whether a path is a folder or below it.
func within(folder, path string) bool {
	return folder == path || folder == "/" || strings.HasPrefix(path, folder+"/")
}
