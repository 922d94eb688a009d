package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/escape"
)

// newStatus is foster status.
func newStatus(stdout, stderr *os.File) *cobra.Command {
	s := &statusCommand{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "status [flags] [APP…]",
		Short: "Show how the applications of a project are",
		Long: `Show the applications of a running project, or those that are named, one line for each
replica.

  APP        its name; with several replicas, and a number
  STATE      running; leader lost: the start script is gone, the application is alive;
             waiting: for its dependencies; starting; stopping; restart in: the pause
             before it is started again; next in: its schedule; completed: it has ended
             well; failed: it has ended badly, and isn't started again; stuck: a
             stop has left processes that can't be ended; stopped
  PID        of its leader; -: the leader is gone
  UPTIME     how long its tree has lived
  RESTARTS   how often it was started again
  READY      whether its readiness probe, or itself, says so
  MEMBERS    how many processes it has now
  CPU        processor time of these, and of those that were seen and have ended
  MEMORY     resident memory of these
  LAST EXIT  how the last run ended: a status or a signal, and when; not started: it
             couldn't be when it was to run last, and why
  NOTE       why it is in this state; what its health probe or itself says`,
		Example:           "  foster status\n  foster status --watch\n  foster status -o json web",
		ValidArgsFunction: completeApps(&s.projectFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	s.projectFlags.add(cmd)
	outputFlag(cmd, &s.form)
	cmd.Flags().BoolVarP(&s.watch, "watch", "w", false, "go on showing it, until Ctrl-C")
	cmd.Flags().BoolVar(&s.socket, "socket", false, "print the path of the project's control socket, and nothing else")
	return cmd
}

type statusCommand struct {
	projectFlags
	form           string
	watch, socket  bool
	stdout, stderr *os.File
	names          []string
}

func (s *statusCommand) run(ctx context.Context, args []string) error {
	if err := validOutput(s.form); err != nil {
		return err
	}
	s.names = args
	return s.withProject(ctx, func(c *client.Client) error {
		switch {
		case s.socket:
			return s.path(ctx, c)
		case s.watch:
			return s.follow(ctx, c)
		}
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return s.show(s.stdout, canvasOf(s.stdout), status)
	})
}

func (s *statusCommand) path(ctx context.Context, c *client.Client) error {
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	path, err := client.SocketPath(status.Project)
	if err == nil {
		_, err = fmt.Fprintln(s.stdout, path)
	}
	return err
}

// show prints a status once.
func (s *statusCommand) show(w io.Writer, c canvas, status client.Status) error {
	of, err := aimsIn(status, s.names)
	if err != nil {
		return err
	}
	status.Apps = narrowed(status.Apps, of)
	if s.form == "json" {
		return writeJSON(w, status)
	}
	for _, p := range status.Problems {
		fmt.Fprintln(s.stderr, "foster: "+printable(p))
	}
	return c.write(w, statusGrid(status.Apps, time.Now()).lines())
}

// narrowed are the applications, and of them the instances, that targets name; none: all.
func narrowed(apps []client.App, of []client.Target) []client.App {
	if len(of) == 0 {
		return apps
	}
	var list []client.App
	for _, a := range apps {
		kept := a
		kept.Instances = nil
		named := false
		for _, i := range a.Instances {
			for _, t := range of {
				if t.App == a.Name && (t.Replica == 0 || t.Replica == i.Replica) {
					kept.Instances, named = append(kept.Instances, i), true
					break
				}
			}
		}
		for _, t := range of {
			named = named || t.App == a.Name && t.Replica == 0
		}
		if named {
			list = append(list, kept)
		}
	}
	return list
}

// follow shows it again and again: on a terminal in the same place, each second; else at
// each event, and as JSON in a line of its own.
func (s *statusCommand) follow(ctx context.Context, c *client.Client) error {
	screen := canvasOf(s.stdout)
	for {
		status, err := c.Status(ctx)
		if errors.Is(err, client.ErrNotRunning) {
			fmt.Fprintln(s.stderr, "foster: foster up has ended")
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.frame(screen, status); err != nil {
			return err
		}
		wait, cancel := ctx, context.CancelFunc(func() {})
		if screen.rows > 0 {
			wait, cancel = context.WithTimeout(ctx, time.Second)
		}
		err = nextEvent(wait, c, status.Seq)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, client.ErrNotRunning) {
			return err
		}
	}
}

// frame shows one status of many.
func (s *statusCommand) frame(screen canvas, status client.Status) error {
	if s.form == "json" {
		of, err := aimsIn(status, s.names)
		if err != nil {
			return err
		}
		status.Apps = narrowed(status.Apps, of)
		return escape.JSON(s.stdout).Encode(status)
	}
	var b bytes.Buffer
	if err := s.show(&b, screen, status); err != nil {
		return err
	}
	if screen.rows == 0 {
		_, err := fmt.Fprintf(s.stdout, "%s\n", b.Bytes())
		return err
	}
	lines := bytes.Split(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\n"))
	if most := screen.rows - 2; len(lines) > most && most > 1 {
		more := len(lines) - most + 1
		lines = append(lines[:most-1], []byte(fmt.Sprintf("… and %d more", more)))
	}
	head := fmt.Sprintf("%s, %s", status.Project, time.Now().Format(time.TimeOnly))
	_, err := fmt.Fprintf(s.stdout, "\x1b[H%s\x1b[K\n%s\x1b[K\n\x1b[J", head, bytes.Join(lines, []byte("\x1b[K\n")))
	return err
}
