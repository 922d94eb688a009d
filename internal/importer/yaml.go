package importer

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/foster-init/foster/internal/escape"
)

// yaml writes the draft.
func (d *draft) yaml() ([]byte, error) {
	root := d.project.node()
	apps := &yaml.Node{Kind: yaml.MappingNode}
	for _, a := range d.apps {
		key := word(a.name)
		key.HeadComment = comments(a.remarked)
		apps.Content = append(apps.Content, key, a.object.node())
	}
	root.Content = append(root.Content, word("apps"), apps)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Made by foster import from %s.\n", printable(strings.Join(d.origin, ", ")))
	if len(d.general) > 0 {
		b.WriteString("#\n" + comments(d.general) + "\n")
	}
	b.WriteString("\n")
	dumper, err := yaml.NewDumper(&b, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, err
	}
	if err := dumper.Dump(root); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	if err := dumper.Close(); err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n'), nil
}

func (o *object) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range o.fields {
		if f.key == "depends_on" {
			f.value = named(f.value)
		}
		key := word(f.key)
		key.HeadComment = comments(f.remarks)
		value := valueNode(f.value)
		if sub, ok := f.value.(*object); ok && f.key != "environment" && sub.short() {
			value.Style = yaml.FlowStyle
		}
		n.Content = append(n.Content, key, value)
	}
	return n
}

// named makes a list of dependencies that only have to be started.
func named(value any) any {
	deps, ok := value.(*object)
	if !ok {
		return value
	}
	var names names
	for _, f := range deps.fields {
		one, ok := f.value.(*object)
		if !ok || len(f.remarks) > 0 || len(one.fields) != 1 || one.get("condition") != started {
			return value
		}
		names = append(names, f.key)
	}
	return names
}

// names are words in a list, which need no quotes.
type names []string

func valueNode(value any) *yaml.Node {
	switch v := value.(type) {
	case *object:
		return v.node()
	case list:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range v {
			n.Content = append(n.Content, listItem(item))
		}
		return n
	case names:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, name := range v {
			n.Content = append(n.Content, word(name))
		}
		return n
	case string:
		return text(literal(v))
	case expression:
		return text(string(v))
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	case int:
		return scalar("!!int", strconv.Itoa(v))
	case float64:
		return scalar("!!float", strconv.FormatFloat(v, 'f', -1, 64))
	}
	return scalar("!!null", "null")
}

// listItem is one of a list, or a map in it.
func listItem(item any) *yaml.Node {
	n := valueNode(item)
	if n.Kind == yaml.MappingNode {
		n.Style = yaml.FlowStyle
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// short says whether a map is written in one line: backoff: {initial: 1s, factor: 1}.
func (o *object) short() bool {
	if len(o.fields) > 4 {
		return false
	}
	for _, f := range o.fields {
		if len(f.remarks) > 0 {
			return false
		}
		switch v := f.value.(type) {
		case string:
			if len(v) > 20 || strings.ContainsAny(v, "\n{}[],") {
				return false
			}
		case int, float64, bool:
		default:
			return false
		}
	}
	return true
}

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func word(s string) *yaml.Node { return text(s) }

// text is a text in the style in which it stays what it is.
func text(s string) *yaml.Node {
	n := scalar("!!str", s)
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) >= 0 {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// literal writes a text so that foster reads no variable in it.
func literal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(s[i])
		if s[i] == '$' && i+1 < len(s) && (s[i+1] == '$' || s[i+1] == '{') {
			b.WriteByte('$')
		}
	}
	return b.String()
}

// widest is how many characters a line of comment has, about.
const widest = 88

// comments writes remarks as lines of a comment.
func comments(remarks []Remark) string {
	var lines []string
	for _, r := range remarks {
		indent := ""
		line := ""
		for _, w := range strings.Fields(printable(r.String())) {
			if line != "" && len(line)+len(w) > widest {
				lines = append(lines, "# "+indent+line)
				indent, line = "  ", ""
			}
			if line != "" {
				line += " "
			}
			line += w
		}
		lines = append(lines, "# "+indent+line)
	}
	return strings.Join(lines, "\n")
}

// printable escapes what could end a comment, or fool a terminal.
func printable(s string) string {
	q := escape.Text(s)
	if q == s {
		return s
	}
	return strings.ReplaceAll(q, `\"`, `"`)
}

// remarks are all, in the order of the text.
func (d *draft) remarks() []Remark {
	all := append([]Remark{}, d.general...)
	var walk func(o *object)
	walk = func(o *object) {
		for _, f := range o.fields {
			all = append(all, f.remarks...)
			if sub, ok := f.value.(*object); ok {
				walk(sub)
			}
		}
	}
	walk(&d.project)
	for _, a := range d.apps {
		all = append(all, a.remarked...)
		walk(&a.object)
	}
	return all
}
