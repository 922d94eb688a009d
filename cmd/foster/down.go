package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// newDown is foster down.
func newDown(stdout, stderr io.Writer) *cobra.Command {
	var p projectFlags
	var quiet bool
	cmd := &cobra.Command{
		Use:   "down [flags]",
		Short: "Stop all applications of a project, and its supervisor",
		Long: `Stop all applications in the reverse order of their start, each to its last process,
and end foster up. The command returns when nothing is left; what can't be ended is
named. Where foster up isn't running, what one that was killed has left of the project is
ended in the same way; where that is nothing, there is nothing to do, and that is no error.`,
		Example: "  foster down\n  foster down --project shop",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := p.withProject(cmd.Context(), func(c *client.Client) error { return downWhole(cmd.Context(), c, stderr) })
			if errors.Is(err, client.ErrNotRunning) {
				return p.downWithout(cmd.Context(), quiet, stderr, err)
			}
			return downError(err)
		},
	}
	p.add(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "say nothing where foster up isn't running")
	answers(cmd, stdout)
	return cmd
}

// downWhole ends a supervisor, and waits until its process has let the project go, so
// that the next command finds none. If that was killed meanwhile, it is no longer running, and
// what it has left is still to be ended.
func downWhole(ctx context.Context, c *client.Client, stderr io.Writer) error {
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	end := tellWaits(ctx, c, stderr, everything...)
	down := c.Down(ctx)
	end()
	awaitGone(status.Project)
	return down
}

// awaitGone waits until a supervisor that has ended has said its last and closed its socket.
func awaitGone(project string) {
	for begin := time.Now(); time.Since(begin) < claimPatience; time.Sleep(5 * time.Millisecond) { // polls its socket
		again, err := client.Dial(project)
		if err != nil {
			return
		}
		again.Close()
	}
}
