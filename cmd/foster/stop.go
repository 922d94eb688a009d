package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/wire"
)

// newStop is foster stop.
func newStop(stdout, stderr io.Writer) *cobra.Command {
	var p projectFlags
	var how stopFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "stop [flags] APP|ID…",
		Short: "Stop applications or trees, to the last process",
		Long: `Stop applications of a running project, or trees, in the orderly way: as the file of the
project says, or the --stop flags that foster run was given; and wait until no process
of them is left. Who depends on another is stopped before that one. An application that
was stopped isn't started again before foster start. Where foster up was killed, what it has
left of the application is stopped in the same way; the others go on for their grace.
Without a name nothing is stopped: --all stops all applications of the project, and
foster down ends its supervisor, too.

With a flag, this stop is another. --signal is sent first; whatever hasn't ended by it
within the timeout gets the usual stop signal, and after the timeout SIGKILL. What isn't
given is as the file says, or as the tree was started. It takes the place of a stop under way.

The status is 0 when nothing is left, 1 where there is none of that name, 123 where
something couldn't be ended.`,
		Example: "  foster stop web\n  foster stop web.2 worker\n  foster stop --timeout 0 web    # SIGKILL at once",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 || all {
				return someApps(&all)(cmd, args)
			}
			return needs("foster stop web", theTree)(cmd, args)
		},
		ValidArgsFunction: completeAny(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, treePlan, err := how.plans(cmd)
			if err != nil {
				return err
			}
			if all {
				err := p.withProject(cmd.Context(), func(c *client.Client) error {
					defer tellWaits(cmd.Context(), c, stderr, everything...)()
					return c.StopWith(cmd.Context(), plan, everything...)
				})
				if errors.Is(err, client.ErrNotRunning) {
					_, err = p.stopLeft(cmd.Context(), nil, true, plan, how.forSome(treePlan), stderr)
				}
				return err
			}
			if app, err := p.asApp(cmd.Context(), args[0], func(o *ownedBy) error {
				of, err := aimsIn(o.status, args[1:])
				if err != nil {
					return err
				}
				of = append(of, o.aim)
				defer tellWaits(cmd.Context(), o.Client, stderr, of...)()
				return o.StopWith(cmd.Context(), plan, of...)
			}); app {
				return err
			}
			args, err = p.stopLeft(cmd.Context(), args, false, plan, how.forSome(treePlan), stderr)
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := p.asTrees(cmd.Context(), cmd.ErrOrStderr(), name, func(id string) error { return stopTree(id, treePlan, stderr) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
	how.add(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all applications of the project")
	p.add(cmd)
	answers(cmd, stdout)
	return cmd
}

// stopTree stops one tree, and waits for its end.
func stopTree(id string, how treeStop, stderr io.Writer) error {
	found, c, err := connect(id)
	if err != nil {
		return asRefusal(err)
	}
	defer c.Close()
	return asRefusal(refused(id, stopBy(c, found.Entry, how.plan(found.Entry.Stop), stderr)))
}

func stopBy(c *control.Client, entry *wire.Entry, plan *wire.Plan, stderr io.Writer) error {
	numbered := numbersOf(entry)
	if err := c.Watch(); err != nil {
		return err
	}
	if err := c.Stop(plan, string(foster.CauseStopped)); err != nil {
		return err
	}
	end, err := awaitEnd(c)
	if errors.Is(err, errShimGone) {
		err = endedMeanwhile(entry.ID)
	}
	if k := end.killed; k.Count > 0 {
		var list []foster.Process
		for _, m := range numbered(k.Names) {
			list = append(list, foster.Process{PID: m.PID, Name: m.Name})
		}
		fmt.Fprintln(stderr, "foster: had to be ended by SIGKILL: "+processNames(list, max(k.Count, len(list))))
	}
	if err == nil && end.tree != nil && len(end.tree.Survivors) > 0 {
		err = survivorsError(numbered(end.tree.Survivors))
	}
	return err
}

// numbersOf looks at a tree before it is stopped, and gives its members the numbers that
// they have here: a shim in a PID namespace tells those of the namespace. Who came after
// the look and has ended is named without a number.
func numbersOf(e *wire.Entry) func([]wire.Member) []wire.Member {
	if e.Containment != wire.PIDNS {
		return func(list []wire.Member) []wire.Member { return list }
	}
	before := new(contain.Table).Outside(e.Shim.PID)
	return func(list []wire.Member) []wire.Member {
		return contain.Numbered(list, before, new(contain.Table).Outside(e.Shim.PID))
	}
}
