package api

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The text format of Prometheus (version 0.0.4): a family of samples has a line of help,
// one of its type, and one for each sample. It is so small, and what is told is so
// plainly there in one status, that it is written here: a library would keep a registry
// of all that beside it. A test reads it back with Prometheus' own parser.

// kind is the type of a family.
type kind string

const (
	gauge   kind = "gauge"
	counter kind = "counter"
	summary kind = "summary"
)

// exposition is what is written so far.
type exposition struct {
	text   []byte
	name   string // of the family
	header string // of the family, which is written before its first sample
}

// family begins another family. Without a sample, nothing of it is written.
func (e *exposition) family(name string, k kind, help string) {
	e.name = name
	e.header = "# HELP " + name + " " + help + "\n# TYPE " + name + " " + string(k) + "\n"
}

// sample writes one value of the family. Labels are names and values in turn.
func (e *exposition) sample(value float64, labels ...string) { e.named(e.name, value, labels...) }

// named is sample for a family of several names.
func (e *exposition) named(name string, value float64, labels ...string) {
	e.text = append(e.text, e.header...)
	e.header = ""
	e.text = append(e.text, name...)
	for n := 0; n+1 < len(labels); n += 2 {
		e.text = append(e.text, "{,"[min(n, 1)])
		e.text = append(e.text, labels[n]...)
		e.text = append(e.text, `="`...)
		e.text = append(e.text, labelEscapes.Replace(strings.ToValidUTF8(labels[n+1], "�"))...)
		e.text = append(e.text, '"')
	}
	if len(labels) > 1 {
		e.text = append(e.text, '}')
	}
	e.text = append(e.text, ' ')
	e.text = appendValue(e.text, value)
	e.text = append(e.text, '\n')
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// appendValue writes numbers without an exponent, so that people can read them.
func appendValue(b []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

func number(n int) string { return strconv.Itoa(n) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
