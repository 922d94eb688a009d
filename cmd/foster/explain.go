package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/proc"
)

// explanation is what foster explain tells; the keys of its JSON are kept.
type explanation struct {
	PID         int          `json:"pid"`
	Name        string       `json:"name"`
	Args        []string     `json:"args,omitempty"`
	Summary     string       `json:"summary"`
	Exe         string       `json:"exe,omitempty"`
	Dir         string       `json:"directory,omitempty"`
	User        string       `json:"user"`
	Started     time.Time    `json:"started,omitzero"`
	Memory      uint64       `json:"memory_bytes"`
	State       string       `json:"state"`
	StateMeans  string       `json:"state_means"`
	PPID        int          `json:"ppid"`
	Group       int          `json:"pgid"`
	Session     int          `json:"session"`
	GroupGone   bool         `json:"group_leader_gone"`
	SessionGone bool         `json:"session_leader_gone"`
	Parents     []relative   `json:"parents"`
	Below       []relative   `json:"below"`
	Orphan      string       `json:"orphan"`
	Reasons     []string     `json:"reasons"`
	AdoptedBy   int          `json:"adopted_by,omitempty"`
	BelowOrphan int          `json:"below_orphan,omitempty"`
	Zombie      bool         `json:"zombie"`
	ZombieTells []string     `json:"zombie_tells,omitempty"`
	LivesOn     []relative   `json:"lives_on,omitempty"`
	Foster      bool         `json:"foster,omitempty"`
	Reaper      string       `json:"reaper"`
	Ports       []string     `json:"ports,omitempty"`
	OtherPorts  []otherPort  `json:"ports_elsewhere,omitempty"`
	NoPorts     bool         `json:"ports_unknown,omitempty"`
	Port        uint16       `json:"port,omitempty"`
	Holders     []portHolder `json:"port_holders,omitempty"`
	Custody     *custody     `json:"custody,omitempty"`
	LostTree    string       `json:"lost_tree,omitempty"`
	Service     string       `json:"service,omitempty"`
	Advice      []advice     `json:"advice"`

	process *proc.Process
	orphan  proc.Orphanhood
	habit   *proc.Neglect // of its parent, where it is a zombie

	groupWords, sessionWords string

	unproven int    // orphans that a zombie may have left behind, which nothing proves
	network  uint64 // the network namespace that it is in, where that isn't this command's
}

// relative is a process above or below the one that is explained.
type relative struct {
	PID        int         `json:"pid"`
	PPID       int         `json:"ppid"`
	Name       string      `json:"name"`
	Command    string      `json:"command"`
	State      string      `json:"state"`
	Depth      int         `json:"depth,omitempty"`
	Ports      []string    `json:"ports,omitempty"`
	OtherPorts []otherPort `json:"ports_elsewhere,omitempty"`
	Verdict    string      `json:"verdict,omitempty"` // of who lives on: how certain that is
	Reason     string      `json:"reason,omitempty"`
}

// advice is a command to type, and what it does.
type advice struct {
	Command string `json:"command"`
	Does    string `json:"does"`
}

const explainFields = orphanFields | proc.ForZombies | proc.Exe

// newExplain is foster explain.
func newExplain(stdout io.Writer) *cobra.Command {
	var form, port string
	cmd := &cobra.Command{
		Use:   "explain [flags] PID | :PORT",
		Short: "Say in plain words what a process is, and what to do about it",
		Long: `Say in plain words what a process is: its state, its line of parents, who reaps it,
whether it is an orphan or a zombie and why, which foster holds it, at which ports
it listens, and what to type. With a port, it's about the process that holds it in
this network namespace.

  foster explain 4711
  foster explain :8080`,
		Args: func(cmd *cobra.Command, args []string) error {
			if port != "" && len(args) == 0 {
				return nil
			}
			return needs("foster explain 4711, or foster explain :8080", "the number of a process, or of a port")(cmd, args)
		},
		ValidArgsFunction: completeOrphans,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			what := ":" + port
			if len(args) > 0 && port != "" {
				return usageError{fmt.Errorf("either a process or --port, not both: got %q", args[0])}
			} else if len(args) > 0 {
				what = args[0]
			}
			e, err := explain(what)
			if err != nil {
				return err
			}
			if form == "json" {
				return writeJSON(stdout, e)
			}
			return e.write(stdout)
		},
	}
	outputFlag(cmd, &form)
	cmd.Flags().StringVarP(&port, "port", "p", "", "the process that holds this `port`")
	return cmd
}

// explain gathers all about the process that was asked for.
func explain(what string) (*explanation, error) {
	number, isPort := strings.CutPrefix(what, ":")
	port, err := uint64(0), error(nil)
	if isPort {
		if port, err = strconv.ParseUint(number, 10, 16); err != nil || port == 0 {
			return nil, usageError{fmt.Errorf("%q is not the number of a port", number)}
		}
	} else if _, err := parsePID(what); err != nil {
		return nil, notByName(what, err)
	}
	h, err := takeHost(explainFields)
	if err != nil {
		return nil, err
	}
	if isPort {
		holders, err := h.holdersOf(uint16(port))
		if err != nil {
			return nil, err
		}
		return h.explain(holders[0].process, uint16(port), holders), nil
	}
	p, err := h.process(what)
	if err != nil {
		return nil, h.maybePort(what, err)
	}
	if err := h.readPorts(0); err != nil {
		return nil, err
	}
	return h.explain(p, 0, nil), nil
}

// explain tells of a process, and of those who have the port that was asked for.
func (h *host) explain(p *proc.Process, port uint16, holders []portHolder) *explanation {
	o := orphanhood(h.table, p.PID)
	e := &explanation{
		PID: p.PID, Name: p.Name, Args: p.Args, Exe: p.Exe, Dir: workingDir(p), User: userOf(p), Started: p.Started(),
		Memory: p.Resident, State: p.State.String(), StateMeans: stateMeans(p), PPID: p.PPID, Group: p.PGID, Session: p.Session,
		GroupGone: o.LostGroup, SessionGone: o.LostSession, Parents: []relative{}, Below: []relative{},
		Orphan: o.Verdict.String(), Reasons: o.Reasons, AdoptedBy: o.AdoptedBy, Zombie: p.Zombie(), Service: o.Service,
		NoPorts: h.noPorts[p.PID], Custody: h.custody(p.PID), process: p, orphan: o,
		Foster: isFoster(p), Port: port, Holders: holders,
	}
	e.Ports, e.OtherPorts = portNames(h.ports[p.PID])
	if p.Knows(proc.Namespaces) && h.network > 0 && p.NetNamespace != h.network {
		e.network = p.NetNamespace
	}
	for _, a := range h.table.Ancestors(p.PID) {
		e.Parents = append(e.Parents, newRelative(a, 0, nil))
	}
	h.table.Walk(p.PID, func(d *proc.Process, depth int) bool {
		e.Below = append(e.Below, newRelative(d, depth, h.ports[d.PID]))
		return true
	})
	if e.Custody == nil && !p.Zombie() {
		e.LostTree = lostTree(p.PID)
	}
	if root := h.orphanAbove(p); root != nil && o.Verdict == proc.No {
		e.BelowOrphan = root.PID
	}
	if p.Zombie() {
		h.explainZombie(e)
	}
	e.groupWords, e.sessionWords = h.groupWords(p.PGID, p, o.LostGroup), h.groupWords(p.Session, p, o.LostSession)
	e.Reaper = h.reaper(e)
	e.Summary = h.summary(e)
	e.Advice = h.advise(e)
	return e
}

func newRelative(p *proc.Process, depth int, ports []proc.Port) relative {
	r := relative{PID: p.PID, PPID: p.PPID, Name: p.Name, Command: p.CommandLine(), State: p.State.String(), Depth: depth}
	r.Ports, r.OtherPorts = portNames(ports)
	return r
}

// explainZombie adds how it ended, and what its parent does about it.
func (h *host) explainZombie(e *explanation) {
	e.LivesOn, e.unproven = h.livesOn(e.process)
	for _, n := range h.table.Zombies() {
		if n.PID == e.PPID {
			e.habit = &n
			e.ZombieTells = append(e.ZombieTells, endTold(e.process))
			if !tracedByAnother(e.process) {
				e.ZombieTells = append(e.ZombieTells, neglectWords(&n)...)
			}
		}
	}
}

// orphanAbove is the orphan that a process descends from; nil: none.
func (h *host) orphanAbove(p *proc.Process) *proc.Process {
	for _, a := range h.table.Ancestors(p.PID) {
		if h.spared(a) == "" && orphanhood(h.table, a.PID).Verdict >= proc.Likely {
			return a
		}
	}
	return nil
}

// write writes it for people.
func (e *explanation) write(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s\n\n", e.Summary)
	e.writeFacts(b)
	e.writeHolders(b)
	b.WriteString("\nParents, and what is below it:\n")
	e.writeLine(b)
	if c := e.Custody; c != nil && c.Tree != "" {
		fmt.Fprintf(b, "\nIs it an orphan? no: held by foster: tree %s\n", c.Tree)
	} else if c != nil {
		fmt.Fprintf(b, "\nIs it an orphan? no: held by foster: its shim is process %d\n", c.Shim)
	} else {
		e.writeReasons(b)
	}
	if e.Zombie {
		b.WriteString("\nWhy it is a zombie:\n")
		for _, t := range e.ZombieTells {
			fmt.Fprintf(b, "  - %s\n", t)
		}
	}
	fmt.Fprintf(b, "\nWho reaps it:\n  %s\n", e.Reaper)
	if len(e.Advice) > 0 {
		b.WriteString("\nWhat to do:\n")
	}
	for _, a := range e.Advice {
		fmt.Fprintf(b, "  %s\n      %s\n", a.Command, a.Does)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeHolders writes who has the port that was asked for, where that isn't one process
// that listens there.
func (e *explanation) writeHolders(b *strings.Builder) {
	if len(e.Holders) == 0 || len(e.Holders) == 1 && e.Holders[0].Sockets[0].use == proc.Listening {
		return
	}
	fmt.Fprintf(b, "\nWho has port %d:\n", e.Port)
	for _, p := range e.Holders {
		fmt.Fprintf(b, "  - %s %s\n", called(p.process), p.words())
	}
}

// writeReasons writes whether it is an orphan, and why.
func (e *explanation) writeReasons(b *strings.Builder) {
	if v := verdictWords(e.orphan.Verdict); e.orphan.Verdict >= proc.Likely {
		fmt.Fprintf(b, "\nWhy it is an orphan (%s):\n", v)
	} else {
		fmt.Fprintf(b, "\nIs it an orphan? %s:\n", v)
	}
	for _, r := range e.Reasons {
		fmt.Fprintf(b, "  - %s\n", r)
	}
}

// writeFacts writes what ps would tell, in words.
func (e *explanation) writeFacts(b *strings.Builder) {
	p := e.process
	row := func(key, format string, args ...any) {
		fmt.Fprintf(b, "%-12s %s\n", key+":", fmt.Sprintf(format, args...))
	}
	row("command", "%s", p.CommandLine())
	row("user", "%s", e.User)
	if e.Dir != "" {
		row("directory", "%s", proc.Printable(e.Dir))
	}
	if !e.Started.IsZero() {
		row("started", "%s (%s ago)", e.Started.Format(time.RFC3339), short(p.Age()))
	}
	if !e.Zombie {
		row("memory", "%s", size(e.Memory))
	}
	row("state", "%s: %s", e.State, e.StateMeans)
	row("group", "%s", e.groupWords)
	row("session", "%s", e.sessionWords)
	if len(e.LivesOn) > 0 {
		row("lives on", "%s", livesOnWords(e.LivesOn, true))
	}
	switch {
	case e.Zombie:
	case e.NoPorts:
		row("listens at", "not known: its descriptors are hidden from this user")
	case len(e.Ports)+len(e.OtherPorts) == 0:
		row("listens at", "no port")
	default:
		row("listens at", "%s", strings.Join(portTexts(e.Ports, e.OtherPorts), ", "))
	}
	if e.network > 0 {
		row("network", "another network namespace than this command's (netns %d)", e.network)
	}
	switch c := e.Custody; {
	case c != nil && c.Tree != "":
		row("foster tree", "%s holds it", c.Tree)
	case c != nil:
		row("foster tree", "held by the shim %d, not of this user", c.Shim)
	case e.LostTree != "":
		row("foster tree", "%s, which was lost: its foster and its shim were killed", e.LostTree)
	default:
		row("foster tree", "none: nobody has it in custody")
	}
	if e.Service != "" {
		row("service", "%s", proc.Printable(e.Service))
	}
}

// writeLine draws the line of parents from the top down, the process itself, and what
// is below it.
func (e *explanation) writeLine(b *strings.Builder) {
	const mostBelow = 20
	indent := "  "
	for i, a := range slices.Backward(e.Parents) {
		note := ""
		if a.PID == e.AdoptedBy && e.orphan.Verdict == proc.Certain {
			note = "  (adopted it)"
		} else if a.PID == e.AdoptedBy && e.orphan.Verdict == proc.Likely {
			note = "  (likely adopted it)"
		} else if a.PID == e.BelowOrphan {
			note = "  (the orphan)"
		}
		fmt.Fprintf(b, "%s%s%s%s\n", indent, branch(i == len(e.Parents)-1, true), a.line(), note)
		if i < len(e.Parents)-1 {
			indent += "   "
		}
	}
	fmt.Fprintf(b, "%s%s%s  <- this one\n", indent, branch(len(e.Parents) == 0, true), e.own().line())
	if len(e.Parents) > 0 {
		indent += "   "
	}
	e.writeBelow(b, e.PID, indent, mostBelow)
	if more := len(e.Below) - mostBelow; more > 0 {
		fmt.Fprintf(b, "  … and %d more\n", more)
	}
}

// writeBelow draws the children of a process among the first that are listed.
func (e *explanation) writeBelow(b *strings.Builder, pid int, indent string, most int) {
	var kids []relative
	for _, d := range e.Below[:min(most, len(e.Below))] {
		if d.PPID == pid {
			kids = append(kids, d)
		}
	}
	for i, d := range kids {
		last := i == len(kids)-1
		fmt.Fprintf(b, "%s%s%s\n", indent, branch(false, last), d.line())
		if d.Depth > 30 {
			continue
		}
		e.writeBelow(b, d.PID, indent+map[bool]string{true: "   ", false: "│  "}[last], most)
	}
}

func branch(top, last bool) string {
	switch {
	case top:
		return ""
	case last:
		return "└─ "
	}
	return "├─ "
}

func (e *explanation) own() relative { return newRelative(e.process, 0, nil) }

func (r relative) line() string {
	line := fmt.Sprintf("%d %s", r.PID, shorten(r.Command))
	if r.State == "Z" {
		line += "  (zombie)"
	}
	if ports := portTexts(r.Ports, r.OtherPorts); len(ports) > 0 {
		line += "  (" + strings.Join(ports, ", ") + ")"
	}
	return line
}

func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
