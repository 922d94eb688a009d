package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// node is a value of a YAML or JSON file, aliases resolved.
type node struct {
	at     position
	path   string // of keys that lead to it
	text   string // of a single value
	kind   yaml.Kind
	null   bool
	items  []*node
	fields []entry
}

// entry is a key of a map, and its value.
type entry struct {
	key   string
	value *node
}

// Bounds for what a file may hold, aliases resolved.
const (
	mostNodes = 100_000
	mostDepth = 50
)

// parseTree reads a YAML document, or a JSON text.
func parseTree(in input) (*node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader([]byte(in.text())))
	var doc yaml.Node
	if err == nil {
		err = loader.Load(&doc)
	}
	at := position{file: in.path}
	switch load, ok := errors.AsType[*yaml.LoadError](err); {
	case ok:
		at.line = max(load.Mark.Line, 1)
		return nil, at.wrong("it isn't YAML: %s", load.Message)
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 0:
		return nil, at.wrong("it is empty")
	case err != nil:
		return nil, at.wrong("it isn't YAML: %v", err)
	}
	t := treeReader{file: in.path}
	root := t.node(doc.Content[0], "", 0)
	if t.full {
		at.line = t.last
		return nil, at.wrong("it has more than %d values, or they are nested more than %d deep", mostNodes, mostDepth)
	}
	return root, nil
}

type treeReader struct {
	file string
	seen int
	last int
	full bool
}

func (t *treeReader) node(y *yaml.Node, path string, depth int) *node {
	for hops := 0; y.Kind == yaml.AliasNode && y.Alias != nil && hops < mostDepth; hops++ {
		y = y.Alias
	}
	n := &node{at: position{t.file, y.Line}, path: path, kind: y.Kind}
	if t.seen++; t.full || t.seen > mostNodes || depth > mostDepth {
		t.full, t.last = true, max(t.last, y.Line)
		return n
	}
	switch y.Kind {
	case yaml.SequenceNode:
		for i, item := range y.Content {
			n.items = append(n.items, t.node(item, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case yaml.MappingNode:
		var under []*node
		for i := 0; i+1 < len(y.Content); i += 2 {
			key := y.Content[i]
			if key.ShortTag() == "!!merge" {
				m := t.node(y.Content[i+1], path, depth+1)
				under = append(append(under, m), m.items...)
				continue
			}
			value := t.node(y.Content[i+1], strings.TrimPrefix(path+"."+key.Value, "."), depth+1)
			value.at.line = key.Line
			n.set(key.Value, value)
		}
		for _, m := range under {
			for _, f := range m.fields {
				if n.get(f.key) == nil {
					n.fields = append(n.fields, f)
				}
			}
		}
	default:
		n.kind, n.text = yaml.ScalarNode, y.Value
		n.null = y.ShortTag() == "!!null"
	}
	return n
}

// get gives the value of a key; nil where there is none, or nothing in it.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.key == key && !f.value.null {
			return f.value
		}
	}
	return nil
}

func (n *node) set(key string, value *node) {
	for i := range n.fields {
		if n.fields[i].key == key {
			n.fields[i].value = value
			return
		}
	}
	n.fields = append(n.fields, entry{key, value})
}

// what is the value as it is written, in short.
func (n *node) what() string {
	key := n.path
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		key = key[i+1:]
	}
	switch n.kind {
	case yaml.ScalarNode:
		return key + ": " + clip(n.text)
	default:
		return key
	}
}

func (n *node) remark(format string, args ...any) Remark {
	return n.at.remark(n.what(), format, args...)
}

// wrong is an error about the value.
func (n *node) wrong(format string, args ...any) error {
	return n.at.wrong("%s: %s", n.path, fmt.Sprintf(format, args...))
}

// overlay lays another value over this one: maps are merged.
func (n *node) overlay(over *node) *node {
	if n.kind != yaml.MappingNode || over.kind != yaml.MappingNode {
		return over
	}
	for _, f := range over.fields {
		was := n.get(f.key)
		switch {
		case was != nil && f.key == "environment" && was.kind == yaml.SequenceNode && f.value.kind == yaml.SequenceNode:
			was.items = append(was.items, f.value.items...)
		case was != nil:
			n.set(f.key, was.overlay(f.value))
		default:
			n.set(f.key, f.value)
		}
	}
	return n
}
