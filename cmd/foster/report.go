package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/escape"
	"github.com/foster-init/foster/internal/units"
)

// lostLine says that the start script is gone and the application lives on.
func lostLine(c *foster.Cmd, t *foster.Tree, e foster.Event, goesOn bool) string {
	line := fmt.Sprintf("%s %s; %s %s on",
		named(filepath.Base(c.Path), t.Leader()), ended(e.Status),
		processNames(e.Processes, len(e.Processes)), plural(len(e.Processes), "lives", "live"))
	if !goesOn {
		line += plural(len(e.Processes), ", and is stopped", ", and are stopped")
	}
	return line
}

// ownerGoneLine says that the owner is gone, and what could be done.
func ownerGoneLine(e foster.Event, id string) string {
	line := fmt.Sprintf("the owner, %s (pid %d), is gone", printable(e.Text), e.PID)
	if e.Left == 0 {
		return line + ": stopping"
	}
	return fmt.Sprintf("%s: foster claim %s takes the tree over within %s", line, id, short(e.Left))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// endLine says how a run ended whose start script was lost.
func endLine(exit foster.Exit) string {
	if exit.Released {
		return "the rest was let go"
	}
	if len(exit.Survivors) > 0 {
		return count(len(exit.Survivors), "process") + " couldn't be ended"
	}
	if exit.Containment == foster.Group {
		return "nothing is left of the process group; what left it isn't held"
	}
	switch {
	case exit.Counted:
	case exit.TreeEmpty.IsZero():
		return "nobody knows whether something is left"
	default:
		return "nothing is left"
	}
	left := "nothing is left"
	if len(exit.ReleasedProcesses) > 0 {
		left += " but what was released"
	}
	line := left + ": " + count(exit.Adopted, "orphan") + " adopted and reaped"
	if exit.Killed > 0 {
		line += fmt.Sprintf(", %d ended by SIGKILL", exit.Killed)
	}
	return line
}

// ended is a status in words.
func ended(s foster.Status) string {
	switch {
	case !s.Known:
		return "ended, nobody knows how"
	case s.Signal != 0 && s.Core:
		return "was killed by " + units.SignalName(s.Signal) + " and dumped core"
	case s.Signal != 0:
		return "was killed by " + units.SignalName(s.Signal)
	}
	return fmt.Sprintf("exited with status %d", s.Code)
}

// named is a process for people, with its number where it has one here.
func named(name string, pid int) string {
	if pid == 0 {
		return printable(name)
	}
	return fmt.Sprintf("%s (pid %d)", printable(name), pid)
}

// processNames lists processes for people, and how many more there were.
func processNames(list []foster.Process, total int) string {
	const most = 5
	var names []string
	for _, p := range list[:min(len(list), most)] {
		names = append(names, named(p.Name, p.PID))
	}
	if more := total - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// report is what foster run --report json prints; its keys are kept.
type report struct {
	ID          string    `json:"id"`
	Command     []string  `json:"command"`
	Containment string    `json:"containment"`
	Cause       string    `json:"cause"`
	Leader      member    `json:"leader"`
	LeaderLost  bool      `json:"leader_lost"`
	LivedOn     []member  `json:"lived_on,omitempty"`
	Started     time.Time `json:"started"`
	LeaderEnded time.Time `json:"leader_ended,omitzero"`
	TreeEmpty   time.Time `json:"tree_empty,omitzero"`
	Adopted     *int      `json:"adopted,omitempty"` // what nobody has counted is left out
	Reaped      *int      `json:"reaped,omitempty"`
	Killed      *int      `json:"killed,omitempty"`
	KilledOnes  []member  `json:"killed_processes,omitempty"`
	OOMKills    int       `json:"oom_kills,omitempty"`
	Released    bool      `json:"released,omitempty"`
	LetGo       []member  `json:"released_processes,omitempty"` // and lived at the end
	Orphans     []member  `json:"orphans,omitempty"`
	Survivors   []member  `json:"survivors,omitempty"`
	Usage       *usage    `json:"usage,omitempty"`
	LeaderUsage *usage    `json:"leader_usage,omitempty"`
}

type member struct {
	PID    int    `json:"pid,omitempty"`
	Name   string `json:"name"`
	Code   *int   `json:"exit_code,omitempty"`
	Signal string `json:"signal,omitempty"`
	Core   bool   `json:"core_dumped,omitempty"`
	Why    string `json:"why,omitempty"`
}

type usage struct {
	User   float64 `json:"user_seconds"`
	System float64 `json:"system_seconds"`
	MaxRSS int64   `json:"max_rss_bytes"`
}

func newMember(pid int, name string, s foster.Status) member {
	m := member{PID: pid, Name: name, Core: s.Core}
	switch {
	case !s.Known: // neither code nor signal: never told as 0
	case s.Signal != 0:
		m.Signal = units.SignalName(s.Signal)
	default:
		m.Code = &s.Code
	}
	return m
}

func newUsage(u foster.Usage) *usage {
	return &usage{u.User.Seconds(), u.System.Seconds(), u.MaxRSS}
}

func newMembers(list []foster.Process) (members []member) {
	for _, p := range list {
		members = append(members, member{PID: p.PID, Name: p.Name})
	}
	return members
}

func newReport(c *foster.Cmd, exit foster.Exit, livedOn []foster.Process) report {
	r := report{
		ID: exit.ID, Command: c.Args, Containment: string(exit.Containment), Cause: string(exit.Cause),
		Leader:     newMember(exit.LeaderPID, filepath.Base(c.Path), exit.Leader),
		LeaderLost: exit.LeaderLost, Started: exit.Started, LeaderEnded: exit.LeaderEnded, TreeEmpty: exit.TreeEmpty,
		LivedOn: newMembers(livedOn), KilledOnes: newMembers(exit.KilledProcesses),
		OOMKills: exit.OOMKills, Released: exit.Released, LetGo: newMembers(exit.ReleasedProcesses),
	}
	if exit.Counted {
		r.Adopted, r.Reaped, r.Usage = &exit.Adopted, &exit.Reaped, newUsage(exit.Usage)
	}
	if exit.Counted || exit.Killed > 0 {
		r.Killed = &exit.Killed
	}
	if !exit.LeaderEnded.IsZero() {
		r.LeaderUsage = newUsage(exit.LeaderUsage)
	}
	for _, o := range exit.Orphans {
		r.Orphans = append(r.Orphans, newMember(o.PID, o.Name, o.Status))
	}
	for _, s := range exit.Survivors {
		r.Survivors = append(r.Survivors, member{PID: s.PID, Name: s.Name, Why: s.String()})
	}
	return r
}

// reportText tells what happened to whom, in the form that was asked for.
func reportText(form string, c *foster.Cmd, exit foster.Exit, livedOn []foster.Process) string {
	switch form {
	case "json":
		var b strings.Builder
		_ = escape.JSON(&b).Encode(newReport(c, exit, livedOn)) // it has nothing that JSON hasn't
		return b.String()
	case "text":
		return textReport(c, exit)
	}
	return ""
}

// textReport draws the run as a tree: the leader, and below it those who were
// orphaned.
func textReport(c *foster.Cmd, exit foster.Exit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "foster: %s ran for %v in a %s (%s)\n",
		printable(c.String()), exit.LastSeen().Sub(exit.Started).Round(time.Millisecond), exit.Containment, exit.Cause)
	fmt.Fprintf(&b, "%s %s\n", named(filepath.Base(c.Path), exit.LeaderPID), ended(exit.Leader))
	var below []string
	for _, o := range exit.Orphans {
		number := ""
		if exit.Containment == foster.PIDNS {
			number = " in its namespace"
		}
		below = append(below, fmt.Sprintf("%s (pid %d%s) orphaned, adopted; %s", printable(o.Name), o.PID, number, ended(o.Status)))
	}
	if more := exit.Adopted - len(exit.Orphans); more > 0 && len(exit.Survivors) == 0 {
		below = append(below, fmt.Sprintf("%d more orphaned, adopted and reaped", more))
	}
	for _, p := range exit.ReleasedProcesses {
		below = append(below, fmt.Sprintf("%s (pid %d) was released, and lives on: nobody watches it", printable(p.Name), p.PID))
	}
	for _, s := range exit.Survivors {
		below = append(below, printable(s.String()))
	}
	for i, line := range below {
		branch := "├─ "
		if i == len(below)-1 {
			branch = "└─ "
		}
		b.WriteString(branch + line + "\n")
	}
	b.WriteString(counts(exit) + "\n")
	return b.String()
}

// counts is what was counted, in one line.
func counts(exit foster.Exit) string {
	switch {
	case exit.Counted:
		return fmt.Sprintf("%d reaped, %d adopted, %d ended by SIGKILL; %v user, %v system, at most %.1f MiB",
			exit.Reaped, exit.Adopted, exit.Killed, exit.Usage.User.Round(time.Millisecond),
			exit.Usage.System.Round(time.Millisecond), float64(exit.Usage.MaxRSS)/(1<<20))
	case exit.Killed > 0:
		return fmt.Sprintf("%d ended by SIGKILL; nobody has counted more, since the shim has died", exit.Killed)
	}
	return "nobody has counted, since the shim has died"
}
