package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// newStart is foster start.
func newStart(stdout io.Writer) *cobra.Command {
	var p projectFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "start [flags] APP…",
		Short: "Start applications of a running project",
		Long: `Start applications, or single replicas of them (web.2), and what they depend on, and
wait until they run. What runs already isn't touched.`,
		Example:           "  foster start web\n  foster start web.2 worker",
		Args:              someApps(&all),
		ValidArgsFunction: completeApps(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withApps(cmd.Context(), args, func(c *client.Client, of []client.Target) error {
				return c.Start(cmd.Context(), of...)
			})
		},
	}
	p.add(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all applications")
	answers(cmd, stdout)
	return cmd
}

// newRestart is foster restart.
func newRestart(stdout io.Writer) *cobra.Command {
	var p projectFlags
	var how stopFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "restart [flags] APP…",
		Short: "Stop applications, and start them again",
		Long: `Stop applications, or single replicas of them (web.2), and start each again when no
process of it is left: there are never two of one. The command waits until they run
again. Applications that depend on one of them with "restart: true" are restarted, too.

With --signal, --timeout or --scope they are stopped otherwise than their file says, this
once.`,
		Example:           "  foster restart web\n  foster restart --all\n  foster restart --timeout 0 web    # SIGKILL at once",
		Args:              someApps(&all),
		ValidArgsFunction: completeApps(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, _, err := how.plans(cmd)
			if err != nil {
				return err
			}
			return p.withApps(cmd.Context(), args, func(c *client.Client, of []client.Target) error {
				return c.RestartWith(cmd.Context(), plan, of...)
			})
		},
	}
	how.add(cmd)
	p.add(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all applications")
	answers(cmd, stdout)
	return cmd
}
