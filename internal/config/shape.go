package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// shape is what a value can be: how the schema describes it, how it is read, and how it
// is written, as what encoding/json takes.
type shape[T any] struct {
	schema *Schema
	read   func(d *decoder, at place, into *T)
	write  func(T) any
}

// key is one key of a map, and where its value goes.
type key[T any] struct {
	name   string
	preset *node // what it is where it isn't written; nil: nothing
	schema *Schema
	read   func(d *decoder, at place, into *T)
	write  func(*T) any // nil: it can be left out
}

// at makes a key. The doc is that of the schema.
func at[T, V any](name string, s shape[V], where func(*T) *V, doc string) key[T] {
	described := *s.schema
	described.Description = doc
	return key[T]{name: name, schema: &described,
		read: func(d *decoder, at place, into *T) { s.read(d, at, where(into)) },
		write: func(from *T) any {
			if v := *where(from); s.write != nil {
				return s.write(v)
			}
			return nil
		},
	}
}

// or gives the key a default, as it would be written.
func (k key[T]) or(text string) key[T] {
	k.preset = parse(newFile("the defaults", "/", []byte(text)), []byte(text), &problems{})
	if k.preset.kind == scalar {
		k.schema.Default = k.preset.value()
	}
	return k
}

// mapOf is a map with these keys, and no others. The names that other programs have for
// them are answered with ours.
func mapOf[T any](wrong map[string]string, keys ...key[T]) shape[T] {
	s := &Schema{Type: "object", Properties: map[string]*Schema{}, AdditionalProperties: false}
	for _, k := range keys {
		s.Properties[k.name] = k.schema
	}
	return shape[T]{s, func(d *decoder, at place, into *T) {
		if at.kind != mapping {
			d.wrong(at, "a map with "+someNames(keys))
			return
		}
		for _, k := range keys {
			if f := at.field(k.name); f != nil {
				k.read(d, at.below(k.name, f.value), into)
			} else if k.preset != nil {
				k.read(d, at.below(k.name, k.preset), into)
			}
		}
		for _, f := range at.fields {
			if !slices.ContainsFunc(keys, func(k key[T]) bool { return k.name == f.key.text }) {
				d.unknown(at.below(f.key.text, f.key), names(keys), wrong)
			}
		}
	}, func(v T) any {
		m := map[string]any{}
		for _, k := range keys {
			if w := k.write(&v); w != nil && (k.preset != nil || !empty(reflect.ValueOf(w))) {
				m[k.name] = w
			}
		}
		return m
	}}
}

func empty(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0
}

func names[T any](keys []key[T]) (list []string) {
	for _, k := range keys {
		list = append(list, k.name)
	}
	return list
}

func someNames[T any](keys []key[T]) string {
	list := names(keys)
	if len(list) > 4 {
		return strings.Join(list[:4], ", ") + " …"
	}
	return strings.Join(list, ", ")
}

// short lets a value stand for the map in which it is the value of a key.
func short[T any](name string, kinds []kind, s shape[T]) shape[T] {
	one := *s.schema.Properties[name]
	one.Description = ""
	var forms []*Schema
	for _, form := range append(one.AnyOf, &one) {
		if form.AnyOf == nil {
			forms = append(forms, form)
		}
	}
	return shape[T]{&Schema{AnyOf: append(forms, s.schema)}, func(d *decoder, at place, into *T) {
		if slices.Contains(kinds, at.kind) {
			wrapped := *at.node
			wrapped.kind, wrapped.items, wrapped.text = mapping, nil, ""
			wrapped.fields = []field{{at.node, at.node}}
			named := *at.node
			named.text = name
			wrapped.fields[0].key = &named
			at.node = &wrapped
		}
		s.read(d, at, into)
	}, s.write}
}

// optional is a value that may be missing altogether.
func optional[T any](s shape[T]) shape[*T] {
	return shape[*T]{s.schema, func(d *decoder, at place, into **T) {
		*into = new(T)
		s.read(d, at, *into)
	}, func(v *T) any {
		if v == nil {
			return nil
		}
		return s.write(*v)
	}}
}

// as has one type in place of another.
func as[T, V any](s shape[T], convert func(T) V, back func(V) T) shape[V] {
	return shape[V]{s.schema, func(d *decoder, at place, into *V) {
		var v T
		s.read(d, at, &v)
		*into = convert(v)
	}, func(v V) any { return s.write(back(v)) }}
}

// raw keeps a value for later.
func raw(schema *Schema) shape[place] {
	return shape[place]{schema: schema, read: func(_ *decoder, at place, into *place) { *into = at }}
}

// listOf is a list, or one item of it where that is a single value.
func listOf[T any](item shape[T]) shape[[]T] {
	s := &Schema{AnyOf: []*Schema{item.schema, {Type: "array", Items: item.schema}}}
	return shape[[]T]{s, func(d *decoder, at place, into *[]T) {
		*into = nil
		for _, below := range at.each() {
			var v T
			item.read(d, below, &v)
			*into = append(*into, v)
		}
	}, func(v []T) any {
		if len(v) == 0 {
			return nil
		}
		var written []any
		for _, one := range v {
			written = append(written, item.write(one))
		}
		return written
	}}
}

// dictOf is a map with any keys.
func dictOf[T any](item shape[T]) shape[map[string]T] {
	s := &Schema{Type: "object", AdditionalProperties: item.schema}
	return shape[map[string]T]{s, func(d *decoder, at place, into *map[string]T) {
		if at.kind != mapping {
			d.wrong(at, "a map")
			return
		}
		*into = map[string]T{}
		for _, f := range at.fields {
			var v T
			item.read(d, at.below(f.key.text, f.value), &v)
			(*into)[f.key.text] = v
		}
	}, func(v map[string]T) any {
		written := map[string]any{}
		for name, one := range v {
			written[name] = item.write(one)
		}
		return written
	}}
}

// parsed is a value that a function reads from its text.
func parsed[T any](schema *Schema, want string, parse func(string) (T, error), write func(T) any) shape[T] {
	return suggested(schema, want, parse, func(string) string { return "" }, write)
}

// suggested is parsed with a hint for what is wrong.
func suggested[T any](schema *Schema, want string, parse func(string) (T, error), hint func(string) string, write func(T) any) shape[T] {
	return shape[T]{schema, func(d *decoder, at place, into *T) {
		text, ok := d.text(at, want)
		if !ok {
			return
		}
		v, err := parse(text)
		if err != nil {
			d.problems.add(at, hint(text), "%s", err)
			return
		}
		*into = v
	}, write}
}

// word is one of a few.
func word[T ~string](wrong map[string]string, words ...T) shape[T] {
	var list []string
	for _, w := range words {
		list = append(list, string(w))
	}
	s := &Schema{AnyOf: []*Schema{{Enum: list}, withVariable()}}
	want := "one of " + strings.Join(list, ", ")
	return shape[T]{s, func(d *decoder, at place, into *T) {
		text, ok := d.text(at, want)
		if !ok {
			return
		}
		if slices.Contains(list, text) {
			*into = T(text)
			return
		}
		hint := ""
		if right, ok := wrong[text]; ok {
			hint = "here it is called " + right
		} else if near := nearest(text, list); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		} else {
			hint = didYouMean(nearestEnd(text, list))
		}
		d.problems.add(at, hint, "%q is none of %s", text, strings.Join(list, ", "))
	}, func(v T) any { return string(v) }}
}
