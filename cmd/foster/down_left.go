package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/supervise"
)

// What a foster up that was killed has left: its trees run on, each held by its shim, until
// their grace is over or another foster up takes them over.

// leftOf finds the trees that were left of a project which has no supervisor.
func leftOf(name string, now *config.Project) (left []journal.Found) {
	folder, err := stateFolder(name)
	if err != nil {
		return nil
	}
	state, _, err := journal.Folders()
	if err != nil {
		return nil
	}
	for _, id := range supervise.Left(folder, now) {
		found, err := journal.Find(state, id)
		if err != nil {
			continue // there is none
		}
		ended := found.Life != nil && found.Life.Done
		if found.State == journal.Lost || found.State == journal.Living && !ended {
			left = append(left, found)
		}
	}
	return left
}

func idsOf(found []journal.Found) (ids []string) {
	for _, f := range found {
		ids = append(ids, f.Entry.ID)
	}
	return ids
}

// downWithout ends what was left of a project that has no supervisor: in the reverse order
// of the applications, each to its last process.
func (p *projectFlags) downWithout(ctx context.Context, quiet bool, stderr io.Writer, why error) error {
	name, err := p.given()
	if err != nil {
		return err
	}
	now, err := p.load()
	if err == nil {
		name = now.Name
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
