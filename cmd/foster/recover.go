package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
)

// newRecover is foster recover.
func newRecover(stdout, stderr io.Writer) *cobra.Command {
	var list bool
	var form string
	cmd := &cobra.Command{
		Use:   "recover [flags]",
		Short: "End what an earlier foster left",
		Long: `Find the trees whose foster and whose shim were both killed, and end what is left of
them, in the orderly way that was agreed on when they were started. Only what is
proven to belong to such a tree is signalled. foster run does so by itself before it
starts anything.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			var options []foster.RecoverOption
			if list {
				options = append(options, foster.ListOnly())
			}
			ctx, calm := interruptible(cmd.Context())
			defer calm()
			lost, problems, err := foster.Recover(ctx, options...)
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintln(stderr, "foster: "+printable(p.Error())+": passed over")
			}
			if form == "json" {
				if err := writeJSON(stdout, recoveredJSON(lost, list)); err != nil {
					return err
				}
			} else if len(lost) == 0 {
				fmt.Fprintln(stdout, "nothing was left")
			}
			for _, r := range lost {
				if form != "json" {
					fmt.Fprintln(stdout, recoveredLine(r, list))
				}
			}
			return recoverError(lost)
		},
	}
	outputFlag(cmd, &form)
	cmd.Flags().BoolVarP(&list, "list", "n", false, "only list it, and end nothing")
	return cmd
}

// recoveredLine says what was found of a tree, and what became of it.
func recoveredLine(r foster.Recovered, listOnly bool) string {
	what := fmt.Sprintf("%s (%s, in a %s)", r.ID, commandLine(r.Command), r.Containment)
	switch {
	case r.Err != nil:
		return fmt.Sprintf("%s: %s", what, printable(r.Err.Error()))
	case len(r.Found) == 0:
		return what + ": nothing was left of it"
	}
	left := processNames(r.Found, len(r.Found))
	switch {
	case listOnly:
		return fmt.Sprintf("%s: left: %s", what, left)
	case len(r.Survivors) > 0:
		return fmt.Sprintf("%s: left: %s; %s couldn't be ended", what, left, count(len(r.Survivors), "process"))
	}
	return fmt.Sprintf("%s: ended: %s", what, left)
}

type recovered struct {
	ID          string   `json:"id"`
	Command     []string `json:"command"`
	Containment string   `json:"containment"`
	Found       []member `json:"found"`
	Ended       bool     `json:"ended"`
	Survivors   []member `json:"survivors,omitempty"`
	Error       string   `json:"error,omitempty"`
}

func recoveredJSON(lost []foster.Recovered, listOnly bool) []recovered {
	list := []recovered{}
	for _, r := range lost {
		one := recovered{ID: r.ID, Command: r.Command, Containment: string(r.Containment), Found: []member{}}
		for _, p := range r.Found {
			one.Found = append(one.Found, member{PID: p.PID, Name: p.Name})
		}
		for _, s := range r.Survivors {
			one.Survivors = append(one.Survivors, member{PID: s.PID, Name: s.Name, Why: s.String()})
		}
		if r.Err != nil {
			one.Error = r.Err.Error()
		}
		one.Ended = !listOnly && r.Err == nil && len(r.Survivors) == 0
		list = append(list, one)
	}
	return list
}

// recoverError is the status of a recovery that has left something.
func recoverError(lost []foster.Recovered) error {
	var failed []string
	for _, r := range lost {
		if len(r.Survivors) > 0 {
			return statusError(exitSurvivors)
		}
		if r.Err != nil {
			failed = append(failed, r.ID)
		}
	}
	if len(failed) > 0 {
		return errors.New("not recovered: " + strings.Join(failed, ", "))
	}
	return nil
}

// recoverFirst ends what an earlier foster left, before something is started that
// might need what the rest holds: a port, a lock. That it can't is no reason not to
// start; that it was interrupted is one.
func (r *runner) recoverFirst(ctx context.Context) error {
	ctx, calm := interruptible(ctx)
	lost, _, err := foster.Recover(ctx)
	if calm() {
		return statusError(128 + int(syscall.SIGINT))
	}
	if err != nil {
		return nil
	}
	for _, one := range lost {
		if (len(one.Found) > 0 || one.Err != nil) && !r.quiet {
			fmt.Fprintln(r.stderr, "foster: left by an earlier foster: "+recoveredLine(one, false))
		}
	}
	return nil
}
