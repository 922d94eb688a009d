package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/proc"
)

// orphanRow is an orphan as the commands show it; the keys of its JSON are kept.
type orphanRow struct {
	PID        int         `json:"pid"`
	Name       string      `json:"name"`
	Args       []string    `json:"args,omitempty"`
	User       string      `json:"user"`
	Verdict    string      `json:"verdict"`
	Reasons    []string    `json:"reasons"`
	AdoptedBy  int         `json:"adopted_by,omitempty"`
	Started    time.Time   `json:"started,omitzero"`
	Memory     uint64      `json:"memory_bytes"`
	Below      int         `json:"processes_below"`
	Ports      []string    `json:"ports,omitempty"`
	OtherPorts []otherPort `json:"ports_elsewhere,omitempty"`
	NoPorts    bool        `json:"ports_unknown,omitempty"`
	From       string      `json:"from"`
	Dir        string      `json:"directory,omitempty"`
	Group      int         `json:"pgid"`
	Session    int         `json:"session"`
	Custody    *custody    `json:"custody,omitempty"`

	process *proc.Process
	verdict proc.Verdict
	age     time.Duration
}

const orphanFields = proc.ForOrphans | proc.Owner | proc.Namespaces

// newOrphans is foster orphans.
func newOrphans(stdin *os.File, stdout, stderr io.Writer) *cobra.Command {
	var form string
	var all bool
	var s stopping
	cmd := &cobra.Command{
		Use:   "orphans [flags] [--stop PID… | --stop --all]",
		Short: "Find the orphans of this host, and end them",
		Long: `Find the processes whose parent is gone and that nobody watches, the most suspect
first.

With --stop, end the orphans that are named by their PIDs, each with all processes below
it. foster sends a signal, waits, sends SIGKILL to what is left, and proves that nothing
is. It asks first. --stop --all ends all orphans of this user that are certain to be
orphans. --stop with neither a PID nor --all is an error, and ends nothing.`,
		Example: "  foster orphans\n  foster orphans --stop 4711\n  foster orphans --stop --all",
		Args: func(cmd *cobra.Command, args []string) error {
			if s.yes && !s.stop {
				return usageError{hinted{flagError("yes", errors.New("it is for --stop: without that, nothing is ended")), "foster orphans --stop --yes"}}
			}
			if len(args) > 0 && !s.stop {
				return usageError{hinted{fmt.Errorf("foster orphans takes a PID only with --stop: got %q", args[0]), "foster explain " + args[0]}}
			}
			if s.stop {
				return pidsOrAll(cmd, "--stop", args, all)
			}
			return nil
		},
		ValidArgsFunction: completeOrphans,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			if s.stop {
				s.stdin, s.stdout, s.stderr, s.form = stdin, stdout, stderr, form
				return s.run(cmd.Context(), args)
			}
			h, err := takeHost(orphanFields)
			if err != nil {
				return err
			}
			if err := h.readPorts(0); err != nil {
				return err
			}
			list := h.orphans(all)
			if form == "json" {
				return writeJSON(stdout, list)
			}
			return writeOrphans(stdout, list, h.table.Hidden)
		},
	}
	outputFlag(cmd, &form)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list the merely possible orphans and those in custody, too; with --stop: end all certain ones of this user")
	s.add(cmd)
	return cmd
}

// pidsOrAll wants the processes that a command acts on to be named, or --all. An empty list,
// from a pid file that isn't there, say, must not mean every process of the host.
func pidsOrAll(cmd *cobra.Command, flag string, args []string, all bool) error {
	switch {
	case len(args) == 0 && !all:
		return usageError{hinted{fmt.Errorf("%s %s needs a PID", cmd.CommandPath(), flag), fmt.Sprintf("%s %s --all is for all of them", cmd.CommandPath(), flag)}}
	case len(args) > 0 && all:
		return usageError{fmt.Errorf("either a PID or --all, not both: got %q", args[0])}
	}
	return nil
}

// orphans are the host's orphans, the most suspect first: the certain ones, among
// them those that hold a port, among them the oldest.
func (h *host) orphans(all bool) []orphanRow {
	list := []orphanRow{}
	for i := range h.table.Processes {
		o := orphanhood(h.table, h.table.Processes[i].PID)
		held := h.custody(o.Process.PID)
		if o.Verdict < proc.Possible || !all && (o.Verdict < proc.Likely || held != nil) ||
			o.Process.Zombie() || h.spared(o.Process) != "" {
			continue
		}
		list = append(list, h.orphanRow(o, held))
	}
	slices.SortStableFunc(list, func(a, b orphanRow) int {
		return cmp.Or(cmp.Compare(b.verdict, a.verdict), cmp.Compare(min(1, len(b.Ports)), min(1, len(a.Ports))),
			cmp.Compare(b.age, a.age))
	})
	return list
}

func (h *host) orphanRow(o proc.Orphanhood, held *custody) orphanRow {
	p := o.Process
	row := orphanRow{
		PID: p.PID, Name: p.Name, Args: p.Args, User: userOf(p), Verdict: o.Verdict.String(), Reasons: o.Reasons,
		AdoptedBy: o.AdoptedBy, Started: p.Started(), Memory: p.Resident, Below: len(h.table.Descendants(p.PID)),
		NoPorts: h.noPorts[p.PID], From: h.from(o), Dir: workingDir(p),
		Group: p.PGID, Session: p.Session, Custody: held, process: p, verdict: o.Verdict, age: p.Age(),
	}
	row.Ports, row.OtherPorts = portNames(h.portsOf(p))
	return row
}

// portsOf are the ports that a process or one below it listens at: those that are
// free when it is ended.
func (h *host) portsOf(p *proc.Process) []proc.Port {
	list := slices.Clone(h.ports[p.PID])
	for _, d := range h.table.Descendants(p.PID) {
		list = append(list, h.ports[d.PID]...)
	}
	return list
}

// from says where an orphan came from, as far as that can be known: a group or a
// session has the number of the process that made it, most often the start script or
// its shell.
func (h *host) from(o proc.Orphanhood) string {
	p := o.Process
	leader := h.table.Get(p.Session)
	switch {
	case o.LostGroup:
		return fmt.Sprintf("group of %d, gone", p.PGID)
	case o.LostSession:
		return fmt.Sprintf("session of %d, gone", p.Session)
	case !p.LeadsGroup() && h.table.Get(p.PGID) != nil:
		return "group of " + called(h.table.Get(p.PGID))
	case p.LeadsSession():
		return "a session of its own"
	case leader != nil:
		return "session of " + called(leader)
	}
	return "outside of this PID namespace"
}

func writeOrphans(w io.Writer, list []orphanRow, hidden bool) error {
	if len(list) == 0 {
		fmt.Fprintln(w, "no orphans")
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "PID\tUSER\tORPHAN\tAGE\tMEMORY\tBELOW\tPORTS\tFROM\tDIRECTORY\tCOMMAND")
	for _, o := range list {
		verdict := o.Verdict
		if o.Custody != nil {
			verdict = "held"
		}
		fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", o.PID, o.User, verdict, short(o.age), size(o.Memory),
			o.Below, portCell(o), o.From, dash(printable(o.Dir)), commandCell(o.process))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "hint: foster explain %d tells why; foster orphans --stop %[1]d ends it\n", list[0].PID)
	if hidden {
		fmt.Fprintln(w, "hint: this user isn't shown all processes (hidepid); root is")
	}
	return nil
}

func portCell(o orphanRow) string {
	ports := portTexts(o.Ports, o.OtherPorts)
	if len(ports) == 0 && o.NoPorts {
		return "?"
	}
	return dash(strings.Join(ports, ", "))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// commandCell is a command line that is short enough for a column.
func commandCell(p *proc.Process) string {
	const most = 60
	line := []rune(p.CommandLine())
	if len(line) > most {
		return string(line[:most]) + "…"
	}
	return string(line)
}
