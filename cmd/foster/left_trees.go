package main

import (
	"context"
	"errors"
	"io"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/supervise"
)

// What a foster up that was killed has left: its trees run on, each held by its shim, until
// their grace is over or another foster up takes them over.

// mayBeLeft are the trees that the supervisor of a project, which has none now, may have
// left.
func mayBeLeft(name string, now *config.Project) []supervise.LeftTree {
	folder, err := stateFolder(name)
	if err != nil {
		return nil
	}
	return supervise.Left(folder, now)
}

// foundOf are those of them which live, or were lost.
func foundOf(trees []supervise.LeftTree) (left []journal.Found) {
	state, _, err := journal.Folders()
	if err != nil {
		return nil
	}
	for _, t := range trees {
		found, err := journal.Find(state, t.ID)
		if err != nil {
			continue // there is none
		}
		if found.State == journal.Lost || found.State == journal.Living && !hasEnded(found) {
			left = append(left, found)
		}
	}
	return left
}

func hasEnded(found journal.Found) bool { return found.Life != nil && found.Life.Done }

// unheard are those whose shim keeps their end, and what has to follow it, for the next
// supervisor.
func unheard(trees []supervise.LeftTree) (ids []string) {
	state, _, err := journal.Folders()
	if err != nil {
		return nil
	}
	for _, t := range trees {
		if found, err := journal.Find(state, t.ID); err == nil && found.State == journal.Living && hasEnded(found) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// leftOf finds the trees that were left of a project which has no supervisor.
func leftOf(name string, now *config.Project) []journal.Found {
	return foundOf(mayBeLeft(name, now))
}

func idsOf(found []journal.Found) (ids []string) {
	for _, f := range found {
		ids = append(ids, f.Entry.ID)
	}
	return ids
}

// meantProject is the name of the project that is meant, and its files, where they can
// be read.
func (p *projectFlags) meantProject() (string, *config.Project, error) {
	name, err := p.given()
	if err != nil {
		return "", nil, err
	}
	now, err := p.load()
	if err == nil {
		name = now.Name
	}
	return name, now, nil
}

// orphaned is a project whose supervisor isn't running.
type orphaned struct {
	name string
	now  *config.Project // as its files have it; nil: they can't be read
	off  error           // says that it isn't running
}

// orphaned is the project that is meant, where its supervisor isn't running; nil: it is.
func (p *projectFlags) orphaned(ctx context.Context) *orphaned {
	c, off := p.dial(ctx)
	if off == nil {
		c.Close()
	}
	if !errors.Is(off, client.ErrNotRunning) {
		return nil
	}
	name, now, err := p.meantProject()
	if err != nil {
		return nil
	}
	return &orphaned{name, now, off}
}

// trees are those that a name means in the project, whether they live or not.
func (o *orphaned) trees(name string) (those []supervise.LeftTree) {
	app, replica := splitReplica(name)
	for _, t := range mayBeLeft(o.name, o.now) {
		if t.App == name || t.App == app && t.Replica == replica || t.ID == name {
			those = append(those, t)
		}
	}
	return those
}

// leftAs are the trees that a name means in the project, where its supervisor isn't
// running; off says so. Without it, they are none.
func (p *projectFlags) leftAs(ctx context.Context, name string) (ids []string, off error) {
	o := p.orphaned(ctx)
	if o == nil {
		return nil, nil
	}
	those := o.trees(name)
	if len(those) == 0 && !p.asked() {
		return nil, nil // it isn't of this project
	}
	return idsOf(foundOf(those)), o.off
}

// treesOf are the trees that a name means which no supervisor knows: what a foster up that
// was killed has left of an application, else the tree of that name.
func (p *projectFlags) treesOf(ctx context.Context, name string) ([]string, error) {
	ids, off := p.leftAs(ctx, name)
	if len(ids) > 0 {
		return ids, nil
	}
	if off != nil {
		if _, err := find(name); err != nil || p.asked() {
			return nil, off
		}
	}
	return []string{name}, nil
}

// asTrees does something with each tree that a name means which no supervisor knows. It
// goes on where one can't.
func (p *projectFlags) asTrees(ctx context.Context, stderr io.Writer, name string, do func(id string) error) error {
	ids, first := p.treesOf(ctx, name)
	for _, id := range ids {
		switch err := do(id); {
		case first == nil:
			first = err // it gives the status
		case err != nil:
			complain(stderr, err)
		}
	}
	return first
}
