package config

import (
	"path/filepath"
	"strings"
)

// extended gives an application with the keys of what it extends, and without that key.
func (l *loader) extended(at place, apps *node, chain []string) *node {
	if at.kind != mapping {
		return at.node
	}
	ext := at.get("extends")
	if ext == nil {
		return at.node
	}
	own := at.without("extends")
	from := at.below("extends", ext)
	name, file := from, place{}
	switch ext.kind {
	case mapping:
		n, f := ext.get("app"), ext.get("file")
		if n == nil {
			l.problems.add(from, "", "expected the key app: the application to extend")
			return own
		}
		name = from.below("app", n)
		if f != nil {
			file = from.below("file", f)
		}
		for _, key := range ext.fields {
			if key.key.text != "app" && key.key.text != "file" {
				l.unknown(from.below(key.key.text, key.key), []string{"app", "file"}, map[string]string{"service": "app", "name": "app"})
			}
		}
	case scalar:
	default:
		l.wrong(from, "the name of an application, or a map with app and file")
		return own
	}
	base, ok := l.text(name, "the name of an application")
	if !ok {
		return own
	}
	where := at.file.path
	if file.node != nil {
		path, ok := l.text(file, "the path of a file")
		if !ok {
			return own
		}
		where = l.path(file, path)
		if apps = l.appsOf(where, file, path); apps == nil {
			return own
		}
	}
	if len(chain) == 0 {
		chain = []string{where + "\x00" + strings.TrimPrefix(at.path, "apps.")}
	}
	id := where + "\x00" + base
	for i, other := range chain {
		if other == id {
			l.problems.add(from, "", "applications extend each other: %s", readable(append(chain[i:], id)))
			return own
		}
	}
	if len(chain) > 30 {
		l.problems.add(from, "", "more than 30 applications extend each other")
		return own
	}
	f := apps.field(base)
	if f == nil {
		l.problems.add(name, meant(base, appNames(apps)), "there is no application %q to extend", base)
		return own
	}
	found := l.extended(place{f.value, "apps." + base}, apps, append(chain, id))
	return merge(found, own)
}

// appsOf are the applications of another file.
func (l *loader) appsOf(path string, by place, name string) *node {
	if l.others == nil {
		l.others = map[string]*node{}
	}
	root, ok := l.others[path]
	if !ok {
		root = l.tree(filepath.Join(filepath.Dir(by.file.name), name), path, by)
		l.others[path] = root
	}
	if root == nil {
		return nil
	}
	apps := root.get("apps")
	if apps == nil || apps.kind != mapping {
		l.problems.add(by, "", "%s has no applications to extend", name)
		return nil
	}
	return apps
}

// readable is a chain of applications.
func readable(chain []string) string {
	var names []string
	for _, id := range chain {
		_, name, _ := strings.Cut(id, "\x00")
		names = append(names, name)
	}
	return strings.Join(names, " -> ")
}

func appNames(apps *node) (names []string) {
	for _, f := range apps.fields {
		names = append(names, f.key.text)
	}
	return names
}

func meant(word string, list []string) string {
	if len(list) > 1000 {
		return "" // that would take long
	}
	if near := nearest(word, list); near != "" {
		return didYouMean(near)
	}
	if len(list) > 0 && len(list) <= 12 {
		return "there are " + strings.Join(list, ", ")
	}
	return ""
}
