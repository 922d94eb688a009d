package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
in the order of time, on standard output: also what they have written to their standard error.
A line begins with the name of its application. The project need not run, but for --follow.

--since and --until take a time of the day (14:30, 14:30:05), a date and time
(2006-01-02 15:04, or RFC 3339), or how long ago it is (10min).`,
		Example:           "  foster logs --follow\n  foster logs -n 100 web worker.2\n  foster logs --since 10min --stream stderr",
		ValidArgsFunction: completeApps(&l.projectFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), args) },
	}
	fl := cmd.Flags()
	followFlag(cmd, &l.follow, "go on with what is written from now on")
	newestFlag(cmd, &l.newest, "lines")
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
	if err := realFiles("logs", l.files, args); err != nil {
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

// followFlag gives a command --follow. Its letter isn't -f, as in tail(1): that is --file in
// all commands, and whoever means the other is told.
func followFlag(cmd *cobra.Command, follow *bool, usage string) {
	cmd.Flags().BoolVarP(follow, "follow", "F", false, usage)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if none, ok := errors.AsType[*pflag.ValueRequiredError](err); ok && none.GetSpecifiedName() == "f" {
			return notFollow(cmd.CommandPath(), errors.New("-f needs the file of a project"), nil)
		}
		return cmd.Parent().FlagErrorFunc()(cmd, err)
	})
}

// newestFlag gives a command --lines: how many of the newest lines, or events, it shows.
func newestFlag(cmd *cobra.Command, newest *int, what string) {
	cmd.Flags().IntVarP(newest, "lines", "n", -1, "of what is kept, only this many of the newest "+what+"; -1: all, 0: none")
}

func validNewest(newest int, what string) error {
	if newest < -1 {
		return usageError{flagError("lines", fmt.Errorf("%d: want a number of %s, or -1 for all", newest, what))}
	}
	return nil
}

func notFollow(command string, err error, names []string) error {
	hint := command + " --follow, or -F, goes on with what is to come; -f is --file in every command"
	if len(names) > 0 {
		hint = strings.Join(append([]string{command, "--follow"}, names...), " ") + " goes on with what is to come; -f is --file in every command"
	}
	return usageError{hinted{err, hint}}
}

// realFiles refuses what stands where --file wants a file, and is none: the name of an
// application, say, by who takes -f for --follow.
func realFiles(command string, files, names []string) error {
	for i, f := range files {
		if info, err := os.Stat(f); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			names = append(slices.Concat(files[:i], files[i+1:]), names...)
			return notFollow("foster "+command, flagError("file", fmt.Errorf("%q is no file", f)), append([]string{f}, names...))
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
	if err := validNewest(l.newest, "lines"); err != nil {
		return q, err
	}
	switch {
	case l.stream != "" && l.stream != "stdout" && l.stream != "stderr":
		return q, flagError("stream", fmt.Errorf("%q is none of stdout, stderr", l.stream))
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
	s.timestamps, s.plain, s.answer = l.timestamps, l.plain, true
	for _, a := range status.Apps {
		if len(query.Targets) == 0 || len(narrowed([]client.App{a}, query.Targets)) > 0 {
			s.app(a.Name, a.Replicas, false)
		}
	}
	defer s.end()
	query.Unfinished = s.stdout.terminal && l.form != "json" && status.Version == version() // another may not know it
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
