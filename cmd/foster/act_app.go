package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// completeAny completes the first argument by the name of an application or of a tree.
func completeAny(p *projectFlags) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := append(p.appNames(cmd.Context()), ids()...)
		slices.Sort(names)
		return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
	}
}

// extendApp extends the leases of an application's instances.
func extendApp(ctx context.Context, stdout io.Writer, form string, o *ownedBy, by time.Duration) error {
	if err := o.Extend(ctx, by, o.aim); err != nil {
		return err
	}
	status, err := o.Status(ctx)
	if err != nil {
		return err
	}
	list, err := chosen(status, []client.Target{o.aim})
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.LeaseLeft == nil {
			continue
		}
		if form == "json" {
			err = writeJSON(stdout, extended{i.Tree, i.LeaseLeft.Seconds()})
		} else {
			_, err = fmt.Fprintf(stdout, "%s: %s left\n", printable(i.Tree), short(i.LeaseLeft.Round(time.Second)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
