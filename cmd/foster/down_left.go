package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/supervise"
)

// downWithout ends what was left of a project that has no supervisor, as foster down
// would have: in the reverse order of the applications, each to its last process.
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
	folder, err := stateFolder(name)
	if err != nil {
		return err
	}
	if len(leftOf(name, now)) == 0 && len(supervise.LeftActive(folder)) == 0 {
		say("there is nothing to stop")
		return nil
	}
	lock, c, err := claimOf(name)
	if err != nil {
		return err
	}
	if c != nil { // one has begun meanwhile
		defer c.Close()
		return failedError(downWhole(ctx, c))
	}
	defer lock.Close()
	left := append(idsOf(leftOf(name, now)), supervise.LeftActive(folder)...)
	if len(left) == 0 { // another foster down has ended it
		say("another has ended what it had left")
		return nil
	}
	say("ending what it has left: " + strings.Join(left, ", "))
	if err := endProject(ctx, name, now); err != nil {
		return err
	}
	return endRest(ctx, name, now, stderr)
}

// claimOf takes the lock of a project, so that no foster up begins meanwhile, or else
// connects to the one that has.
func claimOf(name string) (*os.File, *client.Client, error) {
	folder, err := projectFolder(name)
	if err != nil {
		return nil, nil, err
	}
	return (&upper{project: &config.Project{Name: name}, folder: folder}).claim()
}

// endProject takes over what was left of a project, as the next foster up would, only to
// stop it: with its hooks, its last words, and a history.
func endProject(ctx context.Context, name string, now *config.Project) error {
	folder, err := projectFolder(name)
	if err != nil {
		return err
	}
	project, err := supervise.Applied(folder)
	if err != nil {
		project = now
	}
	if project == nil {
		return nil
	}
	return failedError(supervise.New(project, supervise.Options{State: folder, Version: version(), End: true}).Run(ctx))
}

// endRest ends, in the reverse of their order, trees that are left of a project although it
// has ended: its notes tell nothing of them.
func endRest(ctx context.Context, name string, now *config.Project, stderr io.Writer) error {
	rest := leftOf(name, now)
	if len(rest) == 0 {
		return nil
	}
	_, _, failed := foster.Recover(ctx) // those that have no shim any more
	for _, f := range slices.Backward(rest) {
		if f.State == journal.Living {
			failed = errors.Join(failed, stopTree(f.Entry.ID, treeStop{}, stderr))
		}
	}
	if rest = leftOf(name, now); failed == nil && len(rest) > 0 {
		failed = fmt.Errorf("%s: left, and can't be ended: %s", name, strings.Join(idsOf(rest), ", "))
	}
	return failed
}
