package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// newScale is foster scale.
func newScale(stdout io.Writer) *cobra.Command {
	var p projectFlags
	cmd := &cobra.Command{
		Use:   "scale [flags] APP=N…",
		Short: "Change how many replicas an application has",
		Long: `Have so many replicas of an application, and wait until those that are added run, and
those that are too many are gone: the last are stopped first. It holds until the file
has another number, or the project is started anew.`,
		Example: "  foster scale worker=3",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{hinted{fmt.Errorf("foster scale needs an application and a number"), "foster scale web=2"}}
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			names := p.appNames(cmd.Context())
			var list []string
			for _, n := range names {
				if _, replica := splitReplica(n); replica == 0 {
					list = append(list, n+"=")
				}
			}
			return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted := make([]int, len(args))
			for i, a := range args {
				app, number, _ := strings.Cut(a, "=")
				n, err := strconv.Atoi(number)
				if app == "" || err != nil || n < 0 {
					return usageError{hinted{fmt.Errorf("%q is not APP=N", a), "foster scale web=2"}}
				}
				args[i], wanted[i] = app, n
			}
			return p.withProject(cmd.Context(), func(c *client.Client) error {
				defer tellWaits(cmd.Context(), c, cmd.ErrOrStderr())()
				for i, app := range args {
					if err := c.Scale(cmd.Context(), app, wanted[i]); err != nil {
						return unknownAmong(cmd.Context(), c, args, err)
					}
				}
				return nil
			})
		},
	}
	p.add(cmd)
	answers(cmd, stdout)
	return cmd
}

// newUpdate is foster update.
func newUpdate(stdout *os.File, stderr io.Writer) *cobra.Command {
	var p projectFlags
	var dryRun bool
	var form string
	cmd := &cobra.Command{
		Use:   "update [flags]",
		Short: "Have a running project follow its files",
		Long: `Have the supervisor read its files again, and apply the difference: what is new is
started, what is no longer there is stopped, what has changed in a way that a living
application can't take over is restarted. Nothing else is touched. A file with a mistake
changes nothing.`,
		Example: "  foster update --dry-run\n  foster update",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			return p.withProject(cmd.Context(), func(c *client.Client) error {
				if err := p.sameFilesAs(cmd.Context(), c); err != nil {
					return err
				}
				end := tellWaits(cmd.Context(), c, stderr)
				changes, err := c.Update(cmd.Context(), dryRun)
				end()
				if err == nil || len(changes) > 0 {
					if werr := writeChanges(stdout, form, changes, dryRun); werr != nil {
						return werr
					}
				}
				if err == nil && !dryRun {
					p.tellEnvironment(stderr)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	p.add(cmd)
	outputFlag(cmd, &form)
	return cmd
}
