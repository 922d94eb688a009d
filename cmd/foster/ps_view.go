package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// view is a snapshot of the process table with what foster ps and foster tree know
// beside it. What is expensive is looked up when it's first asked for.
type view struct {
	*proc.Table
	jobs      map[int]int // by process group
	listening map[int][]proc.Port
	closed    map[int]bool   // whose ports aren't known
	members   map[int]string // the trees that processes belong to; nil: not asked yet
}

// psAlways are the columns that each view has: whose a process is, what it's called,
// whether it is an orphan.
const psAlways = proc.Owner | proc.Args | proc.ForOrphans

func newView(want proc.Fields) (*view, error) {
	t, err := proc.Take(psAlways | want)
	if err != nil {
		return nil, err
	}
	return &view{Table: t, jobs: map[int]int{}}, nil
}

// psRow is a process in a list.
type psRow struct {
	*proc.Process
	view   *view
	branch string // in a forest: the picture before its command
}

// userNames are looked up once for each user: a view may be taken every second.
var userNames = map[int]string{}

// nameOfUser is the name of a user, or the number where there is no name.
func nameOfUser(uid int) string {
	if uid < 0 {
		return "?"
	}
	name, ok := userNames[uid]
	if !ok {
		name = strconv.Itoa(uid)
		if found := units.UserName(uid); found != "" {
			name = proc.Printable(found)
		}
		userNames[uid] = name
	}
	return name
}

// job is how many members of the process's group control it from outside.
func (v *view) job(p *proc.Process) (int, bool) {
	if !p.Knows(proc.Group|proc.Session|proc.Parent) || p.PGID == 0 {
		return 0, false
	}
	n, ok := v.jobs[p.PGID]
	if !ok {
		n = v.JobControl(p.PGID)
		v.jobs[p.PGID] = n
	}
	return n, true
}

// ports are where a process listens, and whether that is known.
func (v *view) ports(pid int) ([]proc.Port, bool) {
	if v.closed == nil {
		var unknown []int
		var err error
		v.closed = map[int]bool{}
		v.listening, unknown, err = v.Table.Ports()
		if err != nil {
			unknown = nil
			for i := range v.Processes {
				unknown = append(unknown, v.Processes[i].PID)
			}
		}
		for _, pid := range unknown {
			v.closed[pid] = true
		}
	}
	return v.listening[pid], !v.closed[pid]
}

// orphan says whether a process is an orphan, and why.
func (v *view) orphan(pid int) proc.Orphanhood { return orphanhood(v.Table, pid) }

// portText are ports as tcp:127.0.0.1:8080, in another network namespace with its number
// behind an @.
func portText(list []proc.Port) string {
	var words []string
	for _, p := range list {
		word := p.Network + ":" + p.Address.String()
		if p.Elsewhere {
			word += fmt.Sprintf("@%d", p.Namespace)
		}
		words = append(words, word)
	}
	return strings.Join(slices.Compact(words), ",")
}

// tree is the name of the tree of this user that a process belongs to.
func (v *view) tree(pid int) string {
	if v.members == nil {
		v.members = treeMembers()
	}
	return v.members[pid]
}

// treeMembers gives the processes of the living trees of this user.
func treeMembers() map[int]string {
	members := map[int]string{}
	state, _, err := journal.Folders()
	if err != nil {
		return members
	}
	found, _, err := journal.Scan(state)
	if err != nil {
		return members // foster ls says what is wrong with it
	}
	var table contain.Table
	for _, f := range found {
		if f.State != journal.Living {
			continue
		}
		leader := 0
		if f.Life != nil {
			leader = f.Life.Leader.PID
		}
		stats, err := table.List(f.Entry.Containment, f.Entry.Shim.PID, leader, f.Entry.SharedCgroup())
		if err != nil {
			continue
		}
		for _, s := range stats {
			members[s.PID] = f.Entry.ID
		}
	}
	return members
}

// marks are what is to be noticed of a process, in words.
func (v *view) marks(p *proc.Process) string {
	var words []string
	if p.Zombie() {
		words = append(words, "zombie")
	}
	switch o := v.orphan(p.PID).Verdict; {
	case o >= proc.Likely && v.tree(p.PID) != "":
		words = append(words, "held") // its parent is gone, but it isn't lost
	case o == proc.Certain:
		words = append(words, "orphan")
	case o == proc.Likely:
		words = append(words, "orphan?")
	}
	return strings.Join(words, " ")
}

// markColour is red for what has ended, yellow for what nobody waits for.
func markColour(marks string) colour {
	switch {
	case strings.Contains(marks, "zombie"):
		return red
	case strings.Contains(marks, "orphan"):
		return yellow
	}
	return plain
}

// command is what was started, as ps(1) shows it: the arguments with a blank
// between them, or the name in brackets where there are none.
func command(p *proc.Process) string {
	text := "[" + proc.Printable(p.Name) + "]"
	if len(p.Args) > 0 {
		words := make([]string, len(p.Args))
		for i, a := range p.Args {
			words[i] = proc.Printable(a)
		}
		text = strings.Join(words, " ")
	}
	if p.Zombie() {
		text += " <defunct>"
	}
	return text
}

// goesBy says whether a process goes by a name, which may be a pattern of the
// shell: its own name, or the last part of what was started. The kernel cuts the
// former to 15 bytes. Of a script, whose name is its interpreter's argument, that
// is tried, too.
func goesBy(p *proc.Process, pattern string) bool {
	names := []string{p.Name}
	for i, a := range p.Args {
		if i == 2 || i == 1 && strings.HasPrefix(a, "-") {
			break
		}
		names = append(names, filepath.Base(a))
	}
	return slices.ContainsFunc(names, func(name string) bool {
		ok, err := filepath.Match(pattern, strings.ReplaceAll(name, "/", "_"))
		return name == pattern || ok && err == nil
	})
}

// validPattern says what is wrong with a pattern of the shell.
func validPattern(pattern string) error {
	if pattern == "" {
		return errors.New("a name can't be empty")
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return errors.New(strconv.Quote(pattern) + " is not a pattern: want a name, in which * and ? stand for any characters and [a-z] for one of some")
	}
	return nil
}

// clock is a processor time as ps(1) shows it: [days-]hours:minutes:seconds.
func clock(d time.Duration) string {
	s := int64(d / time.Second)
	text := two(s/3600%24) + ":" + two(s/60%60) + ":" + two(s%60)
	if days := s / 86400; days > 0 {
		text = two(days) + "-" + text
	}
	return text
}

// elapsed is an age as ps(1) shows it: [[days-]hours:]minutes:seconds.
func elapsed(d time.Duration) string {
	text := clock(d)
	if d < time.Hour {
		return text[3:]
	}
	return text
}

func two(n int64) string {
	if n < 10 {
		return "0" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// sized is a number of bytes for people.
func sized(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	v, u := float64(n)/1024, 0
	for v >= 999.5 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	digits := 0
	if v < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + units[u:u+1]
}
