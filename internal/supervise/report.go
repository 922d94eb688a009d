package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// Status is what the supervisor knows now.
func (s *Supervisor) Status() client.Status {
	var status client.Status
	s.logs.Look()
	trees := map[string]measured{}
	if s.ask(func() { status = s.status(trees) }) != nil {
		return client.Status{Project: s.project.Name}
	}
	s.measure(&status, trees)
	return status
}

// Rest is how a project is of which nothing runs.
type Rest struct {
	Failed  bool // and some of it has
	Watches bool // and some of it has ended, and is started again when its files change
}

// AtRest says how the project is, where nothing of it runs, nor will by its schedule or
// after a pause.
func (s *Supervisor) AtRest() (r Rest, ok bool) {
	asked := s.ask(func() {
		ok = true
		for _, a := range s.apps {
			for _, i := range a.instances {
				switch i.m.State {
				case client.Failed:
					r.Failed = true
				case client.Completed:
					ok = ok && !i.m.Active
				case client.Stopped:
					continue
				default:
					ok = false
				}
				r.Watches = r.Watches || a.watched != nil && a.watched.Signal == 0
			}
		}
	})
	return r, ok && asked == nil
}

// measured is a tree that is to be measured.
type measured struct {
	tree   *foster.Tree
	leased bool
	meter  *meter
}

// status is what the loop knows; it also gives the trees that are to be measured.
func (s *Supervisor) status(trees map[string]measured) client.Status {
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
				trees[i.treeID] = measured{i.tree, i.current.Lease.Time > 0, i.meter}
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
		Active:    i.m.Active,
		LostLines: i.lostLines,
	}
	if i.tree != nil {
		r.PID, r.Started, r.Containment = i.pid, i.started, string(i.tree.Containment())
		if i.forked {
			r.PID = 0 // that process has ended
		}
		return r
	}
	r.NotStarted, r.BlockedBy = i.notStarted()
	return r
}

// notStartedWords begins the cause of a run that didn't come to be.
const notStartedWords = "not started: "

// notStarted says why an instance couldn't be started when it was to run last, and which
// application is why, where it is another.
func (i *instance) notStarted() (why, blocker string) {
	if i.refused && i.m.State != client.Stopped {
		name, _, _ := strings.Cut(i.cause, " ") // as dependenciesOf says it
		for _, d := range i.spec.DependsOn {
			if replica, ok := strings.CutPrefix(name, d.App); ok && (replica == "" || replica[0] == '.') {
				blocker = d.App
			}
		}
		return i.cause, blocker
	}
	if i.exit != nil {
		if why, ok := strings.CutPrefix(i.exit.Cause, notStartedWords); ok {
			return why, ""
		}
	}
	return "", ""
}

// StartHint says where to look for why an instance couldn't be started: its log, which has
// nothing of a run that didn't come to be, doesn't tell. "": it was started.
func StartHint(i client.Instance) string {
	switch {
	case i.BlockedBy != "":
		return fmt.Sprintf("%s depends on %s: foster logs %[2]s shows what that has said, foster events %[2]s what has happened to it", i.App, i.BlockedBy)
	case i.NotStarted != "":
		return fmt.Sprintf("it wasn't started, so that its log has nothing of this: foster events %s shows what was tried", i.App)
	}
	return ""
}

// measure adds what the process table says of the trees, and what is left of leases.
func (s *Supervisor) measure(status *client.Status, trees map[string]measured) {
	var found, starting []*client.Instance
	var list []*foster.Tree
	for a := range status.Apps {
		for n := range status.Apps[a].Instances {
			switch i := &status.Apps[a].Instances[n]; {
			case trees[i.Tree].tree != nil:
				found = append(found, i)
				list = append(list, trees[i.Tree].tree)
			case i.State == client.Starting && time.Since(i.Since) > slowStart/5:
				starting = append(starting, i)
			}
		}
	}
	if len(found)+len(starting) == 0 {
		return
	}
	askLeases(found, trees)
	s.metering.Lock()
	defer s.metering.Unlock()
	for _, i := range found {
		i.CPU = trees[i.Tree].meter.most
	}
	table, err := proc.Take(0)
	if err != nil {
		return // it is told as no members and no memory, which nobody takes for true
	}
	for n, i := range found {
		i.ShimStopped = stoppedShim(table, list[n].Shim())
	}
	for _, i := range starting {
		i.ShimStopped = stoppedShimBelow(table)
	}
	members, err := foster.Members(list)
	if err != nil {
		return
	}
	for n, i := range found {
		i.Members = len(members[n])
		now := map[int]spending{}
		for _, m := range members[n] {
			if p := table.Get(m.PID); p != nil {
				now[m.PID] = spendingOf(p)
				i.Memory += int64(p.Resident)
			}
		}
		i.CPU = trees[i.Tree].meter.look(now)
	}
}

// stoppedShim is the number of a shim that is stopped; 0: it isn't.
func stoppedShim(table *proc.Table, pid int) int {
	if p := table.Get(pid); p != nil && (p.State == 'T' || p.State == 't') {
		return pid
	}
	return 0
}

// stoppedShimBelow finds a shim of this program that is stopped: a start may wait for it.
func stoppedShimBelow(table *proc.Table) int {
	for _, p := range table.Children(os.Getpid()) {
		if pid := stoppedShim(table, p.PID); pid != 0 && shim.IsShim(pid) {
			return pid
		}
	}
	return 0
}

// askLeases asks the shims of the trees that have leases how much is left.
func askLeases(found []*client.Instance, trees map[string]measured) {
	var leased []*foster.Tree
	for _, i := range found {
		if t := trees[i.Tree]; t.leased {
			leased = append(leased, t.tree)
		}
	}
	left := askShims(leased, func(t *foster.Tree) (*time.Duration, error) {
		left, limited, err := t.Lease()
		if !limited {
			return nil, err
		}
		return &left, err
	})
	for _, i := range found {
		i.LeaseLeft = left[trees[i.Tree].tree]
	}
}

// exitOf is how a run ended, as clients see it.
func exitOf(e foster.Exit) *client.Exit {
	x := &client.Exit{
		Cause: string(e.Cause), Started: e.Started, Ended: e.LastSeen(), Counted: e.Counted,
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
		e = client.Environment{Dir: i.spec.Dir, Env: environment(&i.spec), User: i.spec.User, Group: i.spec.Group, Groups: i.spec.Groups}
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
	f := client.Failure{App: i.app.spec.Name, Replica: i.replica, Name: i.name(), Text: text, Survivors: i.left}
	if i.m.State == client.Stuck && len(i.left) == 0 {
		f.Hint = "foster inspect " + i.treeID + " shows the tree that has its name; when that has ended, what was asked for last is done"
	} else if i.tree == nil {
		f.Hint = StartHint(i.report())
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
