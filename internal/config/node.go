package config

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// file is one that was read.
type file struct {
	name  string // for messages
	path  string // absolute
	lines []string
}

func newFile(name, path string, data []byte) *file {
	return &file{name, path, strings.Split(string(data), "\n")}
}

func (f *file) dir() string { return filepath.Dir(f.path) }

// longestLine bounds how much of a line is shown.
const longestLine = 200

func (f *file) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	line := strings.TrimRight(f.lines[n-1], "\r")
	if len(line) > longestLine {
		line = strings.ToValidUTF8(line[:longestLine], "") + "…"
	}
	return line
}

type kind int

const (
	scalar kind = iota + 1
	list
	mapping
	null
)

func (k kind) String() string {
	return [...]string{"", "one value", "a list", "a map", "nothing"}[k]
}

// node is one value of a file. Other than a YAML node, it knows its file, and has no
// aliases and merge keys: they are resolved.
type node struct {
	kind         kind
	file         *file
	line, column int
	text         string // of a scalar
	quoted       bool   // the scalar is certainly a text
	items        []*node
	fields       []field
}

type field struct{ key, value *node }

// get gives the value of a key; nil where there is none.
func (n *node) get(key string) *node {
	if f := n.field(key); f != nil {
		return f.value
	}
	return nil
}

func (n *node) field(key string) *field {
	if n == nil || n.kind != mapping {
		return nil
	}
	for i := range n.fields {
		if n.fields[i].key.text == key {
			return &n.fields[i]
		}
	}
	return nil
}

// place is a node and the path of keys that leads to it.
type place struct {
	*node
	path string
}

func (p place) below(key string, n *node) place {
	if p.path != "" && !strings.HasPrefix(key, "[") {
		key = "." + key
	}
	return place{n, p.path + key}
}

// each gives the items of a list; what is no list is its own only item.
func (p place) each() (items []place) {
	if p.kind != list {
		return []place{p}
	}
	for i, n := range p.items {
		items = append(items, p.below(index(i), n))
	}
	return items
}

// Bounds for what one file may hold, aliases resolved: a few lines of YAML can
// otherwise stand for more than fits in memory.
const (
	mostBytes = 4 << 20
	mostNodes = 200_000
	mostDepth = 64
)

// reader makes nodes of YAML.
type reader struct {
	file     *file
	problems *problems
	left     int
}

// parse reads one YAML document; nil where that can't be done.
func parse(f *file, data []byte, p *problems) *node {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(mostDepth))))
	var document, second yaml.Node
	if err == nil {
		err = loader.Load(&document)
	}
	if errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0 {
		p.add(place{&node{file: f}, ""}, "", "the file is empty: expected a map with the key apps")
		return nil
	}
	if err == nil {
		if err = loader.Load(&second); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			p.add(place{&node{file: f, line: second.Line, column: 1}, ""}, "give several files by -f, or name them with include", "a second document begins: a file holds one")
		}
	}
	if err != nil {
		notYAML(f, err, p)
		return nil
	}
	r := &reader{f, p, mostNodes}
	return r.node(document.Content[0], "", 0)
}

// notYAML tells of YAML that can't be read.
func notYAML(f *file, err error, p *problems) {
	load, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		p.add(place{&node{file: f}, ""}, "", "not YAML: %v", err)
		return
	}
	n := &node{file: f, line: load.Mark.Line, column: load.Mark.Column}
	hint := ""
	switch {
	case strings.Contains(load.Message, "cannot start any token") && strings.HasPrefix(strings.TrimLeft(f.line(n.line), " "), "\t"):
		hint = "YAML is indented by blanks, never by tabs"
	case strings.Contains(load.Message, "cannot start any token"):
		hint = "a text that begins with @, ` or % stands in quotes"
	case strings.Contains(load.Message, "mapping values are not allowed"):
		hint = mappingHint(f.line(n.line))
	case strings.Contains(load.Message, "expected ',' or"):
		hint = "within { } and [ ], a text that has one of , [ ] { } in it, as ${NAME}, stands in quotes"
	case strings.Contains(load.Message, "did not find expected key"):
		hint = "are the lines of this map indented alike?"
	case strings.Contains(load.Message, "end of stream"):
		n.line, n.column = load.ContextMark.Line, load.ContextMark.Column
		hint = "is the quote that begins here closed?"
	}
	text := load.Message
	if load.ContextMsg != "" {
		text += ", " + load.ContextMsg
	}
	p.add(place{n, ""}, hint, "not YAML: %s", text)
}

// mappingHint says why a key can't stand where it does: its line has a second one, or isn't
// indented as those before it.
func mappingHint(line string) string {
	if _, value, ok := strings.Cut(line, ": "); ok && (strings.Contains(value, ": ") || strings.HasSuffix(value, ":")) {
		return `a text with ": " in it stands in quotes`
	}
	return "is the line indented as the others of its map, and does the one before it end its value?"
}

// node gives nil where a bound was passed.
func (r *reader) node(y *yaml.Node, path string, depth int) *node {
	for hops := 0; y.Kind == yaml.AliasNode && y.Alias != nil && hops < mostDepth; hops++ {
		y = y.Alias
	}
	n := &node{file: r.file, line: y.Line, column: y.Column}
	at := place{n, path}
	if r.left--; r.left < 0 {
		if r.left == -1 {
			r.problems.add(at, "", "the file has more than %d values, aliases (*name) included", mostNodes)
		}
		return nil
	}
	if depth > mostDepth {
		r.problems.add(at, "", "it is nested more than %d levels deep", mostDepth)
		r.left = -1
		return nil
	}
	if tag := y.Tag; y.Style&yaml.TaggedStyle != 0 && !strings.HasPrefix(tag, "!!") && !strings.HasPrefix(tag, "tag:") {
		r.problems.add(at, "", "the tag %s means nothing here", tag)
	}
	switch y.Kind {
	case yaml.SequenceNode:
		n.kind = list
		for i, item := range y.Content {
			if r.left < 0 {
				break
			}
			if c := r.node(item, at.below(index(i), nil).path, depth+1); c != nil {
				n.items = append(n.items, c)
			}
		}
	case yaml.MappingNode:
		n.kind = mapping
		r.fields(at, y, depth)
	default:
		n.kind, n.text = scalar, y.Value
		n.quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
		if y.ShortTag() == "!!null" {
			n.kind = null
		}
	}
	return n
}

// fields reads the keys of a map; those of a merge key (<<) give way to its own.
func (r *reader) fields(at place, y *yaml.Node, depth int) {
	var merged []*node
	lines := map[string]int{}
	for i := 0; i+1 < len(y.Content) && r.left >= 0; i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.ShortTag() == "!!merge" {
			if m := r.node(v, at.path, depth+1); m != nil {
				merged = append(merged, r.sources(place{m, at.path})...)
			}
			continue
		}
		key := r.node(k, at.path, depth+1)
		if key == nil || key.kind != scalar {
			if key != nil {
				r.problems.add(place{key, at.path}, "", "the key of a map is a text: got %s", key.kind)
			}
			continue
		}
		if twin, ok := lines[key.text]; ok {
			r.problems.add(place{key, at.below(key.text, nil).path}, "", "the key is there twice: first in line %d", twin)
			continue
		}
		lines[key.text] = key.line
		if value := r.node(v, at.below(key.text, nil).path, depth+1); value != nil {
			at.fields = append(at.fields, field{key, value})
		}
	}
	for _, m := range merged {
		for _, f := range m.fields {
			if _, ok := lines[f.key.text]; !ok {
				lines[f.key.text] = f.key.line
				at.fields = append(at.fields, f)
			}
		}
	}
}

// sources are the maps of a merge key.
func (r *reader) sources(at place) []*node {
	switch at.kind {
	case mapping:
		return []*node{at.node}
	case list:
		for _, m := range at.items {
			if m.kind != mapping {
				r.problems.add(place{m, at.path}, "", "<< takes maps: got %s", m.kind)
				return nil
			}
		}
		return at.items
	}
	r.problems.add(at, "", "<< takes a map: got %s", at.kind)
	return nil
}
