package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// What is said of a name that nobody has. Applications and trees are named in the same
// place, and so it is said of both, whichever was meant.

// unknownApp is a name that no application of a project has.
type unknownApp struct {
	name  string
	apps  []client.App
	trees bool // the command takes a tree, too
}

func (u unknownApp) Error() string {
	app, replica := splitReplica(u.name)
	for _, a := range u.apps {
		if replica > 0 && a.Name == app {
			return fmt.Sprintf("%s: %s has %d replicas: %s", u.name, app, a.Replicas, client.ErrUnknown)
		}
	}
	return fmt.Sprintf("%q: %s", u.name, client.ErrUnknown)
}

func (u unknownApp) Unwrap() error { return client.ErrUnknown }

// told says of a name also whether there is a tree of it, and what may have been meant.
func (u unknownApp) told() error {
	if _, err := find(u.name); err == nil {
		return hinted{u, "it is a tree: foster ls shows it, and foster stop, signal, extend, wait and attach take it, without --project and --file"}
	}
	var names []string
	for _, a := range u.apps {
		names = append(names, replicaNames(a.Name, a.Replicas)...)
	}
	lists := "foster status lists the applications"
	if u.trees {
		names = append(names, ids()...)
		lists += ", foster ls the trees"
	}
	if hint := config.Meant(u.name, names); hint != "" {
		lists = hint
	}
	return hinted{fmt.Errorf("%w, and no tree of that name", u), lists}
}

// unknownAmong names who of those that were named is unknown, where that is why a
// supervisor has refused.
func unknownAmong(ctx context.Context, from interface {
	Status(context.Context) (client.Status, error)
}, names []string, err error) error {
	if !errors.Is(err, client.ErrUnknown) {
		return err
	}
	status, serr := from.Status(ctx)
	if serr != nil {
		return err
	}
	if _, unknown := aimsIn(status, names); unknown != nil {
		return unknown
	}
	return err
}

// ofTheWait is what a command that exits with the status of others is told of a name that
// nobody has: exit status 1 would be theirs.
func ofTheWait(err error) error {
	if r, ok := errors.AsType[refusalError](err); ok && errors.Is(err, client.ErrUnknown) {
		return r.error
	}
	return err
}
