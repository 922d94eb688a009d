package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
	"github.com/foster-init/foster/proc"
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
	Released    []member      `json:"released,omitempty"`
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

// find finds the entry of a tree.
func find(id string) (journal.Found, error) {
	if err := journal.ValidID(id); err != nil {
		return journal.Found{}, usageError{err}
	}
	state, _, err := journal.Folders()
	if err != nil {
		return journal.Found{}, err
	}
	found, err := journal.Find(state, id)
	if errors.Is(err, journal.ErrUnknown) {
		return found, hinted{unknownError(id), cmp.Or(config.Meant(id, ids()), "foster ls lists the trees of this user")}
	}
	return found, err
}

// unknownError is a name that no tree has.
type unknownError string

func (e unknownError) Error() string { return fmt.Sprintf("there is no tree %q", string(e)) }

// connect reaches the shim of a living tree.
func connect(id string) (journal.Found, *control.Client, error) {
	found, c, err := reach(id, answerTime)
	if err != nil {
		return found, nil, err
	}
	switch found.State {
	case journal.Living:
		return found, c, nil
	case journal.Lost:
		return found, nil, hinted{fmt.Errorf("tree %q %w", id, errLost), "foster recover ends what is left of it"}
	}
	return found, nil, hinted{fmt.Errorf("tree %q: %w", id, foster.ErrEnded), "foster wait " + id + " gives its exit status"}
}

var errLost = errors.New("was lost: foster and its shim were killed")

// reach finds a tree and, where it lives, connects to its shim. One that is just being
// started or ended has no socket: what becomes of it is a matter of moments.
func reach(id string, wait time.Duration) (journal.Found, *control.Client, error) {
	for until := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		found, err := find(id)
		if err != nil || found.State != journal.Living {
			return found, nil, err
		}
		c, err := control.DialWithin(found.Entry, wait)
		switch {
		case err == nil:
			return found, c, nil
		case !errors.Is(err, os.ErrNotExist) && !gone(err):
			return found, nil, refused(id, err)
		case time.Now().After(until):
			return found, nil, newHeldError(found)
		}
	}
}

// heldError is a tree that is held, and for which nobody answers.
type heldError struct {
	id    string
	ended bool        // as its shim has noted
	by    procfs.Halt // the process that holds it and doesn't go on; State 0: there is none
	who   string      // that is: its foster or its shim
}

// newHeldError looks who holds a tree.
func newHeldError(found journal.Found) *heldError {
	e := &heldError{id: found.Entry.ID, ended: found.Life != nil && found.Life.Done}
	state, _, err := journal.Folders()
	if err != nil {
		return e
	}
	for _, pid := range procfs.WithOpen(journal.Path(state, e.id)) {
		if h := procfs.HaltOf(pid); h.Stopped() || h.State != 0 && e.by.State == 0 {
			if e.by, e.who = h, "foster"; pid == found.Entry.Shim.PID {
				e.who = "shim"
			}
		}
	}
	return e
}

func (e *heldError) Error() string {
	if e.by.State != 0 && !e.ended {
		return fmt.Sprintf("tree %q: %s", e.id, e.why())
	}
	return fmt.Sprintf("tree %q %s", e.id, e.why())
}

func (e *heldError) why() string {
	switch {
	case e.by.State == 0 && e.ended:
		return "has ended, and its foster hasn't let go of it yet"
	case e.by.State == 0:
		return "is being started, ended or recovered: nobody answers for it yet"
	case e.ended:
		return fmt.Sprintf("has ended, but its %s (pid %d) is %v: it still has the tree's name and output", e.who, e.by.PID, e.by)
	}
	return fmt.Sprintf("its %s (pid %d) is %v, and nobody else answers", e.who, e.by.PID, e.by)
}

func (e *heldError) Unwrap() error {
	if e.ended {
		return foster.ErrEnded
	}
	return nil
}

// gone says whether an error means that the other side is no more.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// refused names the tree in what its shim answered, or that it doesn't.
func refused(id string, err error) error {
	if s, ok := errors.AsType[*control.SilentError](err); ok {
		return fmt.Errorf("tree %q: %w", id, s)
	}
	r, ok := errors.AsType[*control.RefusedError](err)
	if !ok {
		return err
	}
	named := fmt.Errorf("tree %q: %w", id, r)
	if h, ok := errors.AsType[hinted](err); ok {
		return hinted{named, h.hint}
	}
	return named
}

// describe gathers what is known of a tree, which may have ended since it was found.
func describe(found journal.Found) (journal.Found, tree) {
	var status *wire.Status
	var problem error
	if found.State == journal.Living {
		now, c, err := reach(found.Entry.ID, 3*time.Second)
		if c != nil {
			status, err = c.Status()
			c.Close()
		}
		if _, removed := errors.AsType[unknownError](err); removed {
			found.State = journal.Gone
		} else if err == nil {
			found = now
		}
		problem = err
	}
	e := found.Entry
	t := tree{
		ID: e.ID, State: found.State.String(), Command: e.Command, Containment: e.Containment.String(),
		Started: e.At, Shim: e.Shim.PID, Owner: known(e.Owner), Members: []treeProcess{},
	}
	if l := found.Life; l != nil {
		t.Leader, t.LeaderEnded, t.Cause = known(l.Leader), l.LeaderDone, l.Cause
		if l.Done {
			status := endOfLife(l).status()
			t.Exit = &status
		}
	}
	switch {
	case found.State == journal.Lost:
		left, unproven, err := contain.NewLost(e, found.Life).Find()
		switch {
		case err != nil:
			t.Problem = units.ErrorText(err)
		case len(unproven) > 0:
			var told foster.UnprovenError
			for _, u := range unproven {
				told.Unproven = append(told.Unproven, foster.Unproven{Process: foster.Process{PID: u.PID, Name: u.Comm}, In: u.In})
			}
			t.Problem = units.ErrorText(&told)
		}
		for _, s := range left {
			t.Members = append(t.Members, newProcess(s))
		}
		here := func(p treeProcess) bool { return t.Leader != nil && p.PID == t.Leader.PID }
		if !slices.ContainsFunc(t.Members, here) {
			t.Leader = nil // killed with its shim
		}
		return found, t
	case found.State != journal.Living:
		t.Owner = nil // it was its own
		return found, t
	case errors.Is(problem, control.ErrSilent):
		t.State = "no answer"
		t.Problem = fmt.Sprintf("no answer: is its shim stopped? kill -CONT %d lets it go on", e.Shim.PID)
		if s, ok := errors.AsType[*control.SilentError](problem); ok && s.Halt.State != 0 && s.Halt.State != 'T' {
			t.Problem = s.Error() + "; " + s.Hint()
		}
	case problem != nil:
		t.State = "changing"
		if h, ok := errors.AsType[*heldError](problem); ok && h.by.State != 0 {
			t.Problem = h.why() + "; " + h.by.Remedy()
		}
	default:
		t.add(status)
	}
	t.Members = t.held(members(e, t.Leader))
	if e.ShimSelf && t.Leader != nil {
		t.Leader.PID = leaderAmong(t.Members, e.Shim.PID) // it told a number of its own namespace
	}
	return found, t
}

// held leaves out those that were released, and those below them.
func (t *tree) held(list []treeProcess) []treeProcess {
	gone := map[int]bool{}
	for _, m := range t.Released {
		gone[m.PID] = true
	}
	held := []treeProcess{}
	for _, p := range list { // parents come before their children
		if gone[p.PID] = gone[p.PID] || gone[p.PPID]; !gone[p.PID] {
			held = append(held, p)
		}
	}
	return held
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
	for _, m := range s.LetGo {
		t.Released = append(t.Released, member{PID: m.PID, Name: m.Name})
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
	stats, err := new(contain.Table).List(e.Containment, e.Shim.PID, pid, e.SharedCgroup())
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
	if s.FirstEnded { // the arguments are known by its other threads
		if other, err := proc.Read(s.PID, proc.Args); err == nil {
			p.Args = other.Args
		}
	}
	if s.State != 0 {
		p.State = string(rune(s.State))
	}
	return p
}

// ids completes the names of living trees.
func ids() []string {
	state, _, err := journal.Folders()
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
	if d > longest {
		return 0, fmt.Errorf("%s: %q is too long: at most 100 years", name, text)
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
