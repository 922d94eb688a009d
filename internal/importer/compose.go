package importer

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// project is a process-compose.yaml while it is read.
type project struct {
	*reader
	dir     string
	raw     bool     // variables aren't replaced
	shell   []string // that runs commands, and the flag before them
	vars    map[string]string
	apps    map[string]*app // by their names there
	process *app            // that is being read
}

// compose reads process-compose.yaml; further files are laid over the first.
func (r *reader) compose(inputs []input) error {
	var root *node
	for _, in := range inputs {
		n, err := parseTree(in)
		if err != nil {
			return err
		}
		if n.kind != yaml.MappingNode {
			return n.at.wrong("expected a map with the key processes")
		}
		if root == nil {
			root = n
		} else {
			root = root.overlay(n)
		}
	}
	c := &project{reader: r, dir: inputs[0].dir(), shell: []string{"bash", "-c"}, vars: map[string]string{}, apps: map[string]*app{}}
	if err := c.settings(root); err != nil {
		return err
	}
	processes := root.get("processes")
	if processes == nil || processes.kind != yaml.MappingNode {
		return root.at.wrong("expected the key processes: a map")
	}
	for _, f := range processes.fields {
		c.apps[f.key] = r.draft.add(f.key, f.value.at.remark(f.key, ""))
	}
	for _, f := range processes.fields {
		c.process = c.apps[f.key]
		if f.value.kind != yaml.MappingNode {
			return f.value.wrong("expected a map with the key command")
		}
		if err := c.read(f.value); err != nil {
			return err
		}
	}
	if env := filepath.Join(c.dir, ".env"); r.exists(env) {
		r.draft.project.set("env_file", r.folder(env))
	}
	return nil
}

// reading is how one key is read.
type reading map[string]func(*node) error

// each reads the keys of a map; those that aren't known are told.
func (c *project) each(n *node, keys reading, tell func(Remark)) error {
	for _, f := range n.fields {
		read, ok := keys[f.key]
		switch {
		case f.value.null:
		case ok && read == nil:
		case ok:
			if err := read(f.value); err != nil && !errors.Is(err, errUnset) {
				return err
			}
		case !strings.HasPrefix(f.key, "x-"):
			tell(f.value.remark("has no equal"))
		}
	}
	return nil
}

// say is a key of which there is only something to tell.
func say(tell func(Remark), text string) func(*node) error {
	return func(n *node) error {
		tell(n.remark("%s", text))
		return nil
	}
}

// settings reads what is about all processes.
func (c *project) settings(root *node) error {
	general := func(r Remark) { c.draft.general = append(c.draft.general, r) }
	if n := root.get("disable_env_expansion"); n != nil {
		c.raw = truth(n.text)
	}
	if vars := root.get("vars"); vars != nil {
		for _, f := range vars.fields {
			c.vars[f.key] = f.value.text
		}
	}
	return c.each(root, reading{
		"version": nil, "processes": nil, "vars": nil, "is_strict": nil, "disable_env_expansion": nil,
		"log_length": nil, "is_tui_disabled": nil, "ordered_shutdown": nil,
		"name": func(n *node) error {
			c.draft.project.set("name", validName(n.text))
			return nil
		},
		"environment": func(n *node) error {
			env, err := c.environment(n)
			c.draft.project.set("environment", env)
			return err
		},
		"shell": func(n *node) error {
			c.shell = []string{cmp.Or(scalarOf(n.get("shell_command")), "bash"), cmp.Or(scalarOf(n.get("shell_argument")), "-c")}
			return nil
		},
		"log_level":    say(general, "it is process-compose's own: foster says the same always, or nothing but errors with foster up --quiet"),
		"log_location": say(general, "foster keeps the output in its state folder: foster logs"),
		"log_configuration": func(n *node) error {
			c.rotation(n, c.draft.project.below("logs"), general)
			return nil
		},
		"env_cmds": say(general, "foster runs no commands for its environment: set the variables before foster up, or in .env"),
		"extends":  say(general, "give both files to foster import"),
	}, general)
}

func scalarOf(n *node) string {
	if n == nil {
		return ""
	}
	return n.text
}

// variablePart finds what process-compose replaces before it reads YAML.
var variablePart = pattern(`\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*(?::?-[^{}$]*)?)\}|([A-Za-z_][A-Za-z0-9_]*)|([0-9*#@!?-]))`)

var templatePart = pattern(`\{\{-?\s*\.([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}`)

// text gives a text with marks for its variables. Those that aren't set are empty.
func (c *project) text(n *node) string {
	text := n.text
	if !c.raw {
		text = variablePart().ReplaceAllStringFunc(text, func(found string) string {
			m := variablePart().FindStringSubmatch(found)
			name := cmp.Or(m[1], m[2])
			switch {
			case found == "$$":
				return "$"
			case name == "":
				c.tell(n.remark("process-compose replaces %s by nothing, also within quotes: so does this", found))
				return ""
			case !strings.Contains(name, "-"):
				name += ":-"
			}
			return mark + name + mark
		})
	}
	if strings.Contains(text, "{{") {
		text = templatePart().ReplaceAllStringFunc(text, func(found string) string {
			name := templatePart().FindStringSubmatch(found)[1]
			if value, ok := c.vars[name]; ok {
				return value
			}
			if name == "PC_REPLICA_NUM" {
				c.tell(n.remark("replicas are counted from 1 here, and from 0 by process-compose"))
				return mark + "FOSTER_REPLICA" + mark
			}
			return found
		})
		if strings.Contains(text, "{{") {
			c.tell(n.remark("foster has no templates: it stands here as it is"))
		}
	}
	return text
}

func (c *project) tell(r Remark) {
	if c.process == nil {
		c.draft.general = append(c.draft.general, r)
		return
	}
	c.process.remark(r)
}

// environment reads a list of NAME=value, or a map.
func (c *project) environment(n *node) (*object, error) {
	env := &object{}
	add := func(name string, value any) error {
		if name == "" || strings.ContainsAny(name, "= \t\n\x00") {
			return n.wrong("%q can't be the name of a variable", clip(name))
		}
		env.set(name, value)
		return nil
	}
	for _, item := range n.items {
		name, value, ok := strings.Cut(c.text(item), "=")
		if !ok {
			return nil, item.wrong("expected NAME=value: got %q", clip(item.text))
		}
		if err := add(name, unmarked(value)); err != nil {
			return nil, err
		}
	}
	for _, f := range n.fields {
		if err := add(f.key, unmarked(c.text(f.value))); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// errUnset is that a number has a variable in it that has no value: it is left out.
var errUnset = errors.New("a variable isn't set")

// number reads a whole number; a variable in it has the value that it has now.
func (c *project) number(n *node, least, most int) (int, error) {
	written := c.text(n)
	text, err := c.resolved(written)
	value, nerr := strconv.Atoi(strings.TrimSpace(text))
	wrong := err != nil || nerr != nil || value < least || value > most
	switch variable := strings.Contains(written, mark); {
	case wrong && variable:
		c.tell(n.remark("it is left out: its variable has no value now that is a whole number from %d to %d", least, most))
		return 0, errUnset
	case wrong:
		return 0, n.wrong("expected a whole number from %d to %d: got %q", least, most, clip(text))
	case variable:
		c.tell(n.remark("it is %d here, the value that its variable has now", value))
	}
	return value, nil
}

// shellCommand is a command for a shell, as the application's own is.
func (c *project) shellCommand(n *node) any {
	if n.kind == yaml.SequenceNode {
		return c.list(n)
	}
	return list{c.shell[0], c.shell[1], unmarked(c.text(n))}
}

func (c *project) list(n *node) (l list) {
	for _, item := range n.items {
		l = append(l, unmarked(c.text(item)))
	}
	return l
}

// folderOf is a folder that is relative to the file.
func (c *project) folderOf(n *node) any {
	text := c.text(n)
	if filepath.IsAbs(text) || strings.Contains(text, mark) {
		return unmarked(text)
	}
	return c.folder(filepath.Join(c.dir, text))
}

// rotation reads the rotation of logs.
func (c *project) rotation(n *node, logs *object, tell func(Remark)) {
	rotation := n.get("rotation")
	whole := func(key, name, unit string) {
		v := rotation.get(key)
		if v == nil {
			return
		}
		value, err := strconv.Atoi(v.text)
		if err != nil || value < 1 || value > 1_000_000 {
			tell(v.remark("expected a whole number"))
			return
		}
		if unit == "" {
			logs.set(name, value)
			return
		}
		days, max := value, 36500
		if unit == "d" && days > max {
			return
		}
		logs.set(name, strconv.Itoa(value)+unit)
	}
	whole("max_size_mb", "max_size", "M")
	whole("max_age_days", "max_age", "d")
	whole("max_backups", "max_files", "")
	if v := rotation.get("compress"); v != nil && truth(v.text) {
		logs.set("compress", true)
	}
	for _, f := range n.fields {
		if !slices.Contains([]string{"rotation", "flush_each_line", "no_color", "add_timestamp", "timestamp_format", "no_metadata"}, f.key) {
			tell(f.value.remark("has no equal"))
		}
	}
}
