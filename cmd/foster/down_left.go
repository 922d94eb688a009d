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
	"github.com/foster-init/foster/internal/api"
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
	if unfinishedOf(name, folder, now) == "" {
		say("there is nothing to stop")
		return errors.Join(removeLeftSockets(name, now), settle(name, folder))
	}
	lock, c, err := claimOf(name)
	if err != nil {
		return err
	}
	if c != nil { // one has begun meanwhile
		defer c.Close()
		err := downWhole(ctx, c, stderr)
		if errors.Is(err, client.ErrNotRunning) { // and was killed
			return p.downWithout(ctx, quiet, stderr, err)
		}
		return downError(err)
	}
	defer lock.Close()
	defer removeSockets(name, folder, now)
	left := unfinishedOf(name, folder, now)
	if left == "" { // another foster down has ended it
		say("another has ended what it had left")
		return nil
	}
	say(left)
	if err := endProject(ctx, name, now); err != nil {
		return err
	}
	return endRest(ctx, name, now, stderr)
}

// unfinishedOf says what is to be done of a project whose supervisor was killed; "": nothing.
func unfinishedOf(name, folder string, now *config.Project) string {
	var list []string
	add := func(what string, ids []string) {
		if len(ids) > 0 {
			list = append(list, what+strings.Join(ids, ", "))
		}
	}
	add("ending what it has left: ", append(idsOf(leftOf(name, now)), supervise.LeftActive(folder)...))
	add("finishing what has ended since: ", unheard(mayBeLeft(name, now)))
	add("cut short by its end, and not run again: ", supervise.CutShort(folder))
	return strings.Join(list, "; ")
}

// settle has the next foster up begin anew, as after any foster down, where one was killed and
// nothing is left of the project. Another foster up or down that has the project does that.
func settle(name, folder string) error {
	u := &upper{project: &config.Project{Name: name}, folder: folder}
	if !supervise.WasKilled(folder) {
		return nil
	}
	lock, err := u.tryLock()
	if err != nil || lock == nil {
		return err
	}
	defer lock.Close()
	if u.lockless != nil {
		return nil
	}
	return supervise.BeginAnew(folder)
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
	return downError(supervise.New(project, supervise.Options{State: folder, Version: version(), End: true}).Run(ctx))
}

// downError is what a foster down hasn't ended.
func downError(err error) error {
	failed, ok := errors.AsType[*client.FailedError](err)
	if !ok {
		return failedError(err)
	}
	if hint := failed.Failures[0].Hint; hint != "" {
		return hinted{survivedError{failed}, hint}
	}
	return survivedError{failed}
}

// endRest ends, in the reverse of their order, trees that are left of a project although it
// has ended: its notes tell nothing of them.
func endRest(ctx context.Context, name string, now *config.Project, stderr io.Writer) error {
	rest := leftOf(name, now)
	if len(rest) == 0 {
		return nil
	}
	lost, _, err := foster.Recover(ctx) // those that have no shim any more
	if err != nil {
		complain(stderr, err)
	}
	for _, f := range slices.Backward(rest) {
		if f.State != journal.Living {
			continue
		}
		if err := stopTree(f.Entry.ID, treeStop{}, stderr); err != nil {
			complain(stderr, err)
		}
	}
	if rest = leftOf(name, now); len(rest) == 0 {
		return nil
	}
	left := &client.FailedError{}
	for _, f := range rest {
		left.Failures = append(left.Failures, client.Failure{App: f.Entry.ID, Text: "can't be ended", Survivors: namesLeft(f, lost)})
	}
	return survivedError{left}
}

// namesLeft names who is left of a tree, or may be.
func namesLeft(f journal.Found, lost []foster.Recovered) (names []string) {
	for _, r := range lost {
		if left := r.Left(); r.ID == f.Entry.ID && left != nil {
			return []string{left.Error()}
		}
	}
	var leader *member
	if f.Life != nil {
		leader = known(f.Life.Leader)
	}
	for _, m := range members(f.Entry, leader) {
		names = append(names, fmt.Sprintf("%s (pid %d)", m.Name, m.PID))
	}
	return names
}

// removeSockets removes the sockets that a supervisor which was killed has left, of its own
// and of its applications. now is the project as its files have it; nil: they can't be read.
// The caller has the project's lock.
func removeSockets(name, folder string, now *config.Project) {
	_ = api.RemoveLeft(name) // it's tried again by the next foster up, down and recover
	applied, err := supervise.Applied(folder)
	for _, p := range []*config.Project{applied, now} {
		if p != nil && (p == now || err == nil) {
			supervise.RemoveStaleSockets(p)
		}
	}
}

// removeLeftSockets is removeSockets, unless another foster up or down has the project.
func removeLeftSockets(name string, now *config.Project) error {
	path, err := client.SocketPath(name)
	if err != nil {
		return err
	}
	folder, err := stateFolder(name)
	if err != nil {
		return err
	}
	_, serr := os.Lstat(path)
	if _, ferr := os.Lstat(folder); serr != nil && ferr != nil {
		return nil // no supervisor was here
	}
	u := &upper{project: &config.Project{Name: name}, folder: folder}
	lock, err := u.tryLock()
	if err != nil || lock == nil {
		return err
	}
	defer lock.Close()
	if u.lockless == nil {
		removeSockets(name, folder, now)
	}
	return nil
}
