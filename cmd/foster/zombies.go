package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/proc"
)

// neglect is a parent with zombies, as the commands show it; the keys of its JSON are
// kept.
type neglect struct {
	Parent   int         `json:"parent_pid"`
	Name     string      `json:"parent_name,omitempty"`
	Command  string      `json:"parent_command,omitempty"`
	User     string      `json:"parent_user,omitempty"`
	Habit    string      `json:"habit"`
	SIGCHLD  string      `json:"sigchld"`
	Observed float64     `json:"observed_seconds"`
	Reaped   int         `json:"reaped"`
	Tells    []string    `json:"tells"`
	Zombies  []zombieRow `json:"zombies"`

	of *proc.Neglect
}

type zombieRow struct {
	PID     int       `json:"pid"`
	Name    string    `json:"name"`
	Started time.Time `json:"started,omitzero"`
	Since   time.Time `json:"zombie_since,omitzero"`
	End     string    `json:"end,omitempty"`
}

const zombieFields = proc.ForZombies | proc.ForOrphans | proc.Owner | proc.Namespaces

// newZombies is foster zombies.
func newZombies(stdin *os.File, stdout, stderr io.Writer) *cobra.Command {
	var form, observe string
	var all bool
	var r remedy
	cmd := &cobra.Command{
		Use:   "zombies [flags] [--nudge PID… | --nudge --all] [--reap-by-ending-parent PID]",
		Short: "Find the zombies of this host, and the parents that neglect them",
		Long: `Find the processes that have ended and that their parents haven't reaped, by parent,
and say what the parent does about it. A zombie can't be killed: it has ended.

--nudge sends SIGCHLD once more to the parents that are named, by their own PID or by that
of a zombie; --nudge --all sends it to all of them. --reap-by-ending-parent is the last
resort: it ends a parent, so that its zombies are adopted and reaped.`,
		Example: "  foster zombies\n  foster zombies --nudge 4711\n  foster zombies --reap-by-ending-parent 4711",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && !r.nudge {
				return usageError{hinted{fmt.Errorf("foster zombies takes a PID only with --nudge: got %q", args[0]), "foster explain " + args[0]}}
			}
			if r.nudge {
				return pidsOrAll(cmd, "--nudge", args, all)
			}
			return nil
		},
		ValidArgsFunction: completeParents,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			wait, err := parseTime("--observe", observe)
			if err != nil {
				return usageError{err}
			}
			r.stdin, r.stdout, r.stderr, r.form, r.observe = stdin, stdout, stderr, form, wait
			switch {
			case r.nudge && r.parent != "":
				return usageError{fmt.Errorf("either --nudge or --reap-by-ending-parent, not both")}
			case r.nudge:
				return r.nudgeParents(cmd.Context(), args)
			case r.parent != "":
				return r.endParent(cmd.Context())
			}
			h, list, err := findZombies(wait)
			if err != nil {
				return err
			}
			if form == "json" {
				return writeJSON(stdout, list)
			}
			return writeZombies(stdout, h, list, all)
		},
	}
	outputFlag(cmd, &form)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list each zombie of a parent that has many; with --nudge: nudge all parents")
	cmd.Flags().StringVar(&observe, "observe", "200ms", "how long to watch what the parents do; 0: one look")
	r.add(cmd)
	return cmd
}

// findZombies looks twice: what is a zombie for a moment only, since its parent is
// just about to reap it, isn't one to tell of, and what a parent does is seen only by
// the second look.
func findZombies(observe time.Duration) (*host, []neglect, error) {
	h, err := takeHost(zombieFields)
	if err != nil {
		return nil, nil, err
	}
	if observe > 0 && len(h.table.Zombies()) > 0 {
		earlier := h.table
		time.Sleep(observe)
		if h, err = takeHost(zombieFields); err != nil {
			return nil, nil, err
		}
		h.table.Follow(earlier)
	}
	list := []neglect{}
	for _, n := range h.table.Zombies() {
		if observe > 0 {
			n.Zombies = slices.DeleteFunc(n.Zombies, func(z proc.Zombie) bool { return !z.Seen.Before(h.table.At) })
		}
		if len(n.Zombies) > 0 {
			list = append(list, newNeglect(&n))
		}
	}
	return h, list, nil
}

func newNeglect(n *proc.Neglect) neglect {
	one := neglect{
		Parent: n.PID, Habit: n.Habit.String(), SIGCHLD: n.Told.String(), Observed: n.Observed.Seconds(),
		Reaped: n.Reaped, Tells: neglectWords(n), Zombies: []zombieRow{}, of: n,
	}
	if p := n.Parent; p != nil {
		one.Name, one.Command, one.User = p.Name, p.CommandLine(), userOf(p)
	}
	for _, z := range n.Zombies {
		one.Zombies = append(one.Zombies, zombieRow{
			PID: z.PID, Name: z.Name, Started: z.Process.Started(), Since: z.Since, End: zombieEnd(z.Process),
		})
	}
	return one
}

// neglectWords say what a parent does about its zombies.
func neglectWords(n *proc.Neglect) []string {
	who := fmt.Sprintf("its parent, %d,", n.PID)
	if n.Parent != nil {
		who = fmt.Sprintf("its parent, %s,", called(n.Parent))
	}
	var list []string
	if traced := tracedOf(n); len(traced) == len(n.Zombies) {
		return []string{who + " can't reap: " + tracedWords(traced)}
	} else if len(traced) > 0 {
		list = append(list, tracedWords(traced))
	}
	switch n.Told {
	case proc.ToldDefault:
		list = append(list, who+" has no handler for SIGCHLD: it has to ask by itself, and a nudge won't help")
	case proc.ToldHandler:
		list = append(list, who+" has a handler for SIGCHLD: a nudge may help. (Each Go program has one, by its runtime, also if it never waits)")
	case proc.ToldIgnored:
		list = append(list, who+" ignores SIGCHLD, by now: what ends from now on is reaped by the kernel, this isn't")
	case proc.ToldBlocked:
		list = append(list, who+" has blocked SIGCHLD: it reads the signal when it sees fit, or never")
	case proc.ToldStopped:
		list = append(list, fmt.Sprintf("%s is stopped, and can do nothing: kill -CONT %d", who, n.PID))
	}
	switch n.Habit {
	case proc.Late:
		list = append(list, fmt.Sprintf("it reaps, but late: %d within %s", n.Reaped, short(n.Observed)))
	case proc.Never:
		list = append(list, fmt.Sprintf("it has reaped none within %s", short(n.Observed)))
	}
	if n.PID == 1 {
		list = append(list, "it is the first process, and should reap what it adopts: this container has no init that does. "+
			"Run it with foster init, or docker run --init")
	}
	return list
}

// tracedOf are the zombies that a debugger keeps from their parent.
func tracedOf(n *proc.Neglect) (list []proc.Zombie) {
	for _, z := range n.Zombies {
		if tracedByAnother(z.Process) {
			list = append(list, z)
		}
	}
	return list
}

func tracedWords(list []proc.Zombie) string {
	return fmt.Sprintf("process %d traces %s, and hasn't asked for the end: foster explain %d", list[0].Tracer,
		plural(len(list), "its zombie", fmt.Sprintf("%d of its zombies", len(list))), list[0].PID)
}

func zombieAge(p *proc.Process) (time.Duration, bool) {
	if p.Ended.IsZero() {
		return 0, false
	}
	// The scheduler's clock is only about the machine's: it can't have ended before it
	// was started.
	return min(max(0, time.Since(p.Ended)), p.Age()), true
}

func zombieEnd(p *proc.Process) string {
	switch {
	case !p.Knows(proc.End):
		return ""
	case p.Exit.Signal != 0:
		return signalEnd(p.Exit.Signal)
	}
	return fmt.Sprintf("exited with %d", p.Exit.Code)
}

func writeZombies(w io.Writer, h *host, list []neglect, all bool) error {
	if len(list) == 0 {
		fmt.Fprintln(w, "no zombies")
		return nil
	}
	for i, n := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := n.write(w, h, all); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\nhint: foster explain %d tells more%s\n", list[0].Zombies[0].PID, nudgeHint(list))
	return nil
}

// nudgeHint advises a nudge for the parents that it may help with.
func nudgeHint(list []neglect) string {
	helped := slices.DeleteFunc(slices.Clone(list), func(n neglect) bool { return !nudgeMayHelp(n.of.Told) || n.allTraced() })
	switch {
	case len(helped) == len(list):
		return "; foster zombies --nudge --all asks the parents to reap"
	case len(helped) > 0:
		return fmt.Sprintf("; foster zombies --nudge %d asks that parent to reap", helped[0].Parent)
	case len(list) == 1 && list[0].Parent != 1 && !list[0].allTraced() && list[0].of.Told != proc.ToldStopped:
		return fmt.Sprintf("; the last resort: foster zombies --reap-by-ending-parent %d", list[0].Parent)
	}
	return ""
}

// allTraced says that the parent can reap none of its zombies.
func (n neglect) allTraced() bool { return len(tracedOf(n.of)) == len(n.of.Zombies) }

// nudgeMayHelp is whether SIGCHLD can make a parent reap: it can't where nobody gets it.
func nudgeMayHelp(told proc.Told) bool {
	switch told {
	case proc.ToldDefault, proc.ToldIgnored, proc.ToldStopped:
		return false
	}
	return true
}

// write writes a parent, and its zombies below it.
func (n neglect) write(w io.Writer, h *host, all bool) error {
	command := "[not shown]"
	if n.of.Parent != nil {
		command = commandCell(n.of.Parent)
	}
	fmt.Fprintf(w, "%s of %d %s (user %s)\n", count(len(n.Zombies), "zombie"), n.Parent, command, dash(n.User))
	for _, t := range n.Tells {
		fmt.Fprintf(w, "  - %s\n", t)
	}
	most := 10
	if all {
		most = len(n.Zombies)
	}
	tw := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  PID\tZOMBIE FOR\tSTARTED\tEND\tNAME")
	for _, z := range n.of.Zombies[:min(most, len(n.Zombies))] {
		age := "not known"
		if seen := h.table.At.Sub(z.Seen); seen > 0 {
			age = "at least " + short(seen)
		}
		if d, ok := zombieAge(z.Process); ok {
			age = "about " + short(d)
		}
		fmt.Fprintf(tw, "  %d\t%s\t%s ago\t%s\t%s\n", z.PID, age, short(z.Process.Age()), dash(zombieEnd(z.Process)), proc.Printable(z.Name))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if more := len(n.Zombies) - most; more > 0 {
		fmt.Fprintf(w, "  … and %d more: --all lists them\n", more)
	}
	return nil
}

// completeParents completes the parents of zombies.
func completeParents(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	t, err := proc.Take(0)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []string
	for _, n := range t.Zombies() {
		name := ""
		if n.Parent != nil {
			name = printable(n.Parent.Name)
		}
		list = append(list, fmt.Sprintf("%d\t%s", n.PID, name))
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
