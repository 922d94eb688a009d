package importer

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// supervisor is a supervisord.conf while it is read.
type supervisor struct {
	*reader
	here      expansions
	daemon    *section          // [supervisord]
	groups    map[string]string // of programs
	ranks     map[string]int    // priorities of groups
	programs  []*program
	starts    bool // some priority is written
	directory any
	umask     string
}

// supervisord reads a supervisord.conf, and the files that it includes.
func (r *reader) supervisord(inputs []input) error {
	in := inputs[0]
	sections, err := parseINI(in)
	if err != nil {
		return err
	}
	here, err := r.abs(in.dir())
	if err != nil {
		return err
	}
	s := &supervisor{reader: r, here: expansions{"here": here}, groups: map[string]string{}, ranks: map[string]int{}}
	if host, err := os.Hostname(); err == nil {
		s.here["host_node_name"] = host
	}
	if sections, err = s.include(in, sections); err != nil {
		return err
	}
	return s.read(sections)
}

// include adds the sections of the files that [include] names. Included files include
// no others.
func (s *supervisor) include(in input, sections []*section) ([]*section, error) {
	i := slices.IndexFunc(sections, func(s *section) bool { return s.name == "include" })
	if i < 0 {
		return sections, nil
	}
	o := sections[i].get("files")
	if o == nil {
		return nil, sections[i].at.wrong("[include] has no key files")
	}
	text, err := s.here.expand(o)
	if err == nil {
		text, err = s.resolved(text)
	}
	if err != nil {
		return nil, o.at.wrong("%v", err)
	}
	for _, pattern := range strings.Fields(text) {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(in.dir(), pattern)
		}
		paths, err := s.glob(pattern)
		if err != nil {
			return nil, o.at.wrong("%q is no pattern of files", pattern)
		}
		if len(paths) == 0 {
			s.draft.general = append(s.draft.general, o.remark("no file matches %s", pattern))
		}
		if len(paths) > mostFiles {
			return nil, o.at.wrong("%q are more than %d files", pattern, mostFiles)
		}
		for _, path := range paths {
			more, err := s.open(path, false)
			if err != nil {
				return nil, err
			}
			parsed, err := parseINI(more)
			if err != nil {
				return nil, err
			}
			sections = merged(sections, parsed)
		}
	}
	return sections, nil
}

// merged adds sections; the options of one that is there already are added to it.
func merged(sections, more []*section) []*section {
	for _, m := range more {
		i := slices.IndexFunc(sections, func(s *section) bool { return s.name == m.name })
		if i < 0 {
			sections = append(sections, m)
		} else {
			sections[i].options = append(sections[i].options, m.options...)
		}
	}
	return sections
}

// read makes applications of all sections.
func (s *supervisor) read(sections []*section) error {
	for _, sec := range sections {
		var err error
		kind, name, _ := strings.Cut(sec.name, ":")
		switch kind {
		case "supervisord":
			s.daemon = sec
		case "group":
			err = s.group(name, sec)
		}
		if err != nil {
			return err
		}
	}
	if err := s.global(); err != nil {
		return err
	}
	for _, sec := range sections {
		kind, name, _ := strings.Cut(sec.name, ":")
		switch kind {
		case "program", "fcgi-program":
			if err := s.program(strings.TrimSpace(name), sec, kind == "fcgi-program"); err != nil {
				return err
			}
		case "supervisord", "group", "include":
		default:
			s.other(kind, sec)
		}
	}
	return s.order()
}

// other tells of a section that no application comes from.
func (s *supervisor) other(kind string, sec *section) {
	text := "has no equal"
	switch kind {
	case "unix_http_server":
		text = "foster is controlled over a unix socket of its own, by its own user; the key group lets others in"
	case "inet_http_server":
		text = "foster isn't controlled over the network, but over a unix socket"
	case "supervisorctl":
		text = "foster's commands find the supervisor of a folder by themselves"
	case "rpcinterface":
		text = "foster has an HTTP interface of its own on its socket"
	case "eventlistener":
		text = "speaks the protocol of supervisord's events, which foster doesn't: it is left out; foster events -o json tells a program what happens"
	}
	s.draft.general = append(s.draft.general, sec.at.remark("["+sec.name+"]", "%s", text))
}

// group notes which programs are in a group.
func (s *supervisor) group(name string, sec *section) error {
	o := sec.get("programs")
	if o == nil {
		return sec.at.wrong("[%s] has no key programs", sec.name)
	}
	for _, p := range strings.Split(o.value, ",") {
		s.groups[strings.TrimSpace(p)] = name
	}
	s.ranks[name] = usualPriority
	if o := sec.get("priority"); o != nil {
		n, err := strconv.Atoi(o.value)
		if err != nil {
			return o.at.wrong("priority: %q is no number", o.value)
		}
		s.ranks[name], s.starts = n, true
	}
	s.draft.general = append(s.draft.general, sec.at.remark("["+sec.name+"]", "foster has no groups: its commands take several names, as %s", strings.Join(strings.FieldsFunc(o.value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }), " ")))
	return nil
}

// usualPriority is that of a program without one.
const usualPriority = 999

// ofItself are options of [supervisord] that are about supervisord, not what it runs.
var ofItself = []string{"logfile", "logfile_maxbytes", "logfile_backups", "loglevel", "pidfile", "nodaemon", "silent", "childlogdir", "nocleanup", "strip_ansi", "identifier", "minprocs"}

// global reads [supervisord].
func (s *supervisor) global() error {
	sec := s.daemon
	if sec == nil {
		return nil
	}
	if o := sec.get("environment"); o != nil {
		env, err := s.environment(o, s.here)
		if err != nil {
			return err
		}
		s.draft.project.set("environment", env)
	}
	if o := sec.get("directory"); o != nil {
		text, err := s.here.expand(o)
		if err != nil {
			return err
		}
		s.directory = unmarked(text)
	}
	if o := sec.get("umask"); o != nil {
		s.umask = o.value
	}
	var own []string
	for i := range sec.options {
		o := &sec.options[i]
		switch {
		case o.used:
		case slices.Contains(ofItself, o.key):
			own = append(own, o.key)
		case o.key == "user":
			s.general(o, "start foster up as this user")
		case o.key == "minfds":
			s.general(o, "foster doesn't raise its limits: each application has the key rlimits, as rlimits: {nofile: %s}", clip(o.value))
		default:
			s.general(o, "has no equal")
		}
	}
	if len(own) > 0 {
		s.draft.general = append(s.draft.general, sec.at.remark("[supervisord]", "%s: about supervisord itself; foster keeps its files in a state folder", strings.Join(own, ", ")))
	}
	return nil
}

func (s *supervisor) general(o *option, format string, args ...any) {
	s.draft.general = append(s.draft.general, o.remark(format, args...))
}

// environment reads KEY="value" pairs.
func (s *supervisor) environment(o *option, e expansions) (*object, error) {
	text, err := e.expand(o)
	if err != nil {
		return nil, err
	}
	keys, values, err := pairs(text)
	if err != nil {
		return nil, o.at.wrong("environment: %v", err)
	}
	env := &object{}
	for i, key := range keys {
		env.set(key, unmarked(values[i]))
	}
	return env, nil
}

// order lets programs wait for those with a smaller priority.
func (s *supervisor) order() error {
	if !s.starts {
		return nil
	}
	rank := func(p *program) [2]int {
		if group, ok := s.groups[p.name]; ok {
			return [2]int{s.ranks[group], p.priority}
		}
		return [2]int{p.priority, p.priority}
	}
	slices.SortStableFunc(s.programs, func(a, b *program) int {
		x, y := rank(a), rank(b)
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
	})
	s.draft.apps = nil
	var before, level []*program
	for i, p := range s.programs {
		if i > 0 && rank(p) != rank(s.programs[i-1]) && len(level) > 0 {
			before, level = level, nil
		}
		for n, a := range p.apps {
			s.draft.apps = append(s.draft.apps, a)
			if n == 0 {
				p.waitFor(a, before)
			}
		}
		if p.autostart {
			level = append(level, p)
		}
	}
	return nil
}

// waitFor adds the dependencies that a priority stands for.
func (p *program) waitFor(a *app, before []*program) {
	for _, b := range before {
		for _, other := range b.apps {
			a.depend(other.name, started)
		}
	}
	if f := a.field("depends_on"); f != nil {
		f.remarks = append(f.remarks, p.rankedBy.remark("priority", "these have a smaller one; supervisord starts it also where they have failed, foster doesn't"))
	}
}
