package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// tree is a tree as the commands show it; the keys of its JSON are kept.
type tree struct {
	ID          string        `json:"id"`
	State       string        `json:"state"`
	Cause       string        `json:"cause,omitempty"`
	Command     []string      `json:"command"`
	Containment string        `json:"containment"`
	Started     time.Time     `json:"started"`
	Leader      *member       `json:"leader,omitempty"`
	LeaderEnded bool          `json:"leader_ended"`
	Members     []treeProcess `json:"members"`
	Shim        int           `json:"shim_pid"`
	Owner       *member       `json:"owner,omitempty"`
	Grace       *float64      `json:"grace_left_seconds,omitempty"`
	Lease       *float64      `json:"lease_left_seconds,omitempty"`
	LeaseMost   *float64      `json:"lease_most_seconds,omitempty"`
	Watchdog    *float64      `json:"watchdog_seconds,omitempty"`
	Ready       bool          `json:"ready"`
	Status      string        `json:"status,omitempty"`
	MainPID     int           `json:"main_pid,omitempty"`
	Outputs     []string      `json:"kept_outputs,omitempty"`
	Reader      int           `json:"reader_pid,omitempty"`
	Exit        *int          `json:"exit_status,omitempty"`
	Problem     string        `json:"problem,omitempty"`
}

// treeProcess is a member of a tree.
type treeProcess struct {
	PID     int       `json:"pid"`
	PPID    int       `json:"ppid"`
	PGID    int       `json:"pgid"`
	Session int       `json:"session"`
	State   string    `json:"state"`
	Started time.Time `json:"started,omitzero"`
	Name    string    `json:"name"`
	Args    []string  `json:"args,omitempty"`
}

// folders are where the trees of this user are found.
func folders() (state, runtime string, err error) { return journal.Folders() }

// find finds the entry of a tree.
func find(id string) (journal.Found, error) {
	if err := journal.ValidID(id); err != nil {
		return journal.Found{}, usageError{err}
	}
	state, _, err := folders()
	if err != nil {
		return journal.Found{}, err
	}
	found, err := journal.Find(state, id)
	if errors.Is(err, journal.ErrUnknown) {
		return found, hinted{fmt.Errorf("there is no tree %q", id), "foster ls lists the trees of this user"}
	}
	return found, err
}

// connect reaches the shim of a living tree.
func connect(id string) (journal.Found, *control.Client, error) {
	found, err := find(id)
	if err != nil {
		return found, nil, err
	}
	switch found.State {
	case journal.Living:
	case journal.Lost:
		return found, nil, hinted{fmt.Errorf("tree %q was lost: foster and its shim were killed", id), "foster recover ends what is left of it"}
	default:
		return found, nil, fmt.Errorf("tree %q has ended", id)
	}
	c, err := control.Dial(found.Entry.SocketPath)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return found, nil, fmt.Errorf("tree %q is just being started or ended", id)
	}
	return found, c, err
}

// refused names the tree in what its shim answered.
func refused(id string, err error) error {
	if r, ok := errors.AsType[*control.RefusedError](err); ok {
		return fmt.Errorf("tree %q: %s", id, r.Error())
	}
	return err
}

// describe gathers what is known of a tree.
func describe(found journal.Found) tree {
	e := found.Entry
	t := tree{
		ID: e.ID, State: found.State.String(), Command: e.Command, Containment: e.Containment.String(),
		Started: e.At, Shim: e.Shim.PID, Owner: known(e.Owner), Members: []treeProcess{},
	}
	if l := found.Life; l != nil {
		t.Leader, t.LeaderEnded, t.Cause = known(l.Leader), l.LeaderDone, l.Cause
		if l.Done {
			t.Exit = exitOf(l)
		}
	}
	if found.State != journal.Living {
		return t
	}
	t.State = "starting"
	c, err := control.Dial(e.SocketPath)
	if err == nil {
		defer c.Close()
		var s *wire.Status
		if s, err = c.Status(); err == nil {
			t.add(s)
		}
	}
	if err != nil {
		t.Problem = err.Error()
	}
	t.Members = members(e, t.Leader)
	if e.ShimSelf && t.Leader != nil {
		t.Leader.PID = leaderAmong(t.Members, e.Shim.PID) // it told a number of its own namespace
	}
	return t
}

func leaderAmong(list []treeProcess, shim int) int {
	for _, p := range list {
		if p.PPID == shim {
			return p.PID
		}
	}
	return 0
}

func known(m wire.Member) *member {
	if m.PID == 0 {
		return nil
	}
	return &member{PID: m.PID, Name: m.Name}
}

// add adds what the shim knows.
func (t *tree) add(s *wire.Status) {
	t.State, t.Leader, t.LeaderEnded, t.Owner = s.State, known(s.Leader), s.LeaderDone, known(s.Owner)
	t.Cause, t.Ready, t.Status, t.MainPID, t.Reader = s.Stopping, s.Ready, s.Text, s.MainPID, s.Reader
	seconds := func(to **float64, is bool, d time.Duration) {
		if is {
			v := d.Seconds()
			*to = &v
		}
	}
	seconds(&t.Grace, s.OwnerGone, s.GraceLeft)
	seconds(&t.Lease, s.HasLease, s.LeaseLeft)
	seconds(&t.LeaseMost, s.LeaseMax > 0, s.LeaseMax)
	seconds(&t.Watchdog, s.Watchdog > 0, s.Watchdog)
	if s.OwnerGone {
		t.Owner = nil
	}
	for _, o := range s.Outputs {
		t.Outputs = append(t.Outputs, map[uint8]string{1: "stdout", 2: "stderr"}[o])
	}
}

func members(e *wire.Entry, leader *member) []treeProcess {
	list := []treeProcess{}
	pid := 0
	if leader != nil {
		pid = leader.PID
	}
	stats, err := contain.List(e.Containment, e.Shim.PID, pid)
	if err != nil {
		return list
	}
	for _, s := range stats {
		list = append(list, newProcess(s))
	}
	return list
}

func newProcess(s procfs.Stat) treeProcess {
	p := treeProcess{
		PID: s.PID, PPID: s.PPID, PGID: s.PGID, Session: s.Session, Started: s.StartTime(),
		Name: s.Comm, Args: procfs.Cmdline(s.PID),
	}
	if s.State != 0 {
		p.State = string(rune(s.State))
	}
	return p
}

// exitOf is the status that foster run would have ended with.
func exitOf(l *wire.Life) *int {
	status := exitFoster
	if l.LeaderDone {
		status = waitStatus(l.LeaderEnd.Status)
	}
	switch {
	case len(l.End.Survivors) > 0:
		status = exitSurvivors
	case timedOut(foster.Cause(l.Cause)):
		status = exitTimeout
	}
	return &status
}

// timedOut says whether a run was stopped since it took too long.
func timedOut(c foster.Cause) bool { return c == foster.CauseExpired || c == foster.CauseWatchdog }

func waitStatus(w syscall.WaitStatus) int {
	if w.Signaled() {
		return 128 + int(w.Signal())
	}
	return w.ExitStatus()
}

// ids completes the names of living trees.
func ids() []string {
	state, _, err := folders()
	if err != nil {
		return nil
	}
	found, _, err := journal.Scan(state)
	if err != nil {
		return nil
	}
	var list []string
	for _, f := range found {
		if f.State == journal.Living {
			list = append(list, f.Entry.ID)
		}
	}
	slices.Sort(list)
	return list
}

// short writes a time for people, in at most two units.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

func secondsOf(s *float64) time.Duration { return time.Duration(*s * float64(time.Second)) }

// commandLine shortens a command for a column.
func commandLine(args []string) string {
	if len(args) == 0 {
		return "?"
	}
	return printable(strings.Join(append([]string{filepath.Base(args[0])}, args[1:]...), " "))
}

// parseTime reads a flag or argument that is a time, and not negative.
func parseTime(name, text string) (time.Duration, error) {
	d, err := units.Duration(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// holdOwner finds the process that is to be an owner.
func holdOwner(pid int) (wire.Member, int, error) {
	s, fd, err := procfs.Hold(pid)
	if err != nil {
		return wire.Member{}, -1, err
	}
	return wire.Member{PID: s.PID, Start: s.Start, Name: s.Comm}, fd, nil
}

func closeHandle(fd int) { sys.Close(fd) }
