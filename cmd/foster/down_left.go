package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
)

// downWithout ends what was left of a project that has no supervisor: in the reverse order
// of the applications, each to its last process.
func (p *projectFlags) downWithout(ctx context.Context, quiet bool, stderr io.Writer, why error) error {
	name, now, err := p.meantProject()
	if err != nil {
		return err
	}
	say := func(text string) {
		if !quiet {
			fmt.Fprintln(stderr, "foster: "+printable(why.Error())+": "+text)
		}
	}
	left := leftOf(name, now)
	if len(left) == 0 {
		say("there is nothing to stop")
		return nil
	}
	say("ending what it has left: " + strings.Join(idsOf(left), ", "))
	_, _, failed := foster.Recover(ctx) // those that have no shim any more
	for _, f := range slices.Backward(left) {
		if f.State == journal.Living {
			failed = errors.Join(failed, stopTree(f.Entry.ID, nil, stderr))
		}
	}
	if failed == nil {
		if rest := leftOf(name, now); len(rest) > 0 {
			failed = fmt.Errorf("%s: left, and can't be ended: %s", name, strings.Join(idsOf(rest), ", "))
		}
	}
	return failed
}
