package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// newInspect is foster inspect.
func newInspect(stdout io.Writer) *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "inspect [flags] ID",
		Short: "Tell all that is known of a tree",
		Long: `Tell all that is known of a tree, and of each of its processes: also of one that has
ended, as long as its end is kept.`,
		Example:           "  foster inspect web\n  foster inspect -o json web",
		Args:              needs("foster inspect web", theTree),
		ValidArgsFunction: completeID,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			found, err := find(args[0])
			if err != nil {
				return asRefusal(err)
			}
			_, t := describe(found)
			if form == "json" {
				return writeJSON(stdout, t)
			}
			return writeTree(stdout, t)
		},
	}
	outputFlag(cmd, &form)
	return cmd
}

func writeTree(w io.Writer, t tree) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(key, format string, args ...any) { fmt.Fprintf(tw, key+":\t"+format+"\n", args...) }
	row("id", "%s", t.ID)
	row("state", "%s", stateCell(t))
	if t.Cause != "" {
		row("cause", "%s", t.Cause)
	}
	row("command", "%s", printable(strings.Join(t.Command, " ")))
	row("containment", "%s", t.Containment)
	row("started", "%s (%s ago)", t.Started.Format(time.RFC3339), short(time.Since(t.Started)))
	row("leader", "%s", leaderCell(t))
	if t.Exit == nil {
		row("shim", "%d", t.Shim)
		row("owner", "%s", ownerCell(t))
	}
	switch {
	case t.Grace != nil && t.State == "ended":
		row("grace", "%s left to have its end and its output: foster attach %s", short(secondsOf(t.Grace)), t.ID)
	case t.Grace != nil:
		row("grace", "%s left to claim it: foster claim %s", short(secondsOf(t.Grace)), t.ID)
	}
	if t.Lease != nil {
		row("lease", "%s left%s", short(secondsOf(t.Lease)), mostLeft(t))
	}
	if t.Watchdog != nil {
		row("watchdog", "every %s", short(secondsOf(t.Watchdog)))
	}
	if t.Ready || t.Status != "" || t.MainPID > 0 {
		row("says", "ready: %t, status: %q, main process: %d", t.Ready, t.Status, t.MainPID)
	}
	if len(t.Outputs) > 0 {
		row("kept output", "%s%s", strings.Join(t.Outputs, ", "), readBy(t))
	}
	if len(t.Released) > 0 {
		row("released", "%s: nobody watches them", memberNames(t.Released))
	}
	if t.Exit != nil {
		row("exit status", "%d", *t.Exit)
	}
	if t.Problem != "" {
		row("problem", "%s", printable(t.Problem))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return writeMembers(w, t.Members)
}

func mostLeft(t tree) string {
	if t.LeaseMost == nil {
		return ""
	}
	return ", at most " + short(secondsOf(t.LeaseMost))
}

func readBy(t tree) string {
	switch {
	case t.Reader == 0 && t.Containment == "pidns": // whose shim sees nobody outside
		return ": foster attach " + t.ID
	case t.Reader == 0:
		return ", read by nobody: foster attach " + t.ID
	}
	return fmt.Sprintf(", read by process %d", t.Reader)
}

func writeMembers(w io.Writer, list []treeProcess) error {
	if len(list) == 0 {
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nPID\tPPID\tPGID\tSESS\tSTAT\tAGE\tCOMMAND")
	for _, p := range list {
		command := "[" + printable(p.Name) + "]"
		if len(p.Args) > 0 {
			command = commandLine(p.Args)
		}
		fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%s\t%s\t%s\n",
			p.PID, p.PPID, p.PGID, p.Session, p.State, short(time.Since(p.Started)), command)
	}
	return tw.Flush()
}
