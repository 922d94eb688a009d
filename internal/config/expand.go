package config

import (
	"fmt"
	"strings"
)

// laterNames are the variables that have a value only for one replica: see App.Instance.
var laterNames = []string{"FOSTER_PROJECT", "FOSTER_APP", "FOSTER_REPLICA", "FOSTER_REPLICAS"}

// lookup gives the value of a variable.
type lookup func(name string) (string, bool)

// expand replaces the variables of a text: ${NAME}, ${NAME:-default}, ${NAME-default},
// ${NAME:?message}, ${NAME?message}, ${NAME:+alternative}, ${NAME+alternative}, and $$
// for a dollar. A $ before anything else stays, and so does ${FOSTER_REPLICA}. later says
// whether there was one of these.
func expand(text string, vars lookup) (expanded string, later bool, err error) {
	e := expander{vars: vars}
	expanded, err = e.text(text, 0)
	return expanded, e.later, err
}

type expander struct {
	vars  lookup
	later bool
	size  int
}

// mostText bounds what a text can grow to by its variables.
const mostText = 1 << 20

func (e *expander) text(text string, depth int) (string, error) {
	if depth > 8 {
		return "", fmt.Errorf("variables in variables, more than 8 deep")
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			b.WriteString(text)
			return b.String(), nil
		}
		b.WriteString(text[:i])
		switch text[i+1] {
		case '$':
			b.WriteByte('$')
			text = text[i+2:]
		case '{':
			end := closing(text[i:])
			if end < 0 {
				return "", fmt.Errorf("%q has no closing }", clip(text[i:]))
			}
			value, err := e.variable(text[i+2:i+end], depth)
			if err != nil {
				return "", err
			}
			if e.size += len(value); e.size > mostText {
				return "", fmt.Errorf("it is longer than %d bytes, variables replaced", mostText)
			}
			b.WriteString(value)
			text = text[i+end+1:]
		default:
			b.WriteByte('$')
			text = text[i+1:]
		}
	}
}

// closing finds the } of the ${ that a text begins with; -1 where there is none.
func closing(text string) int {
	open := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "$$"):
			i++
		case strings.HasPrefix(text[i:], "${"):
			open++
			i++
		case text[i] == '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// variable is what stands between ${ and }.
func (e *expander) variable(inner string, depth int) (string, error) {
	n := 0
	for n < len(inner) && isName(inner[n], n) {
		n++
	}
	name, op := inner[:n], inner[n:]
	if name == "" {
		return "", fmt.Errorf("%q is no variable: expected a name of letters, digits and _", "${"+clip(inner)+"}")
	}
	for _, l := range laterNames {
		if name == l {
			e.later = true
			return "${" + name + "}", nil
		}
	}
	value, set := e.vars(name)
	if strings.HasPrefix(op, ":") {
		op = op[1:]
		set = set && value != ""
		if op == "" || !strings.ContainsRune("-?+", rune(op[0])) {
			return "", fmt.Errorf("%q: expected :-, :? or :+ after the name", "${"+clip(inner)+"}")
		}
	}
	if op == "" {
		if !set {
			return "", unsetError(name)
		}
		return value, nil
	}
	rest := op[1:]
	switch op[0] {
	case '-':
		if set {
			return value, nil
		}
		return e.text(rest, depth+1)
	case '+':
		if !set {
			return "", nil
		}
		return e.text(rest, depth+1)
	case '?':
		if set {
			return value, nil
		}
		message, err := e.text(rest, depth+1)
		if err == nil && message == "" {
			message = "it isn't set"
		}
		return "", fmt.Errorf("the variable %s is needed: %s", name, message)
	}
	return "", fmt.Errorf("%q: expected }, -, :-, ?, :?, + or :+ after the name", "${"+clip(inner)+"}")
}

func isName(c byte, at int) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || at > 0 && c >= '0' && c <= '9'
}

// unsetError is the name of a variable that has no value.
type unsetError string

func (e unsetError) Error() string { return fmt.Sprintf("the variable %s isn't set", string(e)) }
