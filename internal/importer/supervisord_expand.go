package importer

import (
	"fmt"
	"strconv"
	"strings"
)

// expansions are the values of %(name)s.
type expansions map[string]any

// mark encloses the name of a variable in a text that was expanded. No input holds it.
const mark = "\x00"

var (
	placeholder = pattern(`%(?:%|\(([^()]*)\)([-0 +#]*)(\d*)([A-Za-z])|.|$)`)
	fromEnviron = pattern(`^ENV_([A-Za-z_][A-Za-z0-9_]*)$`)
)

// expand replaces %(program_name)s and the like. Variables of the environment,
// %(ENV_NAME)s, become marks, for foster reads them when it starts.
func (e expansions) expand(o *option) (string, error) {
	var failed error
	fail := func(format string, args ...any) string {
		if failed == nil {
			failed = o.at.wrong("%s: %s", o.key, fmt.Sprintf(format, args...))
		}
		return ""
	}
	text := placeholder().ReplaceAllStringFunc(o.value, func(found string) string {
		if found == "%%" {
			return "%"
		}
		m := placeholder().FindStringSubmatch(found)
		if m[4] == "" {
			return fail("%q: expected %%(name)s, or %%%% for a percent sign", found)
		}
		if env := fromEnviron().FindStringSubmatch(m[1]); env != nil {
			return mark + env[1] + mark
		}
		value, ok := e[m[1]]
		if !ok {
			return fail("%%(%s)s is none of the expansions of supervisord", m[1])
		}
		if width, err := strconv.Atoi(m[3]); m[3] != "" && (err != nil || width > 100) {
			return fail("%q is too wide", found)
		}
		n, number := value.(int)
		switch {
		case m[4] == "s":
			return fmt.Sprintf("%"+strings.ReplaceAll(m[2], "0", "")+m[3]+"s", fmt.Sprint(value))
		case number && strings.Contains("diu", m[4]):
			return fmt.Sprintf("%"+m[2]+m[3]+"d", n)
		case number && strings.Contains("xXo", m[4]):
			return fmt.Sprintf("%"+m[2]+m[3]+m[4], n)
		}
		return fail("%q can't be formatted so", found)
	})
	return text, failed
}

// unmarked makes a value of a text with marks.
func unmarked(text string) any {
	if !strings.Contains(text, mark) {
		return text
	}
	var b strings.Builder
	parts := strings.Split(text, mark)
	for i, part := range parts {
		if i == len(parts)-1 {
			b.WriteString(literal(part))
			continue
		}
		if i%2 == 0 {
			// A dollar before a variable would be taken for the first of two.
			part = literal(part + "${")
			b.WriteString(strings.TrimSuffix(part, "$${"))
			continue
		}
		b.WriteString("${" + part + "}")
	}
	return expression(b.String())
}

// resolved gives a text with marks the values that its variables have now.
func (r *reader) resolved(text string) (string, error) {
	parts := strings.Split(text, mark)
	for i := 1; i < len(parts); i += 2 {
		name, otherwise, optional := strings.Cut(parts[i], "-")
		value, ok := r.variable(strings.TrimSuffix(name, ":"))
		if !ok && optional {
			value, ok = otherwise, true
		}
		if !ok {
			return "", fmt.Errorf("the variable %s isn't set", parts[i])
		}
		parts[i] = value
	}
	return strings.Join(parts, ""), nil
}

// pairs reads KEY="value",KEY2=value2 as supervisord does.
func pairs(text string) (keys, values []string, err error) {
	rest := strings.TrimSpace(text)
	for rest != "" {
		key, after, ok := strings.Cut(rest, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, ", \t\n\"'\x00") {
			return nil, nil, fmt.Errorf("%q: expected KEY=\"value\", with a comma between two", clip(rest))
		}
		after = strings.TrimLeft(after, " \t\n")
		value := ""
		if after != "" && (after[0] == '"' || after[0] == '\'') {
			end := strings.IndexByte(after[1:], after[0])
			if end < 0 {
				return nil, nil, fmt.Errorf("the quote in the value of %s is not closed", key)
			}
			value, rest = after[1:1+end], strings.TrimSpace(after[end+2:])
			if rest != "" && rest[0] != ',' {
				return nil, nil, fmt.Errorf("%q follows the value of %s: expected a comma", clip(rest), key)
			}
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(after, ",")
			value = strings.TrimSpace(value)
		}
		keys, values = append(keys, key), append(values, value)
		rest = strings.TrimSpace(rest)
	}
	return keys, values, nil
}
