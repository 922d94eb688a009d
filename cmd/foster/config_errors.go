package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/foster-init/foster/internal/config"
)

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
