package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// actOnApps completes a command that asks a supervisor to do something with the
// applications that are named. Where the command doesn't say which arguments it takes, it
// is at least one, or --all.
func actOnApps(cmd *cobra.Command, stdout io.Writer, do func(context.Context, *client.Client, []client.Target) error) *cobra.Command {
	var p projectFlags
	var all bool
	if cmd.Args == nil {
		cmd.Flags().BoolVarP(&all, "all", "a", false, "all applications")
		cmd.Args = someApps(&all)
	}
	cmd.ValidArgsFunction = completeApps(&p)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		told := func(c *client.Client, of []client.Target) error {
			defer tellWaits(cmd.Context(), c, cmd.ErrOrStderr(), of...)()
			return do(cmd.Context(), c, of)
		}
		if all {
			return p.withProject(cmd.Context(), func(c *client.Client) error { return told(c, everything) })
		}
		return p.withApps(cmd.Context(), args, told)
	}
	p.add(cmd)
	answers(cmd, stdout)
	return cmd
}

// newStart is foster start.
func newStart(stdout io.Writer) *cobra.Command {
	return actOnApps(&cobra.Command{
		Use:   "start [flags] APP…",
		Short: "Start applications of a running project",
		Long: `Start applications, or single replicas of them (web.2), and what they depend on, and
wait until they run. What runs already isn't touched. Without a name nothing is started:
--all is for all applications.`,
		Example: "  foster start web\n  foster start web.2 worker",
	}, stdout, func(ctx context.Context, c *client.Client, of []client.Target) error { return c.Start(ctx, of...) })
}

// newRestart is foster restart.
func newRestart(stdout io.Writer) *cobra.Command {
	var how stopFlags
	var plan client.StopPlan
	cmd := &cobra.Command{
		Use:   "restart [flags] APP…",
		Short: "Stop applications, and start them again",
		Long: `Stop applications, or single replicas of them (web.2), and start each again when no
process of it is left: there are never two of one. The command waits until they run
again. Applications that depend on one of them with "restart: true" are restarted, too.
Without a name nothing is restarted: --all is for all applications.

With --signal, --timeout or --scope they are stopped otherwise than their file says, this
once.`,
		Example: "  foster restart web\n  foster restart --all\n  foster restart --timeout 0 web    # SIGKILL at once",
		PreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			plan, _, err = how.plans(cmd)
			return err
		},
	}
	how.add(cmd)
	return actOnApps(cmd, stdout, func(ctx context.Context, c *client.Client, of []client.Target) error {
		return c.RestartWith(ctx, plan, of...)
	})
}
