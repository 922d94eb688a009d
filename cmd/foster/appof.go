package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/foster-init/foster/client"
)

// foster stop, signal, extend, wait and attach take a tree by its name, or an application
// of a running project. What the project of this folder, or that of --project, --file or
// FOSTER_PROJECT, knows as an application is meant so. The tree of an application is the
// application, too, of whichever project: who stops only the tree would have its
// supervisor start it again. Where the project's supervisor was killed, the application is
// the trees that were left of it: see asTrees.

// ownedBy is what a name means to a supervisor.
type ownedBy struct {
	*client.Client
	status client.Status
	aim    client.Target
}

// instances are those that are meant.
func (o *ownedBy) instances() []client.Instance {
	list, _ := chosen(o.status, []client.Target{o.aim}) // they were found in it
	return list
}

// asked says whether the project was named.
func (p *projectFlags) asked() bool { return p.name != "" || len(p.files) > 0 }

// owner finds the supervisor of what a name means; nil: it is that of a tree, or of
// nothing. Who is returned has to be closed.
func (p *projectFlags) owner(ctx context.Context, name string) (*ownedBy, error) {
	var unknown unknownApp // to the project of this folder
	var silent error       // it doesn't answer
	switch c, err := p.dial(ctx); {
	case err == nil:
		o, err := meant(ctx, c, name)
		if o != nil || err != nil && p.asked() && !errors.Is(err, client.ErrNotRunning) {
			return o, failedError(err)
		}
		unknown, _ = errors.AsType[unknownApp](err)
	case p.asked() && errors.Is(err, client.ErrNotRunning):
		return nil, nil // it may have left the application
	case p.asked():
		return nil, err
	case errors.Is(err, client.ErrNoAnswer):
		silent = err
	}
	for _, project := range projectNames() {
		if !strings.HasPrefix(name, project+".") {
			continue
		}
		c, err := client.Dial(project)
		if errors.Is(err, client.ErrNoAnswer) {
			return nil, err
		}
		if err != nil {
			continue
		}
		if o, _ := meant(ctx, c, name); o != nil {
			return o, nil
		}
	}
	_, err := find(name)
	switch _, none := errors.AsType[unknownError](err); {
	case none && silent != nil:
		return nil, silent
	case none && unknown.name != "":
		return nil, failedError(unknown)
	}
	return nil, nil
}

// answerBound is how long a supervisor has to say whom it has.
const answerBound = 10 * time.Second

// meant asks a supervisor what a name means; an unknownApp: nothing, and it is let go.
func meant(ctx context.Context, c *client.Client, name string) (o *ownedBy, err error) {
	defer func() {
		if o == nil {
			c.Close()
		}
	}()
	bounded, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	status, err := c.Status(bounded)
	if err != nil {
		return nil, err
	}
	aim := aimAt(name, status.Apps)
	if _, err := chosen(status, []client.Target{aim}); err == nil {
		return &ownedBy{c, status, aim}, nil
	}
	for _, a := range status.Apps {
		if n := slices.IndexFunc(a.Instances, func(i client.Instance) bool { return i.Tree == name }); n >= 0 {
			return &ownedBy{c, status, client.Target{App: a.Name, Replica: a.Instances[n].Replica}}, nil
		}
	}
	return nil, unknownApp{name, status.Apps, true}
}

// asApp does something with an application, where a name means one, and says whether it
// did.
func (p *projectFlags) asApp(ctx context.Context, name string, do func(*ownedBy) error) (bool, error) {
	o, err := p.owner(ctx, name)
	if o == nil {
		return err != nil, err
	}
	defer o.Close()
	return true, failedError(do(o))
}
