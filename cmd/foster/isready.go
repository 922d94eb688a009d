package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// newIsReady is foster is-ready.
func newIsReady(stdout, stderr io.Writer) *cobra.Command {
	var p projectFlags
	var quiet bool
	var form string
	cmd := &cobra.Command{
		Use:   "is-ready [flags] [APP…]",
		Short: "Say by the exit status whether applications are ready",
		Long: `Exit with 0 where all applications of a project, or those that are named, are ready:
they run, and their readiness probes say so; or they have completed, or wait for their
time. Else exit with 1, and name those that aren't. One that is stopped, by hand or by
autostart: false, is passed over; where it is named, it isn't ready. A name that the
project doesn't know is status 2.`,
		Example:           "  foster is-ready && echo go\n  until foster is-ready -q web; do sleep 1; done",
		ValidArgsFunction: completeApps(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			list := []condition{}
			err := p.withProject(cmd.Context(), func(c *client.Client) error {
				status, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				of, err := aimsIn(status, args)
				if err != nil {
					return err
				}
				apps := narrowed(status.Apps, of)
				list = conditions(apps, len(of) > 0)
				names := notReady(apps, len(of) > 0)
				if len(names) > 0 && !quiet {
					fmt.Fprintln(stderr, "foster: not ready: "+printable(listed(names)))
				}
				if len(names) > 0 {
					return statusError(exitRefused)
				}
				return nil
			})
			err = reply(stdout, form, err, func(a acted) any { return readiness{err == nil, list, a.Error} })
			switch {
			case quiet && errors.Is(err, client.ErrNotRunning):
				return statusError(exitRefused)
			case errors.Is(err, client.ErrUnknown):
				return usageError{err} // what is never ready isn't told from what isn't ready yet by status 1
			}
			return err
		},
	}
	outputFlag(cmd, &form)
	p.add(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "don't say who isn't ready")
	return cmd
}

// readiness is what foster is-ready prints; its keys are kept.
type readiness struct {
	Ready     bool        `json:"ready"`
	Instances []condition `json:"instances"`
	Error     string      `json:"error,omitempty"`
}
