package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/escape"
	"github.com/foster-init/foster/internal/units"
)

// newLogs is foster logs.
func newLogs(stdout, stderr *os.File) *cobra.Command {
	l := &logsCommand{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "logs [flags] [APP…]",
		Short: "Show what the applications of a project have written",
		Long: `Show the output that was kept of the applications of a project, or of those that are named,
in the order of time. A line begins with the name of its application. The project need not
run, but for --follow.

--since and --until take a time of the day (14:30, 14:30:05), a date and time
(2006-01-02 15:04, or RFC 3339), or how long ago it is (10min).`,
		Example:           "  foster logs -f\n  foster logs -n 100 web worker.2\n  foster logs --since 10min --stream stderr",
		ValidArgsFunction: completeApps(&l.projectFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), args) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&l.follow, "follow", "f", false, "go on with what is written from now on")
	fl.IntVarP(&l.newest, "lines", "n", -1, "of what is kept, only so many lines of the end; -1: all")
	fl.StringVar(&l.since, "since", "", "only what was written since this `time`")
	fl.StringVar(&l.until, "until", "", "only what was written until this `time`")
	fl.StringVar(&l.stream, "stream", "", "only stdout, or only stderr")
	fl.BoolVarP(&l.timestamps, "timestamps", "t", false, "show the time of each line")
	fl.BoolVar(&l.plain, "no-names", false, "show the lines as they were written")
	fl.BoolVar(&l.noColour, "no-color", false, "show no colours, as with NO_COLOR in the environment")
	l.projectFlags.add(cmd)
	outputFlag(cmd, &l.form)
	_ = cmd.RegisterFlagCompletionFunc("stream", cobra.FixedCompletions([]string{"stdout", "stderr"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

type logsCommand struct {
	projectFlags
	follow, timestamps, plain, noColour bool
	newest                              int
	since, until, stream, form          string
	stdout, stderr                      *os.File
}

func (l *logsCommand) run(ctx context.Context, args []string) error {
	if err := noFiles("logs", args); err != nil {
		return err
	}
	query, err := l.query(time.Now())
	if err != nil {
		return usageError{err}
	}
	return l.withPast(ctx, l.stderr, args, l.follow, func(past lookback, status client.Status, of []client.Target) error {
		if _, err := chosen(status, of); err != nil {
			return err
		}
		query.Targets = of
		return l.show(ctx, past, status, query)
	})
}

// noFiles refuses a file where the name of an application stands: elsewhere, -f is --file.
func noFiles(command string, args []string) error {
	for i, a := range args {
		if ext := filepath.Ext(a); ext != ".yaml" && ext != ".yml" {
			continue
		}
		if _, err := os.Stat(a); err == nil {
			rest := strings.Join(slices.Delete(slices.Clone(args), i, i+1), " ")
			return usageError{hinted{
				fmt.Errorf("%q is a file, not an application: here -f is --follow; name the file with --file", a),
				strings.TrimSpace(fmt.Sprintf("foster %s --file %s -f %s", command, a, rest)),
			}}
		}
	}
	return nil
}

// query is what the flags choose.
func (l *logsCommand) query(now time.Time) (client.LogQuery, error) {
	q := client.LogQuery{Stream: l.stream, Follow: l.follow, Newest: l.newest}
	if err := validOutput(l.form); err != nil {
		return q, err
	}
	switch {
	case l.stream != "" && l.stream != "stdout" && l.stream != "stderr":
		return q, flagError("stream", fmt.Errorf("%q is none of stdout, stderr", l.stream))
	case l.newest < -1:
		return q, flagError("lines", fmt.Errorf("%d: want a number of lines, or -1 for all", l.newest))
	case l.newest == 0:
		q.Newest = -1 // none
	case l.newest < 0:
		q.Newest = 0 // all
	}
	var err error
	if q.Since, err = timeFlag("since", l.since, now); err != nil {
		return q, err
	}
	if q.Until, err = timeFlag("until", l.until, now); err != nil {
		return q, err
	}
	if l.follow && !q.Until.IsZero() {
		return q, flagError("until", errors.New("with --follow there is no end"))
	}
	return q, nil
}

// timeLayouts are how a time may be written; the first two are of today.
var timeLayouts = []string{"15:04", "15:04:05", time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

func timeFlag(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for i, layout := range timeLayouts {
		t, err := time.ParseInLocation(layout, text, now.Location())
		if err != nil {
			continue
		}
		if i < 2 {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
		}
		return t, nil
	}
	if d, err := units.Duration(text); err == nil && !strings.Contains(text, ":") {
		return now.Add(-d), nil
	}
	return time.Time{}, flagError(flag, fmt.Errorf("%q is no time: write 10min (ago), 14:30, or 2006-01-02 15:04", text))
}

func (l *logsCommand) show(ctx context.Context, past lookback, status client.Status, query client.LogQuery) error {
	s := newShow(l.stdout, l.stderr, l.noColour)
	s.timestamps, s.plain = l.timestamps, l.plain
	for _, a := range status.Apps {
		if len(query.Targets) == 0 || len(narrowed([]client.App{a}, query.Targets)) > 0 {
			s.app(a.Name, a.Replicas, false)
		}
	}
	defer s.flush()
	encoder := escape.JSON(l.stdout)
	for line, err := range past.Logs(ctx, query) {
		if err == nil && l.form == "json" {
			err = encoder.Encode(line)
		} else if err == nil {
			err = s.line(line)
		}
		if errors.Is(err, client.ErrNotRunning) {
			return nil // it has ended: so has the output
		}
		if err != nil {
			return unread(err)
		}
	}
	return nil
}
