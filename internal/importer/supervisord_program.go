package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/foster-init/foster/internal/units"
)

// program is a [program:x], or a [fcgi-program:x].
type program struct {
	*supervisor
	*section
	name      string
	fcgi      bool
	numprocs  int
	first     int // number of the first process
	priority  int
	rankedBy  position
	autostart bool
	apps      []*app
}

// mostProcesses is how many processes of a program become applications of their own.
const mostProcesses = 200

// perProcess are options that may differ between the processes of a program.
var perProcess = []string{"command", "environment", "directory", "user", "umask", "socket", "stopsignal"}

func (s *supervisor) program(name string, sec *section, fcgi bool) error {
	p := &program{supervisor: s, section: sec, name: name, fcgi: fcgi, autostart: true, rankedBy: sec.at}
	var err error
	if p.numprocs, err = p.number("numprocs", 1, 1); err != nil {
		return err
	}
	if p.first, err = p.number("numprocs_start", 0, 0); err != nil {
		return err
	}
	if p.priority, err = p.number("priority", usualPriority, -1<<31); err != nil {
		return err
	}
	if o := p.get("priority"); o != nil {
		s.starts, p.rankedBy = true, o.at
	}
	if o := p.get("autostart"); o != nil {
		p.autostart = truth(o.value)
	}
	differ := slices.ContainsFunc(perProcess, func(key string) bool {
		o := p.get(key)
		return o != nil && strings.Contains(o.value, "%(process_num)")
	})
	if p.numprocs == 1 || !differ || p.numprocs > mostProcesses {
		err = p.one(p.name, p.first, p.numprocs)
	} else {
		err = p.many()
	}
	s.programs = append(s.programs, p)
	return err
}

// number reads a whole number.
func (p *program) number(key string, otherwise, least int) (int, error) {
	o := p.get(key)
	if o == nil {
		return otherwise, nil
	}
	text, err := p.expansions(p.first).expand(o)
	if err == nil {
		text, err = p.resolved(text)
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, o.at.wrong("%s: expected a whole number of at least %d: got %q", key, least, clip(text))
	}
	return n, nil
}

// truth is how supervisord reads yes and no.
func truth(text string) bool {
	switch strings.ToLower(text) {
	case "yes", "true", "on", "1":
		return true
	}
	return false
}

func (p *program) expansions(num int) expansions {
	e := expansions{"program_name": p.name, "group_name": p.name, "process_num": num, "numprocs": p.numprocs}
	if group, ok := p.groups[p.name]; ok {
		e["group_name"] = group
	}
	for name, value := range p.here {
		e[name] = value
	}
	return e
}

// many makes an application of each process: what differs between them by more than
// replicas can.
func (p *program) many() error {
	o := p.get("numprocs")
	for i := range p.numprocs {
		name := fmt.Sprintf("%s_%02d", p.name, p.first+i)
		if pattern := p.get("process_name"); pattern != nil {
			text, err := p.expansions(p.first + i).expand(pattern)
			if err != nil {
				return err
			}
			name = text
		}
		if err := p.one(name, p.first+i, 1); err != nil {
			return err
		}
	}
	first := p.apps[0]
	first.remark(o.remark("each process is an application of its own, since they differ by process_num; the others take from the first what is the same"))
	for _, a := range p.apps[1:] {
		a.extend(first)
	}
	return nil
}

// extend leaves out what another application has, too.
func (a *app) extend(first *app) {
	own := object{}
	own.set("extends", first.name)
	for _, f := range a.fields {
		if fmt.Sprintf("%#v", plain(f.value)) != fmt.Sprintf("%#v", plain(first.get(f.key))) {
			own.set(f.key, f.value)
		}
	}
	a.object, a.remarked = own, nil
}

// plain is a value without its remarks, to compare it.
func plain(value any) any {
	o, ok := value.(*object)
	if !ok {
		return value
	}
	var flat []any
	for _, f := range o.fields {
		flat = append(flat, f.key, plain(f.value))
	}
	return flat
}

// usualName is the pattern that most have.
var usualName = pattern(`^%\(program_name\)s([_-]?%\(process_num\)0?\d*d)?$`)

// one makes an application.
func (p *program) one(name string, num, replicas int) error {
	a := p.draft.add(name, p.section.at.remark("["+p.section.name+"]", ""))
	p.apps = append(p.apps, a)
	e := p.expansions(num)
	for _, step := range []func(*app, expansions) error{p.command, p.place, p.lifetime, p.stop, p.output} {
		if err := step(a, e); err != nil {
			return err
		}
	}
	if o := p.get("process_name"); o != nil && len(p.apps) == 1 && !usualName().MatchString(o.value) {
		a.remark(o.remark("foster calls it %s, by the name of the program", a.name))
	}
	if replicas > 1 {
		o := p.get("numprocs")
		a.set("replicas", replicas)
		if replicas > mostProcesses {
			a.field("replicas").remarks = append(a.field("replicas").remarks, o.remark("%%(process_num) is that of the first process in all of them: their number is ${FOSTER_REPLICA}, from 1"))
		}
	}
	for i := range p.options {
		if o := &p.options[i]; !o.used {
			a.remark(o.remark("has no equal"))
		}
	}
	return nil
}

// command reads what is executed.
func (p *program) command(a *app, e expansions) error {
	o := p.get("command")
	if o == nil || o.value == "" {
		return p.section.at.wrong("[%s] has no key command", p.section.name)
	}
	text, err := e.expand(o)
	if err != nil {
		return err
	}
	words, err := shlex(text)
	if err != nil {
		return o.at.wrong("command: %v", err)
	}
	if len(words) == 0 || words[0] == "" {
		return o.at.wrong("command: it is empty")
	}
	var argv list
	for _, w := range words {
		argv = append(argv, unmarked(w))
	}
	if p.fcgi {
		argv = append(list{"/bin/sh", "-c", `exec "$@" <&3`, "sh"}, argv...)
	}
	a.set("command", argv)
	if !p.fcgi {
		a.set("stdin", "open") // a pipe that supervisord holds
	}
	f := a.field("command")
	if strings.Contains(text, mark) {
		f.remarks = append(f.remarks, o.remark("what a variable holds is one argument here; supervisord splits it at blanks"))
	}
	if p.fcgi {
		return p.socket(a, e)
	}
	return nil
}

var fcgiSocket = pattern(`^(?:unix://(/.*)|tcp://([^/]*:\d+))$`)

// socket reads the socket of a FastCGI program, which it has as descriptor 0.
func (p *program) socket(a *app, e expansions) error {
	o := p.get("socket")
	if o == nil {
		return p.section.at.wrong("[%s] has no key socket", p.section.name)
	}
	text, err := e.expand(o)
	if err == nil {
		text, err = p.resolved(text)
	}
	if err != nil {
		return err
	}
	m := fcgiSocket().FindStringSubmatch(text)
	if m == nil {
		return o.at.wrong("socket: expected unix:///path or tcp://host:port: got %q", clip(text))
	}
	address := m[2]
	if m[1] != "" {
		address = "unix:" + m[1]
	}
	s := &object{}
	s.set("name", "fcgi")
	if !p.listens(a, o, s, address) {
		return nil
	}
	if mode := p.get("socket_mode"); m[1] != "" {
		text := "0700"
		if mode != nil {
			text = mode.value
		}
		if validOctal(text) {
			s.set("mode", text)
		}
	}
	a.set("sockets", list{s}, o.remark("foster hands it over as descriptor 3 (LISTEN_FDS): a shell makes it standard input, and becomes the command"))
	if owner := p.get("socket_owner"); owner != nil {
		a.remark(owner.remark("has no equal: the socket belongs to who runs foster up"))
	}
	return nil
}

// place reads where it runs, and as whom.
func (p *program) place(a *app, e expansions) error {
	o := p.get("directory")
	if o != nil {
		text, err := e.expand(o)
		if err != nil {
			return err
		}
		a.set("working_dir", unmarked(text))
	} else if p.directory != nil {
		a.set("working_dir", p.directory)
	}
	if o := p.get("environment"); o != nil {
		env, err := p.environment(o, e)
		if err != nil {
			return err
		}
		a.set("environment", env)
	}
	if o := p.get("user"); o != nil {
		text, err := e.expand(o)
		if err != nil {
			return err
		}
		a.set("user", unmarked(text))
	}
	umask := p.umask
	if o := p.get("umask"); o != nil {
		umask = o.value
		if !validOctal(umask) {
			return o.at.wrong("umask: %q is no octal number", clip(umask))
		}
	}
	if validOctal(umask) {
		a.set("umask", umask)
	}
	return nil
}

func validOctal(s string) bool {
	n, err := strconv.ParseUint(s, 8, 32)
	return err == nil && n <= 0o7777
}

// stop reads how it is stopped.
func (p *program) stop(a *app, e expansions) error {
	stop := a.below("stop")
	if o := p.get("stopsignal"); o != nil {
		text, err := e.expand(o)
		if err != nil {
			return err
		}
		sig, err := units.Signal(text)
		if err != nil {
			return o.at.wrong("stopsignal: %v", err)
		}
		stop.set("signal", signalName(sig))
	}
	scope := "leader-first"
	if o := p.get("stopasgroup"); o != nil && truth(o.value) {
		scope = "group"
	}
	stop.set("scope", scope)
	if o := p.get("killasgroup"); o != nil && !truth(o.value) {
		a.remark(o.remark("foster ends the whole tree after the timeout, always"))
	}
	if _, err := p.number("stopwaitsecs", 10, 0); err != nil {
		return err
	}
	if o := p.get("stopwaitsecs"); o != nil {
		n, _ := p.number("stopwaitsecs", 10, 0)
		p.seconds(a, stop, "timeout", o, n)
	}
	return nil
}

// longestSeconds bounds times, as foster does.
const longestSeconds = 100 * 365 * 24 * 3600

// seconds sets a time.
func (p *program) seconds(a *app, where *object, key string, o *option, n int) {
	if n > longestSeconds {
		a.remark(o.remark("longer than foster's longest time: left out"))
		return
	}
	where.set(key, fmt.Sprintf("%ds", n))
}
