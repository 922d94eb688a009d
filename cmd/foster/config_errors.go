package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// unchangedError is a configuration with mistakes that a running project was to follow.
type unchangedError struct{ wrong *config.Error }

func (u unchangedError) Error() string { return u.wrong.Error() }
func (u unchangedError) Unwrap() error { return u.wrong }

// mistaken is what a supervisor has refused since its files have mistakes: it tells of them
// as foster validate does. Otherwise it is nil.
func mistaken(r *client.RequestError) error {
	if len(r.Mistakes) == 0 {
		return nil
	}
	wrong := &config.Error{}
	for _, m := range r.Mistakes {
		wrong.Problems = append(wrong.Problems, config.Problem(m))
	}
	return unchangedError{wrong}
}

// tellProblems tells all that is wrong with a configuration: for each, where it is and
// what was expected, and the line itself with a mark below the place.
func tellProblems(w io.Writer, e *config.Error) {
	for _, p := range e.Problems {
		fmt.Fprintln(w, "foster: "+printable(p.String()))
		if p.Source != "" {
			untab := strings.NewReplacer("\t", " ").Replace
			fmt.Fprintf(w, "  %s\n  %s\n", printable(untab(p.Source)), untab(p.Caret()))
		}
		if p.Hint != "" {
			fmt.Fprintln(w, "hint: "+printable(p.Hint))
		}
	}
}
