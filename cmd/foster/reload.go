package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/procfs"
)

// newReload is foster reload.
func newReload(stdout io.Writer) *cobra.Command {
	var force bool
	cmd := actOnApps(&cobra.Command{
		Use:   "reload [flags] APP…",
		Short: "Ask applications to read their own configuration again",
		Long: `Send SIGHUP to the leader of each application that is named, or of one replica (web.2).
What an application makes of that is its own matter. foster update is for foster.yaml.

A program that isn't prepared for SIGHUP would be ended by it: on Linux, where one of them
isn't, nothing is sent, unless it is forced.`,
		Example: "  foster reload web",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{hinted{errors.New("foster reload needs the name of an application"), "foster reload web"}}
			}
			return nil
		},
	}, stdout, func(ctx context.Context, c *client.Client, of []client.Target) error {
		if !force {
			if err := mayReload(ctx, c, of); err != nil {
				return err
			}
		}
		return c.Signal(ctx, "HUP", "leader", of...)
	})
	cmd.Flags().BoolVar(&force, "force", false, "send it also to a program that isn't prepared for it")
	return cmd
}

// mayReload says which leaders aren't prepared for SIGHUP, where the kernel tells.
func mayReload(ctx context.Context, c *client.Client, of []client.Target) error {
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	list, err := chosen(status, of)
	if err != nil {
		return err
	}
	failed := &client.FailedError{}
	for _, i := range list {
		if i.PID == 0 {
			continue // the supervisor refuses it
		}
		if text := unprepared(i.PID); text != "" {
			failed.Failures = append(failed.Failures, client.Failure{
				App: i.App, Replica: i.Replica, Text: text,
				Hint: "nothing was sent; foster restart " + i.App + " starts it again, --force sends SIGHUP nevertheless",
			})
		}
	}
	if len(failed.Failures) > 0 {
		return failed
	}
	return nil
}

// unprepared says what SIGHUP would do to a process that isn't prepared for it; "": it is,
// or nobody knows.
func unprepared(pid int) string {
	s, err := procfs.ReadStatus(pid)
	switch {
	case err != nil || s.Heeds(syscall.SIGHUP):
		return ""
	case s.Ignores(syscall.SIGHUP):
		return fmt.Sprintf("its leader (pid %d) ignores SIGHUP", pid)
	}
	return fmt.Sprintf("its leader (pid %d) doesn't catch SIGHUP, and would be ended by it", pid)
}
