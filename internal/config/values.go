package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/units"
)

// The values that keys have.

func textSchema() *Schema { return &Schema{Type: []string{"string", "number", "boolean"}} }

// withVariable is any text that has a variable in it: its value isn't known before.
func withVariable() *Schema { return &Schema{Type: "string", Pattern: `\$\{`} }

func itself[T any](v T) any { return v }

// escape writes a text so that it is read as it stands.
func escape(s string) string {
	s = escapes.Replace(s)
	for _, name := range laterNames {
		s = strings.ReplaceAll(s, "$${"+name+"}", "${"+name+"}")
	}
	return s
}

var escapes = strings.NewReplacer("$$", "$$$$", "${", "$${")

// text is a text; numbers and the like count as they are written.
func text() shape[string] {
	return shape[string]{textSchema(), func(d *decoder, at place, into *string) {
		*into, _ = d.text(at, "a text")
	}, func(s string) any { return escape(s) }}
}

// perReplica is a text that may differ between replicas.
func perReplica() shape[string] {
	return shape[string]{textSchema(), func(d *decoder, at place, into *string) {
		*into, _, _ = d.expanded(at, "a text")
	}, func(s string) any { return escape(s) }}
}

func boolean() shape[bool] {
	s := &Schema{AnyOf: []*Schema{{Type: "boolean"}, withVariable()}}
	return shape[bool]{s, func(d *decoder, at place, into *bool) {
		text, ok := d.text(at, "true or false")
		switch {
		case !ok:
		case text == "true" || text == "false":
			*into = text == "true"
		default:
			d.wrong(at, "true or false")
		}
	}, itself[bool]}
}

func integer(least int) shape[int] {
	s := &Schema{AnyOf: []*Schema{{Type: "integer", Minimum: new(float64(least))}, withVariable()}}
	want := "a whole number"
	if least > math.MinInt {
		want = fmt.Sprintf("a whole number of at least %d", least)
	}
	return shape[int]{s, func(d *decoder, at place, into *int) {
		text, ok := d.text(at, want)
		if !ok {
			return
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < least || at.quoted && text == at.text {
			d.wrong(at, want)
			return
		}
		*into = n
	}, itself[int]}
}

func number(least, most float64) shape[float64] {
	s := &Schema{AnyOf: []*Schema{{Type: "number", Minimum: &least}, withVariable()}}
	want := fmt.Sprintf("a number of at least %v", least)
	if most < math.MaxInt32 {
		want = fmt.Sprintf("a number from %v to %v", least, most)
	}
	return shape[float64]{s, func(d *decoder, at place, into *float64) {
		text, ok := d.text(at, want)
		if !ok {
			return
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !(f >= least && f <= most) || at.quoted && text == at.text {
			d.wrong(at, want)
			return
		}
		*into = f
	}, itself[float64]}
}

// longest bounds all times: what is longer overflows somewhere.
const longest = 100 * 365 * 24 * time.Hour

func duration() shape[time.Duration] {
	return parsed(&Schema{Type: []string{"string", "number"}}, "a time, as 10s, 500ms or 1h30m", func(s string) (time.Duration, error) {
		d, err := units.Duration(s)
		if err == nil && d > longest {
			return 0, fmt.Errorf("%q is longer than a hundred years", s)
		}
		return d, err
	}, func(d time.Duration) any { return units.FormatDuration(d) })
}

// positive is a time of more than nothing.
func positive() shape[time.Duration] {
	some := duration()
	return shape[time.Duration]{some.schema, func(d *decoder, at place, into *time.Duration) {
		before := len(d.problems.list)
		some.read(d, at, into)
		if *into == 0 && len(d.problems.list) == before {
			d.problems.add(at, "", "it has to be longer than 0")
		}
	}, func(d time.Duration) any {
		if d == 0 {
			return nil // that isn't written
		}
		return some.write(d)
	}}
}

func size() shape[int64] {
	return parsed(&Schema{Type: []string{"string", "integer"}}, "a size, as 512K, 10M or 2G", units.Size, func(n int64) any {
		if n == 0 {
			return 0
		}
		return units.FormatSize(n)
	})
}

func sig() shape[syscall.Signal] {
	return suggested(&Schema{Type: []string{"string", "integer"}}, "a signal, as TERM", units.Signal, nearSignal, func(s syscall.Signal) any {
		if s == 0 {
			return nil
		}
		return strings.TrimPrefix(strings.TrimPrefix(units.SignalName(s), "SIG"), "signal ")
	})
}

// nearSignal is the hint for a signal that there isn't.
func nearSignal(text string) string {
	return didYouMean(nearest(strings.TrimPrefix(strings.ToUpper(text), "SIG"), units.SignalNames()))
}

// octal is the mode of a file.
func octal() shape[int] {
	return parsed(&Schema{Type: []string{"string", "integer"}}, `an octal number, as "022"`, func(s string) (int, error) {
		n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
		if err != nil || n > 0o7777 {
			return 0, fmt.Errorf(`%q is no octal number of at most four digits, as "022"`, s)
		}
		return int(n), nil
	}, func(n int) any { return fmt.Sprintf("%04o", n) })
}

func pattern() shape[string] {
	s := &Schema{Type: "string"}
	return parsed(s, "a regular expression", func(text string) (string, error) {
		if _, err := regexp.Compile(text); err != nil {
			return "", fmt.Errorf("%q is no regular expression: %w", text, err)
		}
		return text, nil
	}, func(s string) any { return escape(s) })
}

// port is one of TCP or UDP.
func port() shape[int] {
	some := integer(1)
	return shape[int]{some.schema, func(d *decoder, at place, into *int) {
		some.read(d, at, into)
		if *into > 65535 {
			d.wrong(at, "a port, from 1 to 65535")
		}
	}, itself[int]}
}

// MostReplicas bounds what a mistyped number can start.
const MostReplicas = 1000

func replicas() shape[int] {
	some := integer(0)
	return shape[int]{some.schema, func(d *decoder, at place, into *int) {
		some.read(d, at, into)
		if *into > MostReplicas {
			d.wrong(at, fmt.Sprintf("a whole number from 0 to %d", MostReplicas))
			*into = 1 // nothing is made of so many
		}
	}, itself[int]}
}

// userName is a user, without a group.
func userName() shape[string] {
	some := text()
	return shape[string]{some.schema, func(d *decoder, at place, into *string) {
		some.read(d, at, into)
		if user, group, both := strings.Cut(*into, ":"); both {
			d.problems.add(at, fmt.Sprintf("write user: %s and group: %s", user, group), "%q isn't a user: the group has a key of its own", *into)
		}
	}, some.write}
}

// validName says what is wrong with the name of a project or an application: it becomes
// part of the name of trees.
func validName(name string) error {
	err := journal.ValidID(name)
	if err == nil && len(name) > 48 {
		return fmt.Errorf("the name %q has %d characters, at most 48 are possible", name, len(name))
	}
	return err
}

// absent is a word of which the default is kept as nothing at all: so a project that an
// earlier version of foster has noted, which doesn't know the key, doesn't differ.
func absent[T ~string](preset T, s shape[T]) shape[T] {
	return as(s, func(v T) T {
		if v == preset {
			return ""
		}
		return v
	}, func(v T) T {
		if v == "" {
			return preset
		}
		return v
	})
}
