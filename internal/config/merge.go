package config

import "strconv"

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// merge lays one value over another: maps are merged by key, and all else is taken from
// the later. An environment is a map also where it is written as a list.
func merge(first, later *node) *node {
	if first == nil || later == nil {
		if later == nil {
			return first
		}
		return later
	}
	if first.kind != mapping || later.kind != mapping {
		return later
	}
	m := *first
	m.fields = make([]field, 0, len(first.fields)+len(later.fields))
	at := map[string]int{}
	for _, f := range first.fields {
		at[f.key.text] = len(m.fields)
		m.fields = append(m.fields, f)
	}
	for _, f := range later.fields {
		i, both := at[f.key.text]
		if !both {
			at[f.key.text] = len(m.fields)
			m.fields = append(m.fields, f)
			continue
		}
		was := m.fields[i].value
		if f.key.text == "environment" {
			m.fields[i] = field{m.fields[i].key, merge(pairs(was), pairs(f.value))}
			continue
		}
		m.fields[i] = field{m.fields[i].key, merge(was, f.value)}
	}
	return &m
}

// without is a map less some keys.
func (n *node) without(keys ...string) *node {
	m := *n
	m.fields = nil
next:
	for _, f := range n.fields {
		for _, key := range keys {
			if f.key.text == key {
				continue next
			}
		}
		m.fields = append(m.fields, f)
	}
	return &m
}
