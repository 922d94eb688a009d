package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// draft is a foster.yaml in the making.
type draft struct {
	origin  []string
	general []Remark // at the top
	project object
	apps    []*app
}

// app is one application.
type app struct {
	object
	name     string
	remarked []Remark // about it as a whole, or things that have no key
}

// object is a map in the order of its keys. A value is a string, which is meant as it
// is, an expression, an int, float64 or bool, a list, or another *object.
type object struct{ fields []field }

type field struct {
	key     string
	value   any
	remarks []Remark
}

// expression is a text with variables, as foster.yaml has them.
type expression string

// list is a list of texts and expressions; it is written in one line.
type list []any

func (o *object) field(key string) *field {
	for i := range o.fields {
		if o.fields[i].key == key {
			return &o.fields[i]
		}
	}
	return nil
}

func (o *object) get(key string) any {
	if f := o.field(key); f != nil {
		return f.value
	}
	return nil
}

// set gives a key its value, and remarks that are written above it.
func (o *object) set(key string, value any, remarks ...Remark) {
	if f := o.field(key); f != nil {
		f.value = value
		f.remarks = append(f.remarks, remarks...)
		return
	}
	o.fields = append(o.fields, field{key, value, remarks})
}

func (o *object) unset(key string) {
	o.fields = slices.DeleteFunc(o.fields, func(f field) bool { return f.key == key })
}

// below is the map at a key. One that is still empty in the end is left out.
func (o *object) below(key string) *object {
	if sub, ok := o.get(key).(*object); ok {
		return sub
	}
	sub := &object{}
	o.set(key, sub)
	return sub
}

func (a *app) remark(r Remark) { a.remarked = append(a.remarked, r) }

// add makes an application. Its name is made one that foster takes.
func (d *draft) add(name string, at Remark) *app {
	valid := validName(name)
	for n := 2; d.find(valid) != nil; n++ {
		valid = fmt.Sprintf("%s-%d", validName(name)[:min(len(validName(name)), longestName-6)], n)
	}
	a := &app{name: valid}
	if valid != name {
		at.Text = fmt.Sprintf("the name is %s here: names are of letters, digits, '_', '.' and '-', at most %d, and each is there once", valid, longestName)
		a.remark(at)
	}
	d.apps = append(d.apps, a)
	return a
}

func (d *draft) find(name string) *app {
	for _, a := range d.apps {
		if a.name == name {
			return a
		}
	}
	return nil
}

// longestName is how long the name of an application may be: it becomes part of that of
// a tree.
const longestName = 48

var replicaName = pattern(`\.(\d+)$`)

// validName makes a name that foster takes.
func validName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isLetter(byte(r)) || r == '_' || r == '.' || r == '-') {
			return r
		}
		return '-'
	}, name)
	for strings.Contains(name, "..") {
		name = strings.ReplaceAll(name, "..", ".")
	}
	name = strings.TrimLeft(name, "_.-")
	name = strings.TrimRight(name[:min(len(name), longestName)], "-.")
	name = replicaName().ReplaceAllString(name, "-$1") // web.2 is what the second replica of web is called
	if name == "" {
		return "app"
	}
	return name
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// complete leaves out what is empty and breaks cycles of dependencies, so that what is
// written can be loaded.
func (d *draft) complete() {
	d.project.clean()
	for _, a := range d.apps {
		a.clean()
		a.sort()
	}
	for _, a := range d.apps {
		a.fitRemains()
	}
	d.cutCycles()
	d.fitConditions()
}

// fitRemains takes back that an application counts as active when it has completed, where it
// never does.
func (a *app) fitRemains() {
	if f := a.field("remain_after_exit"); f != nil && (a.endless() || a.get("schedule") != nil) {
		at := f.remarks[0]
		at.Text = "it never completes here: it is started again after each end, and its stop command runs only while it does"
		a.unset("remain_after_exit")
		a.remark(at)
	}
	if f := a.field("remain_after_exit"); f != nil {
		f.remarks = nil // it is kept, so there is nothing to say
	}
}

// keyOrder is the order in which keys are written; others follow.
var keyOrder = []string{
	"extends", "description", "command", "shell", "working_dir", "environment", "env_file", "port", "user", "group", "supplementary_groups", "umask",
	"rlimits", "limits", "containment", "until", "on_leader_loss", "lease", "watchdog", "notify", "forking", "start_timeout", "remain_after_exit", "ends_project", "stdin", "terminal", "autostart",
	"replicas", "depends_on", "schedule", "restart", "stop",
}

// sort brings keys and remarks into order.
func (a *app) sort() {
	place := func(f field) int {
		if i := slices.Index(keyOrder, f.key); i >= 0 {
			return i
		}
		return len(keyOrder)
	}
	slices.SortStableFunc(a.fields, func(x, y field) int { return cmp.Compare(place(x), place(y)) })
	first := map[string]int{}
	for _, r := range a.remarked {
		if _, ok := first[r.File]; !ok {
			first[r.File] = len(first)
		}
	}
	slices.SortStableFunc(a.remarked, func(x, y Remark) int {
		return cmp.Or(cmp.Compare(first[x.File], first[y.File]), cmp.Compare(x.Line, y.Line))
	})
	a.remarked = slices.Compact(a.remarked)
}

// clean leaves out empty maps, and bytes that can't be part of a text.
func (o *object) clean() {
	for i := range o.fields {
		f := &o.fields[i]
		f.value = f.cleaned(f.value)
	}
	o.fields = slices.DeleteFunc(o.fields, func(f field) bool {
		sub, ok := f.value.(*object)
		return ok && len(sub.fields) == 0 && len(f.remarks) == 0
	})
}

func (f *field) cleaned(value any) any {
	switch v := value.(type) {
	case *object:
		v.clean()
	case list:
		for i := range v {
			v[i] = f.cleaned(v[i])
		}
	case string:
		return f.text(v)
	case expression:
		return expression(f.text(string(v)))
	}
	return value
}

func (f *field) text(s string) string {
	valid := strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	return valid
}
