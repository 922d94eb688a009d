package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/history"
	"github.com/foster-init/foster/internal/logs"
)

// What foster logs, history and events look back at: the supervisor of a project, or where
// none lives, or the one that does doesn't answer, what is in the folder of its state. That
// is only read.

// lookback is either of them.
type lookback interface {
	Status(context.Context) (client.Status, error)
	Logs(context.Context, client.LogQuery) iter.Seq2[client.Line, error]
	History(ctx context.Context, app string, replica, newest int) ([]client.Run, error)
	Events(ctx context.Context, after uint64, follow bool) iter.Seq2[client.Event, error]
}

// withPast is withProject for who looks back, and for those who are named. Who wants to
// follow needs a supervisor.
func (p *projectFlags) withPast(ctx context.Context, stderr io.Writer, names []string, follow bool, do func(lookback, client.Status, []client.Target) error) error {
	look := func(l lookback) error {
		status, err := l.Status(ctx)
		if err != nil {
			return err
		}
		of := make([]client.Target, len(names))
		for n, name := range names {
			of[n] = aimAt(name, status.Apps)
		}
		return unknownAmong(ctx, l, names, do(l, status, of))
	}
	c, err := p.dial(ctx)
	silent := errors.Is(err, client.ErrNoAnswer)
	if (silent || errors.Is(err, client.ErrNotRunning)) && !follow {
		if l := p.left(); l != nil {
			if silent {
				fmt.Fprintf(stderr, "foster: %v: this is what it has kept\n", err)
			}
			return failedError(look(l))
		}
	}
	if err != nil {
		return err
	}
	defer c.Close()
	return failedError(look(c))
}

// left is what a supervisor has left.
type left struct {
	folder string
	logs   *logs.Store
	files  *config.Project // as they are now; nil: they can't be read
}

// left finds what the last supervisor of the project has left; nil: there was none.
func (p *projectFlags) left() *left {
	name, err := p.given()
	files, ferr := p.load()
	if ferr != nil {
		files = nil // the name is enough
	}
	if name == "" && files != nil {
		name = files.Name
	}
	folder, serr := stateFolder(name)
	if name == "" || err != nil || serr != nil {
		return nil
	}
	if _, err := os.Stat(folder); err != nil {
		return nil
	}
	return &left{folder, logs.NewStore(filepath.Join(folder, "logs"), nil), files}
}

// Status has only the applications: those of the files, and others that have a log.
func (l *left) Status(context.Context) (s client.Status, err error) {
	kept, err := l.logs.Kept()
	if err != nil {
		return s, err
	}
	slices.SortFunc(kept, func(a, b client.Target) int { return cmp.Compare(a.App, b.App) })
	if l.files != nil {
		var those []client.Target
		for _, a := range l.files.Apps {
			those = append(those, client.Target{App: a.Name, Replica: a.Replicas})
		}
		kept = append(those, kept...)
	}
	for _, t := range kept {
		n := slices.IndexFunc(s.Apps, func(a client.App) bool { return a.Name == t.App })
		if n < 0 {
			n = len(s.Apps)
			s.Apps = append(s.Apps, client.App{Name: t.App})
		}
		for a := &s.Apps[n]; a.Replicas < t.Replica; {
			a.Replicas++
			a.Instances = append(a.Instances, client.Instance{App: t.App, Replica: a.Replicas})
		}
	}
	return s, nil
}

// Logs reads the files of the logs.
func (l *left) Logs(ctx context.Context, query client.LogQuery) iter.Seq2[client.Line, error] {
	return l.logs.Read(ctx, logs.Query{LogQuery: query, Logs: func() (list []*logs.Log, err error) {
		status, err := l.Status(ctx)
		if err != nil {
			return nil, err
		}
		of, err := chosen(status, query.Targets)
		for _, i := range of {
			list = append(list, l.logs.Log(i.App, i.Replica))
		}
		return list, err
	}})
}

// History reads the runs. An application that there was is known by them.
func (l *left) History(ctx context.Context, app string, replica, newest int) ([]client.Run, error) {
	kept, err := history.OpenLeft(l.folder)
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	runs, err := kept.Runs(app, replica, newest)
	if err != nil || len(runs) > 0 {
		return runs, err
	}
	status, err := l.Status(ctx)
	if err == nil {
		_, err = chosen(status, []client.Target{{App: app, Replica: replica}})
	}
	return nil, err
}

// chunk is how many events are read at a time.
const chunk = 512

// Events reads the events that are kept.
func (l *left) Events(_ context.Context, after uint64, _ bool) iter.Seq2[client.Event, error] {
	return func(yield func(client.Event, error) bool) {
		kept, err := history.OpenLeft(l.folder)
		if err != nil {
			yield(client.Event{}, fmt.Errorf("read the events: %w", err))
			return
		}
		defer kept.Close()
		for {
			events, err := kept.Events(after, chunk)
			if err != nil {
				yield(client.Event{}, fmt.Errorf("read the events: %w", err))
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			if len(events) < chunk {
				return
			}
		}
	}
}
