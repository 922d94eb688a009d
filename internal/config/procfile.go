package config

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// procfileLine is compiled when it is first asked for: see importer.pattern.
var procfileLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z0-9_.-]+):\s*(.+)$`) })

// readProcfile reads "name: command" lines. A shell runs the commands, and each
// application has a port: the first has 5000 (or $PORT), the others each 100 more.
func (l *loader) readProcfile(f *file) *node {
	apps := &node{kind: mapping, file: f, line: 1, column: 1}
	port := l.basePort()
	for i, line := range f.lines {
		n := i + 1
		line = strings.TrimRight(line, " \t\r")
		if trimmed := strings.TrimLeft(line, " \t"); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		m := procfileLine().FindStringSubmatch(line)
		if m == nil {
			l.problems.add(place{&node{file: f, line: n, column: 1}, ""}, "", "expected NAME: COMMAND")
			continue
		}
		if twin := apps.field(m[1]); twin != nil {
			l.problems.add(place{&node{file: f, line: n, column: 1}, "apps." + m[1]}, "", "the application is there twice: first in line %d", twin.key.line)
			continue
		}
		if port > 65535 {
			l.problems.add(place{&node{file: f, line: n, column: 1}, "apps." + m[1]}, "", "there is no port left for it: PORT would be %d", port)
			return nil
		}
		at := func(text string) *node {
			return &node{kind: scalar, file: f, line: n, column: 1, text: text}
		}
		command := at(strings.ReplaceAll(m[2], "$", "$$"))
		command.column = len(line) - len(m[2]) + 1
		app := &node{kind: mapping, file: f, line: n, column: 1, fields: []field{
			{at("command"), command}, {at("shell"), at("true")}, {at("port"), at(strconv.Itoa(port))}, {at("stdin"), at(string(StdinOpen))},
		}}
		apps.fields = append(apps.fields, field{at(m[1]), app})
		port += portStep
	}
	if len(apps.fields) == 0 {
		l.problems.add(place{&node{file: f}, ""}, "", "the Procfile is empty: expected NAME: COMMAND lines")
	}
	key := &node{kind: scalar, file: f, line: 1, column: 1, text: "apps"}
	return &node{kind: mapping, file: f, line: 1, column: 1, fields: []field{{key, apps}}}
}
