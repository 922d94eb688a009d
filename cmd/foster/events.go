package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/escape"
)

// newEvents is foster events.
func newEvents(stdout *os.File, stderr io.Writer) *cobra.Command {
	e := &eventsCommand{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "events [flags] [APP…]",
		Short: "Show what has happened to the applications of a project",
		Long: `Show the events of a project that are kept, or those of the applications that are named:
each change of a state, with its cause, and what else has happened. Each has a number;
--after begins behind one. The project need not run, but for --follow.`,
		Example:           "  foster events --follow\n  foster events -n 20 web\n  foster events --after 120 -o json web",
		ValidArgsFunction: completeApps(&e.projectFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return e.run(cmd.Context(), args) },
	}
	followFlag(cmd, &e.follow, "go on with those to come")
	newestFlag(cmd, &e.newest, "events")
	cmd.Flags().Uint64Var(&e.after, "after", 0, "only those after the one with this `number`")
	e.projectFlags.add(cmd)
	outputFlag(cmd, &e.form)
	return cmd
}

type eventsCommand struct {
	projectFlags
	follow bool
	newest int
	after  uint64
	form   string
	stdout *os.File
	stderr io.Writer
	widest int // name of an instance that may be shown
}

func (e *eventsCommand) run(ctx context.Context, names []string) error {
	if err := validOutput(e.form); err != nil {
		return err
	}
	if err := validNewest(e.newest, "events"); err != nil {
		return err
	}
	if err := realFiles("events", e.files, names); err != nil {
		return err
	}
	return e.withPast(ctx, e.stderr, names, e.follow, func(past lookback, status client.Status, of []client.Target) error {
		if _, err := chosen(status, of); err != nil {
			return err
		}
		e.widest = widestName(narrowed(status.Apps, of))
		err := e.show(ctx, past, of)
		if errors.Is(err, client.ErrNotRunning) {
			return nil // it has ended: no more events come
		}
		return unread(err)
	})
}

// show prints the events of these applications: the newest of those that are kept, or all,
// and then those to come.
func (e *eventsCommand) show(ctx context.Context, past lookback, of []client.Target) error {
	after := e.after
	if e.newest >= 0 {
		var newest []client.Event
		for event, err := range past.Events(ctx, after, false) {
			if err != nil {
				return err
			}
			after = event.Seq
			if aimedAt(event, of) {
				newest = append(newest, event)
				newest = newest[max(0, len(newest)-e.newest):]
			}
		}
		for _, event := range newest {
			if err := e.print(event); err != nil {
				return err
			}
		}
		if !e.follow {
			return nil
		}
	}
	for event, err := range past.Events(ctx, after, e.follow) {
		if err == nil && aimedAt(event, of) {
			err = e.print(event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func aimedAt(e client.Event, of []client.Target) bool {
	for _, t := range of {
		if e.App == t.App && (t.Replica == 0 || t.Replica == e.Replica) {
			return true
		}
	}
	return len(of) == 0
}

func (e *eventsCommand) print(event client.Event) error {
	if e.form == "json" {
		return escape.JSON(e.stdout).Encode(event)
	}
	_, err := fmt.Fprintln(e.stdout, eventLine(event, e.widest))
	return err
}

// Widths of columns that are printed before it is known what comes: what is wider only
// stands out.
const (
	seqWidth  = 6
	whatWidth = len("leader-lost -> stopping:")
)

// eventLine is an event for people, in columns.
func eventLine(event client.Event, widest int) string {
	who, what := "-", event.Kind
	if event.App != "" {
		who = targetName(client.Target{App: event.App, Replica: event.Replica})
	}
	if event.Kind == "state" {
		what = fmt.Sprintf("%s -> %s", event.From, event.To)
	}
	return fmt.Sprintf("%*d %s %-*s %-*s %s", seqWidth, event.Seq, event.Time.Local().Format(stampLayout),
		widest, printable(who), whatWidth, what+":", printable(event.Cause))
}

// widestName is the length of the longest name of an instance.
func widestName(apps []client.App) int {
	widest := 1
	for _, a := range apps {
		for _, i := range a.Instances {
			widest = max(widest, len(targetName(client.Target{App: a.Name, Replica: i.Replica})))
		}
	}
	return widest
}
