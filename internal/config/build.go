package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// project makes the project of what was read.
func (l *loader) project(root place, dir string) *Project {
	root.node = withoutExtensions(root.node)
	var p project
	projectShape().read(&l.decoder, root, &p)
	p.Dir, p.Files = dir, l.names
	if p.Name == "" {
		p.Name = folderName(dir)
	}
	if err := validName(p.Name); err != nil {
		at := root
		if n := root.get("name"); n != nil {
			at = root.below("name", n)
		}
		l.problems.add(at, "", "%s", err)
	}
	l.checkMetrics(root, p.Metrics)
	if p.apps.node == nil {
		l.problems.add(root, "", "expected the key apps: a map of the applications")
		return &p.Project
	}
	if p.apps.kind != mapping {
		l.wrong(p.apps, "a map of the applications")
		return &p.Project
	}
	if n := len(p.apps.fields); n > mostApps {
		l.problems.add(p.apps, "", "there are %d applications, at most %d are possible", n, mostApps)
		return &p.Project
	}
	inherited := l.baseEnviron()
	var shared []variable
	if l.procfile {
		shared = l.forProcfile()
	}
	shared = append(shared, l.environmentOf(p.envFiles, p.environment)...)
	var apps []*app
	for _, f := range p.apps.fields {
		if strings.HasPrefix(f.key.text, ".") {
			l.template(p.apps.below(f.key.text, f.value), p.apps.node)
			continue
		}
		apps = append(apps, l.app(p.apps.below(f.key.text, f.value), f.key, &p, root.get("logs"), inherited, shared))
	}
	l.check(apps)
	for _, a := range apps {
		p.Apps = append(p.Apps, a.App)
	}
	if len(apps) == 0 {
		l.problems.add(p.apps, "", "there are no applications")
	}
	return &p.Project
}

// withoutExtensions leaves out the keys x-…, which are for people and other programs.
func withoutExtensions(root *node) *node {
	var names []string
	for _, f := range root.fields {
		if strings.HasPrefix(f.key.text, "x-") {
			names = append(names, f.key.text)
		}
	}
	return root.without(names...)
}

// folderName is a name for a project, from its folder.
func folderName(dir string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, filepath.Base(dir))
	name = strings.TrimLeft(strings.ReplaceAll(name, "..", "."), "-_.")
	return cmp.Or(name[:min(len(name), 48)], "project")
}

// template looks at the keys of what is only there to be extended.
func (l *loader) template(at place, apps *node) {
	at.node = l.extended(at, apps, nil)
	l.decoder.app = &app{}
	appShape().read(&l.decoder, at, l.decoder.app)
}

// app reads one application.
func (l *loader) app(at place, key *node, p *project, projectLogs *node, inherited, shared []variable) *app {
	a := &app{at: place{key, at.path}}
	a.Name = key.text
	if err := validName(a.Name); err != nil {
		l.problems.add(a.at, "", "%s", err)
	}
	at.node = l.extended(at, p.apps.node, nil)
	if projectLogs != nil && at.kind == mapping {
		at.node = withLogs(at.node, projectLogs)
	}
	if at.kind == scalar {
		l.problems.add(at, fmt.Sprintf("write %s: {command: …}", a.Name), "expected a map with the key command: got %q", clip(at.text))
		return a
	}
	a.all = at
	l.decoder.app = a
	appShape().read(&l.decoder, at, a)
	if at.kind != mapping {
		return a
	}
	a.App.Dir = filepath.Dir(key.file.path)
	if a.dir.node != nil {
		if text, _, ok := l.expanded(a.dir, "the path of a folder"); ok {
			a.App.Dir = l.path(a.dir, text)
		}
	}
	if a.command.node == nil {
		if !misspelt(at, "command") {
			l.problems.add(a.at, "", "expected the key command: what is executed")
		}
	} else {
		a.Command = l.command(a.command, a.shell)
	}
	for _, c := range a.commands {
		shell := a.shell
		if c.at.kind == list {
			shell = ""
		}
		*c.where = l.command(c.at, shell)
	}
	own := append(append([]variable{{"PWD", a.App.Dir}}, shared...), l.environmentOf(a.envFiles, a.environment)...)
	a.Env, a.Inherited = environ(inherited, own)
	return a
}

// misspelt says whether a map has an unknown key that was meant to be this one, which
// was told then.
func misspelt(at place, key string) bool {
	for _, f := range at.fields {
		if otherNames[f.key.text] == key || nearest(f.key.text, []string{key}) != "" {
			return true
		}
	}
	return false
}

// withLogs lays the logs of an application over those of the project.
func withLogs(n, logs *node) *node {
	m := *n
	m.fields = append([]field{}, n.fields...)
	for i, f := range m.fields {
		if f.key.text == "logs" {
			m.fields[i].value = merge(logs, f.value)
			return &m
		}
	}
	key := *logs
	key.kind, key.text = scalar, "logs"
	m.fields = append(m.fields, field{&key, logs})
	return &m
}

// environ is the whole environment of an application: what it inherits first.
func environ(inherited, own []variable) (env []string, count int) {
	last := map[string]int{}
	for i, v := range own {
		last[v.name] = i
	}
	for _, v := range inherited {
		if _, ok := last[v.name]; !ok {
			env = append(env, v.name+"="+v.value)
		}
	}
	count = len(env)
	for i, v := range own {
		if last[v.name] == i {
			env = append(env, v.name+"="+v.value)
		}
	}
	return env, count
}

// environmentOf reads the files and the variables of an environment.
func (l *loader) environmentOf(files, variables place) (vars []variable) {
	if files.node != nil {
		vars = l.readEnvAt(files)
	}
	if variables.node == nil {
		return vars
	}
	variables.node = pairs(variables.node)
	if variables.kind != mapping {
		l.wrong(variables, "a map of variables, or a list of NAME=value")
		return vars
	}
	for _, f := range variables.fields {
		at := variables.below(f.key.text, f.value)
		if !validVariable(f.key.text) {
			l.problems.add(place{f.key, at.path}, "", "%q can't be the name of a variable", f.key.text)
			continue
		}
		if f.value.kind == null {
			if value, ok := l.look(f.key.text); ok {
				vars = append(vars, variable{f.key.text, value})
			}
			continue
		}
		text, _, ok := l.expanded(at, "a text")
		if ok {
			vars = append(vars, variable{f.key.text, text})
		}
	}
	return vars
}

// pairs makes a map of an environment that is written as a list of NAME=value.
func pairs(n *node) *node {
	if n.kind != list {
		return n
	}
	m := *n
	m.kind, m.items, m.fields = mapping, nil, nil
	at := map[string]int{}
	for _, item := range n.items {
		if item.kind != scalar {
			return n
		}
		name, value, ok := strings.Cut(item.text, "=")
		key, v := *item, *item
		key.text, v.text = name, value
		if !ok {
			v.kind = null
		}
		if i, twice := at[name]; twice {
			m.fields[i] = field{&key, &v}
			continue
		}
		at[name] = len(m.fields)
		m.fields = append(m.fields, field{&key, &v})
	}
	return &m
}

// Ports of a Procfile's applications, as foreman and its kin give them.
const (
	firstPort = 5000
	portStep  = 100
)

// forProcfile are the variables of .env, which a Procfile's applications are given.
func (l *loader) forProcfile() (vars []variable) {
	for _, v := range l.dotenv {
		if value, ok := l.look(v.name); ok && v.name != "PORT" {
			vars = append(vars, variable{v.name, value})
		}
	}
	return vars
}

// basePort is the first of a Procfile's ports.
func (l *loader) basePort() int {
	if text, ok := l.look("PORT"); ok {
		if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 65536 {
			return n
		}
	}
	return firstPort
}
