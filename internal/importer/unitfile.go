package importer

import (
	"path/filepath"
	"slices"
	"strings"
)

// unit is a unit of systemd: its file, and its drop-ins.
type unit struct {
	name     string // web.service
	path     string
	instance string
	settings []*setting
}

// setting is one "Key=value", with the section that it is in.
type setting struct {
	section, key, value string
	at                  position
	used                bool
}

func (s *setting) what() string { return s.key + "=" + clip(s.value) }

func (s *setting) remark(format string, args ...any) Remark {
	return s.at.remark(s.what(), format, args...)
}

// parseUnit adds the settings of a file to a unit.
func (u *unit) parse(in input) error {
	section := ""
	for n := 0; n < len(in.lines); n++ {
		at := position{in.path, n + 1}
		line := strings.TrimSpace(in.lines[n])
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		var parts []string
		for strings.HasSuffix(line, `\`) && n+1 < len(in.lines) {
			parts = append(parts, strings.TrimSuffix(line, `\`))
			for n++; n+1 < len(in.lines) && isComment(in.lines[n]); n++ {
			}
			line = strings.TrimSpace(in.lines[n])
		}
		line = strings.Join(append(parts, line), " ")
		if line[0] == '[' {
			if !strings.HasSuffix(line, "]") {
				return at.wrong("%q has no closing ]", clip(line))
			}
			section = line[1 : len(line)-1]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		switch {
		case !ok || key == "":
			return at.wrong("expected Key=value: got %q", clip(line))
		case section == "":
			return at.wrong("%q stands before the first [Section]", clip(line))
		}
		u.settings = append(u.settings, &setting{section: section, key: key, value: strings.TrimSpace(value), at: at})
	}
	return nil
}

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && (line[0] == '#' || line[0] == ';')
}

// all gives the settings of a key. An empty one takes back those before it.
func (u *unit) all(section, key string) (found []*setting) {
	for _, s := range u.settings {
		if s.section != section || s.key != key {
			continue
		}
		s.used = true
		if s.value == "" {
			found = nil
		} else {
			found = append(found, s)
		}
	}
	return found
}

// get gives the setting of a key that counts, the last; nil where there is none.
func (u *unit) get(section, key string) *setting {
	list := u.all(section, key)
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// yes reads a boolean.
func (u *unit) yes(section, key string, otherwise bool) bool {
	s := u.get(section, key)
	if s == nil {
		return otherwise
	}
	return truth(s.value) || strings.EqualFold(s.value, "y") || strings.EqualFold(s.value, "t")
}

// base is the name without its suffix.
func (u *unit) base() string { return strings.TrimSuffix(u.name, filepath.Ext(u.name)) }

// units reads the files of units that are given, and what belongs to them: drop-ins, and
// the .socket and .timer of a .service, and the other way round.
func (r *reader) units(inputs []input) (list []*unit, err error) {
	has := func(name string) bool {
		return slices.ContainsFunc(list, func(u *unit) bool { return u.name == name })
	}
	for _, in := range inputs {
		if !isUnit(in.path) {
			return nil, &Error{File: in.path, Text: "it is no .service, .socket or .timer"}
		}
		if has(filepath.Base(in.path)) {
			continue
		}
		u, err := r.unit(in)
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	for _, u := range slices.Clone(list) {
		for suffix := range unitSuffixes {
			name := u.base() + suffix
			path := filepath.Join(filepath.Dir(u.path), name)
			if has(name) {
				continue
			}
			in, err := r.open(path, true)
			if err != nil {
				continue // it isn't there, which is usual
			}
			more, err := r.unit(in)
			if err != nil {
				return nil, err
			}
			list = append(list, more)
		}
	}
	slices.SortStableFunc(list, func(a, b *unit) int {
		return strings.Compare(filepath.Ext(a.name), filepath.Ext(b.name))
	})
	return list, nil
}

func (r *reader) unit(in input) (*unit, error) {
	u := &unit{name: filepath.Base(in.path), path: in.path, instance: in.instance}
	if err := u.parse(in); err != nil {
		return nil, err
	}
	dropins, err := r.glob(globEscape(in.path) + ".d/*.conf")
	if err != nil {
		return nil, &Error{File: in.path, Text: "its drop-ins can't be found: " + err.Error()}
	}
	for _, path := range dropins[:min(len(dropins), mostFiles)] {
		in, err := r.open(path, false)
		if err != nil {
			return nil, err
		}
		if err := u.parse(in); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// globEscape makes a path a pattern that only matches itself.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
