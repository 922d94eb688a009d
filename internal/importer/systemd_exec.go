package importer

import (
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// execution is one command of a service.
type execution struct {
	set      *setting
	words    []string // with marks
	lenient  bool     // "-": that it fails doesn't count
	verbatim bool     // ":": variables stay as they are
	remarks  []Remark
}

// executions reads the commands of a key.
func (s *service) executions(key string) (list []*execution, err error) {
	for _, set := range s.unit.all("Service", key) {
		words, err := unquote(set.value)
		if err != nil {
			return nil, set.at.wrong("%s: %v", key, err)
		}
		var one []string
		for _, w := range append(words, ";") {
			if w != ";" {
				one = append(one, strings.ReplaceAll(w, "\x01;", ";"))
				continue
			}
			if len(one) > 0 {
				x, err := s.execution(set, one)
				if err != nil {
					return nil, err
				}
				list = append(list, x)
			}
			one = nil
		}
	}
	return list, nil
}

// execution reads the prefixes of a command, and its specifiers.
func (s *service) execution(set *setting, words []string) (*execution, error) {
	x := &execution{set: set}
	name := words[0]
	for renamed := false; name != ""; name = name[1:] {
		switch name[0] {
		case '-':
			x.lenient = true
		case '@':
			renamed = true
		case ':':
			x.verbatim = true
		case '+', '!':
			x.tell("foster runs it as the user of the application: it has no privileges of its own")
		case '|':
			x.tell("it isn't run in a login shell")
		default:
			words = append([]string{name}, words[1:]...)
			if renamed && len(words) > 1 {
				x.tell("the program is told its own name, not %q", words[1])
				words = append(words[:1], words[2:]...)
			}
			for _, w := range words {
				x.words = append(x.words, s.specifiers(s.unit, set, w, &x.remarks))
			}
			return x, nil
		}
	}
	return nil, set.at.wrong("%s: the command is empty", set.key)
}

func (x *execution) tell(format string, args ...any) {
	r := x.set.remark(format, args...)
	for _, known := range x.remarks {
		if known == r {
			return
		}
	}
	x.remarks = append(x.remarks, r)
}

var systemdVariable = pattern(`\$\$|\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

var wholeVariable = pattern(`^\$([A-Za-z_][A-Za-z0-9_]*)$`)

// argv gives the words to execute, with variables that the unit itself sets replaced. ok is
// false where a variable comes from a file, so that only a shell can have it.
func (s *service) argv(x *execution) (argv []string, ok bool) {
	for i, w := range x.words {
		if x.verbatim || i == 0 {
			argv = append(argv, w)
			continue
		}
		if m := wholeVariable().FindStringSubmatch(w); m != nil {
			value, known := s.value(x, m[1])
			if !known {
				return nil, false
			}
			words, err := unquote(value)
			if err != nil {
				words = strings.Fields(value)
			}
			argv = append(argv, words...)
			continue
		}
		all := true
		w = systemdVariable().ReplaceAllStringFunc(w, func(found string) string {
			if found == "$$" {
				return "$"
			}
			value, known := s.value(x, found[2:len(found)-1])
			all = all && known
			return value
		})
		if !all {
			return nil, false
		}
		argv = append(argv, w)
	}
	return argv, true
}

// value is that of a variable; known is false where it may come from a file.
func (s *service) value(x *execution, name string) (value string, known bool) {
	if value, ok := s.vars[name]; ok {
		return value, true
	}
	switch {
	case s.fromFiles, given(x.set.key, name):
		return "", false
	case name == "MAINPID":
		x.tell("foster has no $MAINPID: foster signal --scope leader %s SIGNAL reaches the first process", s.app.name)
	case (name == "HOME" || name == "USER" || name == "LOGNAME" || name == "SHELL") && s.unit.ofUser():
		return mark + name + mark, true
	default:
		x.tell("$%s isn't set in the unit: it is empty", name)
	}
	return "", true
}

// given says whether foster gives a command a variable as systemd does.
func given(key, name string) bool {
	switch key {
	case "ExecStop":
		return name == "MAINPID"
	case "ExecStopPost":
		return name == "SERVICE_RESULT" || name == "EXIT_CODE" || name == "EXIT_STATUS"
	}
	return false
}

// script writes a command for a shell.
func (s *service) script(x *execution) string {
	if argv, ok := s.argv(x); ok {
		var words []string
		for _, w := range argv {
			words = append(words, quoted(w))
		}
		return strings.Join(words, " ")
	}
	var words []string
	for i, w := range x.words {
		if m := wholeVariable().FindStringSubmatch(w); m != nil && i > 0 {
			words = append(words, w) // split at blanks, as systemd does
			continue
		}
		var b strings.Builder
		last := 0
		for _, span := range systemdVariable().FindAllStringIndex(w, -1) {
			b.WriteString(quotedPart(w[last:span[0]]))
			if found := w[span[0]:span[1]]; found == "$$" {
				b.WriteString(`'$'`)
			} else if name := found[2 : len(found)-1]; s.isSet(name) {
				value, _ := s.value(x, name)
				b.WriteString(quotedPart(value))
			} else {
				b.WriteString(`"` + found + `"`)
			}
			last = span[1]
		}
		b.WriteString(quotedPart(w[last:]))
		if w == "" {
			b.WriteString("''")
		}
		words = append(words, b.String())
	}
	return strings.Join(words, " ")
}

func (s *service) isSet(name string) bool {
	_, ok := s.vars[name]
	return ok
}

// quotedPart quotes a part of a word for a shell.
func quotedPart(text string) string {
	if text == "" {
		return ""
	}
	return quoted(text)
}

func quoted(text string) string {
	if strings.Contains(text, mark) {
		return `'` + strings.ReplaceAll(text, `'`, `'\''`) + `'`
	}
	q, err := syntax.Quote(text, syntax.LangPOSIX)
	if err != nil { // it has characters that can't be printed
		return `'` + strings.ReplaceAll(text, `'`, `'\''`) + `'`
	}
	return q
}

// one makes the command for a key of foster.yaml, of one or more of a unit. What only a
// shell can do is done by one.
func (s *service) one(commands []*execution) (argv list, remarks []Remark) {
	if len(commands) == 0 {
		return nil, nil
	}
	first := commands[0]
	if len(commands) == 1 && !(first.lenient && first.set.key != "ExecStart") {
		if words, ok := s.argv(first); ok {
			for _, w := range words {
				argv = append(argv, unmarked(w))
			}
			return argv, first.remarks
		}
		if s.fromFiles {
			first.tell("its variables come from a file: a shell puts them in, and becomes the command")
		} else {
			first.tell("a shell puts its variables in, and becomes the command")
		}
		return shellList("set -f; exec " + s.script(first)), first.remarks
	}
	var parts []string
	for _, x := range commands {
		part := s.script(x)
		if x.lenient {
			part = "{ " + part + " || :; }"
		}
		parts = append(parts, part)
		remarks = append(remarks, x.remarks...)
	}
	if len(commands) > 1 {
		remarks = append(remarks, first.set.remark("foster takes one command: a shell runs the %d one after another", len(commands)))
	} else {
		remarks = append(remarks, first.set.remark("a shell has it that a failure doesn't count"))
	}
	return shellList("set -f; " + strings.Join(parts, " && ")), remarks
}

func shellList(script string) list {
	return list{"/bin/sh", "-c", unmarked(script)}
}

// kill finds a command that is nothing but a signal to the first process.
func (x *execution) kill() (signal string, ok bool) {
	if n := len(x.words); n < 2 || n > 4 || filepath.Base(x.words[0]) != "kill" || x.words[n-1] != "$MAINPID" && x.words[n-1] != "${MAINPID}" {
		return "", false
	}
	flags := x.words[1 : len(x.words)-1]
	switch {
	case len(flags) == 0:
		return "TERM", true
	case len(flags) == 2 && flags[0] == "-s":
		return flags[1], true
	case len(flags) == 1 && strings.HasPrefix(flags[0], "-"):
		return strings.TrimPrefix(flags[0], "-"), true
	}
	return "", false
}
