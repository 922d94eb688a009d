package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// Status is what the supervisor knows now.
func (s *Supervisor) Status() client.Status {
	var status client.Status
	trees := map[string]*foster.Tree{}
	if s.ask(func() { status = s.status(trees) }) != nil {
		return client.Status{Project: s.project.Name}
	}
	measure(&status, trees)
	return status
}

// status is what the loop knows; it also gives the trees that are to be measured.
func (s *Supervisor) status(trees map[string]*foster.Tree) client.Status {
	status := client.Status{
		Project: s.project.Name, Version: s.options.Version, PID: os.Getpid(), Started: s.began, Daemon: s.options.Daemon,
		Dir: s.project.Dir, Files: s.project.Files, Given: s.project.Given, Seq: s.events.seq(),
	}
	for what, text := range s.problems {
		status.Problems = append(status.Problems, what+": "+text)
	}
	slices.Sort(status.Problems)
	for _, name := range s.order {
		a := s.apps[name]
		app := client.App{Name: name, Description: a.spec.Description, Replicas: len(a.instances), Instances: []client.Instance{}}
		if a.spec.Schedule != nil {
			app.Schedule = a.spec.Schedule.Cron
		}
		for _, i := range a.instances {
			app.Instances = append(app.Instances, i.report())
			if i.tree != nil {
				trees[i.treeID] = i.tree
			}
			if i.timetable != nil {
				next := i.timetable.Next()
				app.Next = &next
			}
		}
		status.Apps = append(status.Apps, app)
	}
	return status
}

func (i *instance) report() client.Instance {
	r := client.Instance{
		App: i.app.spec.Name, Replica: i.replica, Tree: i.treeID,
		State: i.m.State, Since: i.since, Cause: i.cause, Ready: i.ready, Health: i.health,
		Restarts: i.restarts, Due: i.dueTime(), Text: i.text, Survivors: i.left, Exit: i.exit,
	}
	if i.tree != nil {
		r.PID, r.Started, r.Containment = i.pid, i.started, string(i.tree.Containment())
	}
	return r
}

// measure adds what the process table says of the trees.
func measure(status *client.Status, trees map[string]*foster.Tree) {
	if len(trees) == 0 {
		return
	}
	table, err := proc.Take(0)
	if err != nil {
		return // it is told as no members and no memory, which nobody takes for true
	}
	for a := range status.Apps {
		for n := range status.Apps[a].Instances {
			i := &status.Apps[a].Instances[n]
			tree := trees[i.Tree]
			if tree == nil {
				continue
			}
			members, err := tree.Members()
			if err != nil {
				continue
			}
			i.Members = len(members)
			for _, m := range members {
				if p := table.Get(m.PID); p != nil {
					i.CPU += p.User + p.System + p.ChildUser + p.ChildSystem
					i.Memory += int64(p.Resident)
				}
			}
			if left, limited, err := tree.Lease(); err == nil && limited {
				i.LeaseLeft = &left
			}
		}
	}
}

// exitOf is how a run ended, as clients see it.
func exitOf(e foster.Exit) *client.Exit {
	x := &client.Exit{
		Cause: string(e.Cause), Started: e.Started, Ended: e.LastSeen(),
		User: e.Usage.User, System: e.Usage.System, MaxRSS: e.Usage.MaxRSS,
		Adopted: e.Adopted, Reaped: e.Reaped, Killed: e.Killed, OOMKills: e.OOMKills,
	}
	switch l := e.Leader; {
	case !l.Known:
	case l.Signal != 0:
		x.Signal, x.Core = units.SignalName(l.Signal), l.Core
	default:
		x.Code = &l.Code
	}
	return x
}

// Environment is what foster exec runs a command with.
func (s *Supervisor) Environment(name string, replica int) (client.Environment, error) {
	var e client.Environment
	err := s.one(name, replica, func(i *instance) error {
		e = client.Environment{Dir: i.spec.Dir, Env: i.spec.Env, User: i.spec.User, Group: i.spec.Group}
		return nil
	})
	return e, err
}

// one does something with one instance; replica 0 is the only one.
func (s *Supervisor) one(name string, replica int, do func(*instance) error) error {
	var err error
	asked := s.ask(func() {
		found, ferr := s.find([]client.Target{{App: name, Replica: replica}})
		switch {
		case ferr != nil:
			err = ferr
		case len(found) != 1:
			err = fmt.Errorf("%s has %d replicas: say which: %s.1 to %s.%d", name, len(found), name, name, len(found))
		default:
			err = do(found[0])
		}
	})
	return errors.Join(asked, err)
}

func (i *instance) failure(text string) client.Failure {
	f := client.Failure{App: i.app.spec.Name, Replica: i.replica, Text: text, Survivors: i.left}
	if i.m.State == client.Stuck && len(i.left) == 0 {
		f.Hint = "foster inspect " + i.treeID + " shows the tree that has its name; when that has ended, what was asked for last is done"
	}
	return f
}

// stuckFor says why an instance is stuck: processes are left of its run, or somebody else
// has a tree of its name, of which the cause tells.
func (i *instance) stuckFor(left string) string {
	if len(i.left) == 0 {
		return i.cause
	}
	return left
}
