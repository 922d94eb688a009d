package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/escape"
	"github.com/foster-init/foster/internal/journal"
)

// outputFlag adds -o, and completes it.
func outputFlag(cmd *cobra.Command, form *string) {
	cmd.Flags().StringVarP(form, "output", "o", "text", "how to print: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func validOutput(form string) error {
	if form == "text" || form == "json" {
		return nil
	}
	return usageError{flagError("output", fmt.Errorf("%q is none of text, json", form))}
}

func writeJSON(w io.Writer, v any) error {
	e := escape.JSON(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// newLs is foster ls.
func newLs(stdout, stderr io.Writer) *cobra.Command {
	var form string
	var all bool
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List the trees of this user",
		Long: `List the living trees of this user, and those that were lost: foster and its shim
were both killed, and what they held may live on. With --all also those that have
ended and whose end was kept, for foster wait.

  ID           the name of the tree, which the other commands take
  STATE        running; leader lost: the command has ended, others live on;
               waiting: for a claim, its owner is gone; stopping, killing;
               stuck: something can't be ended; no answer; lost; ended (status)
  LEADER       the PID of the command
  MEMBERS      how many processes the tree has
  CONTAINMENT  how it is held: see foster run --help
  LEASE        how long it may still run; -: for ever
  OWNER        the process on whose behalf it runs; -: it is gone`,
		Example: "  foster ls\n  foster ls --all -o json",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			trees, problems, err := allTrees(all)
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintln(stderr, "foster: "+printable(fmt.Sprintf("%s: %v: passed over", p.Path, p.Err)))
			}
			for _, t := range trees {
				if t.Problem != "" {
					fmt.Fprintln(stderr, "foster: "+printable(fmt.Sprintf("tree %q: %s", t.ID, t.Problem)))
				}
			}
			if form == "json" {
				return writeJSON(stdout, trees)
			}
			return writeTrees(stdout, trees)
		},
	}
	outputFlag(cmd, &form)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that have ended")
	return cmd
}

// allTrees are the trees of this user, the oldest first.
func allTrees(ended bool) ([]*tree, []journal.Problem, error) {
	state, _, err := journal.Folders()
	if err != nil {
		return nil, nil, err
	}
	found, problems, err := journal.Scan(state)
	if err != nil {
		return nil, nil, err
	}
	trees := make([]*tree, len(found))
	var asked sync.WaitGroup
	for i, f := range found { // at once, since each shim may take its time
		asked.Go(func() {
			f, t := describe(f)
			over := f.State == journal.Ended || t.State == "ended" // its shim may keep its end for a while
			if f.State != journal.Gone && (ended || !over) {
				trees[i] = &t
			}
		})
	}
	asked.Wait()
	trees = slices.DeleteFunc(trees, func(t *tree) bool { return t == nil })
	slices.SortFunc(trees, func(a, b *tree) int { return a.Started.Compare(b.Started) })
	return trees, problems, nil
}

func writeTrees(w io.Writer, trees []*tree) error {
	if len(trees) == 0 {
		_, err := fmt.Fprintln(w, "no trees")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join([]string{
		"ID", "STATE", "LEADER", "MEMBERS", "CONTAINMENT", "AGE", "LEASE", "OWNER", "COMMAND",
	}, "\t"))
	lost := false
	for _, t := range trees {
		lost = lost || t.State == "lost"
		fmt.Fprintln(tw, strings.Join([]string{
			t.ID, stateCell(*t), leaderCell(*t), fmt.Sprint(len(t.Members)), t.Containment,
			short(time.Since(t.Started)), leaseCell(*t), ownerCell(*t), cut(commandLine(t.Command), widest),
		}, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if lost {
		fmt.Fprintln(w, "hint: foster recover ends what is left of a lost tree")
	}
	return nil
}

// widest is a command in a list. foster inspect has all of it.
const widest = 80

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func stateCell(t tree) string {
	switch {
	case t.State == "ended" && t.Exit != nil:
		return fmt.Sprintf("ended (%d)", *t.Exit)
	case t.State == "waiting" && t.Grace != nil:
		return "waiting " + short(secondsOf(t.Grace))
	case t.State == "running" && t.LeaderEnded:
		return "leader lost"
	}
	return t.State
}

func leaderCell(t tree) string {
	if t.Leader == nil || t.LeaderEnded {
		return "-"
	}
	return fmt.Sprint(t.Leader.PID)
}

func leaseCell(t tree) string {
	if t.Lease == nil {
		return "-"
	}
	return short(secondsOf(t.Lease))
}

func ownerCell(t tree) string {
	if t.Owner == nil {
		return "-"
	}
	return fmt.Sprintf("%s(%d)", printable(t.Owner.Name), t.Owner.PID)
}
