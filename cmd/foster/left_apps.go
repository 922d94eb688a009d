package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/history"
	"github.com/foster-init/foster/internal/supervise"
)

// stopLeft stops those of the names that are applications which a foster up that was killed has
// left, as that would have: it takes them over, only for that. The others go on as they are.
// rest are the names that aren't.
func (p *projectFlags) stopLeft(ctx context.Context, names []string, all bool, told client.StopPlan, plan foster.StopPlan, stderr io.Writer) (rest []string, err error) {
	o := p.orphaned(ctx)
	if o == nil {
		return names, nil
	}
	folder, err := stateFolder(o.name)
	if err != nil {
		return names, nil
	}
	killed := supervise.WasKilled(folder)
	say := func(format string, args ...any) {
		fmt.Fprintln(stderr, "foster: "+printable(fmt.Sprintf("%s: %v: ", o.name, client.ErrNotRunning)+fmt.Sprintf(format, args...)))
	}
	var those []supervise.LeftTree
	for _, name := range names {
		switch trees := o.trees(name); {
		case len(leftIn(folder, trees)) > 0:
			those = append(those, trees...)
		case len(trees) > 0 && killed:
			say("nothing is left of %s", name)
		default:
			rest = append(rest, name)
		}
	}
	if all {
		switch those = mayBeLeft(o.name, o.now); {
		case len(leftIn(folder, those)) > 0:
		case killed:
			say("nothing is left")
			return nil, nil
		default:
			return nil, o.off
		}
	}
	if len(those) == 0 {
		return rest, nil
	}
	var targets []client.Target
	for _, t := range those {
		targets = append(targets, t.Target)
	}
	lock, c, err := claimOf(o.name)
	if err != nil {
		return rest, err
	}
	if c != nil { // one has begun meanwhile
		defer c.Close()
		defer tellWaits(ctx, c, stderr, targets...)()
		return rest, failedError(c.StopWith(ctx, told, targets...))
	}
	defer lock.Close()
	left := leftIn(folder, those)
	if len(left) == 0 {
		say("another has stopped what it had left")
		return rest, nil
	}
	say("stopping what it has left: %s", strings.Join(left, ", "))
	project, err := supervise.Applied(folder)
	if err != nil {
		project = o.now
	}
	if project == nil {
		return rest, err
	}
	options := supervise.Options{State: folder, Version: version(), End: true, EndOnly: targets, EndPlan: plan}
	return rest, downError(supervise.New(project, options).Run(ctx))
}

// leftIn names those of the trees which live, or whose end nobody has heard of yet, and those
// which have completed and are active.
func leftIn(folder string, those []supervise.LeftTree) []string {
	ids := append(idsOf(foundOf(those)), unheard(those)...)
	for _, id := range supervise.LeftActive(folder) {
		if slices.ContainsFunc(those, func(t supervise.LeftTree) bool { return t.ID == id }) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// waitLeft waits for the end of what a foster up that was killed has left of an application. Of
// what has ended, the history has the status, or nobody. It says whether the name means one.
func (w *waiter) waitLeft(ctx context.Context, name string) (app bool, first error) {
	o := w.orphaned(ctx)
	if o == nil {
		return false, nil
	}
	those := o.trees(name)
	for _, t := range those {
		switch err := w.waitLeftTree(ctx, o.name, t); {
		case first == nil:
			first = err // it gives the status
		case err != nil:
			complain(w.stderr, err)
		}
	}
	return len(those) > 0, first
}

func (w *waiter) waitLeftTree(ctx context.Context, project string, t supervise.LeftTree) error {
	_, err := find(t.ID)
	if _, none := errors.AsType[unknownError](err); !none { // it lives, or its shim keeps how it ended
		return waitWithin(ctx, t.ID, w.stderr)
	}
	folder, err := stateFolder(project)
	if err != nil {
		return err
	}
	kept, err := history.OpenLeft(folder)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", t.ID, errUnknownEnd, err)
	}
	defer kept.Close()
	runs, err := kept.Runs(t.App, t.Replica, 1)
	i := client.Instance{App: t.App, Replica: t.Replica, Tree: t.ID}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", t.ID, errUnknownEnd, err)
	case len(runs) > 0 && runs[0].Exit == nil:
		return fmt.Errorf("%s: %w: foster up was killed before that", t.ID, errUnknownEnd)
	case len(runs) > 0:
		i.Exit = runs[0].Exit
	}
	return w.exitLike([]client.Instance{i})
}
