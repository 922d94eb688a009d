package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/wire"
)

// newWait is foster wait.
func newWait(stdout, stderr io.Writer) *cobra.Command {
	w := &waiter{stdout: stdout, stderr: stderr, seen: []condition{}}
	cmd := &cobra.Command{
		Use:   "wait [flags] APP|ID\n  foster wait --for ready|stopped [flags] [APP…]",
		Short: "Wait until an application or a tree has ended, and exit with its status",
		Long: `Wait until no process of a tree, or of an application's run, is left, and exit as foster
run would have: with the status of the command; 128 and its number where a signal has
ended it; 123 where something couldn't be ended; 124 where the lease was over. 125 is
foster's own: there is no such tree, or nobody knows how it ended.

The status of a tree that was started with --id or --detach stays to be asked for
when it has ended; those of the newest 64 are kept. Of an application that doesn't run,
it is that of its last run.

With --for, one or several applications of a running project, no name for all of them,
are waited for until they are ready, or stopped: until nothing of them runs, nor will by itself. The status is
0 then, 1 where one has failed, so that it can't come true any more.`,
		Example: "  foster run --id job --detach -- ./start.sh\n  foster wait job; echo $?\n  foster wait --for ready --timeout 1min",
		Args: func(cmd *cobra.Command, args []string) error {
			if w.goal != "exit" {
				return nil
			}
			if len(args) > 1 {
				return usageError{hinted{
					fmt.Errorf("foster wait takes one application or tree, with whose status it exits: got %q, too", args[1]),
					"foster wait --for stopped " + strings.Join(args, " ") + " waits for several applications",
				}}
			}
			return needs("foster wait web", theTree)(cmd, args)
		},
		ValidArgsFunction: completeAny(&w.projectFlags),
		RunE:              func(cmd *cobra.Command, args []string) error { return w.answered(cmd.Context(), args) },
	}
	w.add(cmd)
	outputFlag(cmd, &w.form)
	cmd.Flags().StringVar(&w.goal, "for", "exit", "what to wait for: exit, ready or stopped")
	cmd.Flags().StringVarP(&w.timeout, "timeout", "t", "", "how long to wait; then the status is 124")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"exit", "ready", "stopped"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// waitFor waits for the end of a tree. Where it comes between two questions, the
// journal has it.
func waitFor(id string, stderr io.Writer) error {
	found, c, err := reach(id, answerTime)
	if errors.Is(err, foster.ErrEnded) { // its status is known, whoever still holds it
		complain(stderr, err)
		return endedStatus(found, stderr)
	}
	if err != nil {
		return err
	}
	if found.State != journal.Living {
		return endedStatus(found, stderr)
	}
	defer c.Close()
	err = c.Watch()
	if err == nil {
		var end ending
		if end, err = awaitEnd(c); err == nil {
			return exitLike(id, end.life(), stderr)
		}
	}
	return afterwards(id, err, stderr)
}

// afterwards asks the journal for the end of a tree whose shim couldn't tell it any
// more.
func afterwards(id string, err error, stderr io.Writer) error {
	if !errors.Is(err, errShimGone) && !errors.Is(err, syscall.ESRCH) && !gone(err) {
		return refused(id, err)
	}
	found, c, again := reach(id, answerTime)
	switch {
	case c != nil: // another of that name
		c.Close()
		return fmt.Errorf("tree %q: %w", id, err)
	case errors.Is(again, foster.ErrEnded): // its status is known, whoever still holds it
		complain(stderr, again)
	case again != nil:
		return fmt.Errorf("tree %q: %w", id, errUnknownEnd)
	}
	return endedStatus(found, stderr)
}

// ending is what the news told of a tree's end.
type ending struct {
	leader *wire.LeaderEnded
	cause  foster.Cause
	killed wire.Signaled // who had to be ended by SIGKILL
	tree   *wire.Ended
}

// life is what the journal would tell of it.
func (e ending) life() *wire.Life {
	l := &wire.Life{Cause: string(e.cause), Done: true, End: *e.tree}
	if e.leader != nil {
		l.LeaderDone, l.LeaderEnd = true, *e.leader
	}
	return l
}

// exitLike ends as foster run would have ended, and says why where the status isn't
// the command's own.
func exitLike(id string, l *wire.Life, stderr io.Writer) error {
	end := endOfLife(l)
	if end.left {
		return survivorsError(l.End.Survivors)
	}
	if why := end.reason(); why != "" {
		fmt.Fprintf(stderr, "foster: tree %q %s\n", id, why)
	} else if end.unknown() {
		return fmt.Errorf("tree %q: %w", id, errUnknownEnd)
	}
	if status := end.status(); status != 0 {
		return statusError(status)
	}
	return nil
}

var errUnknownEnd = errors.New("it has ended, and nobody knows with which status")

// errShimGone says that a tree's end can't be known from here.
var errShimGone = errors.New("its shim is gone, and nobody told how it ended")

// awaitEnd reads the news until the tree is over.
func awaitEnd(c *control.Client) (ending, error) {
	var e ending
	for {
		msg, err := c.Next()
		if errors.Is(err, control.ErrSilent) {
			return e, err
		}
		if err != nil {
			return e, errShimGone
		}
		switch m := msg.(type) {
		case *wire.LeaderEnded:
			e.leader = m
		case *wire.Stopping:
			e.cause = foster.Cause(m.Cause)
		case *wire.Signaled:
			if m.Signal == syscall.SIGKILL { // told of each look that found more
				e.killed.Count += m.Count
				e.killed.Names = append(e.killed.Names, m.Names...)
			}
		case *wire.Ended:
			e.tree = m
			return e, nil
		}
	}
}

func survivorsError(list []wire.Member) error {
	s := &foster.SurvivorsError{}
	for _, m := range list {
		one := foster.Survivor{PID: m.PID, Name: m.Name}
		if m.Error != 0 {
			one.Err = m.Error
		}
		s.Survivors = append(s.Survivors, one)
	}
	return s
}

// endedStatus gives the status of a tree whose end the journal has.
func endedStatus(found journal.Found, stderr io.Writer) error {
	id := found.Entry.ID
	switch {
	case found.State == journal.Lost:
		return hinted{fmt.Errorf("tree %q was lost: nobody knows how it ended", id), "foster recover ends what is left of it"}
	case found.Life == nil || !found.Life.Done:
		return fmt.Errorf("tree %q: %w", id, errUnknownEnd)
	}
	return exitLike(id, found.Life, stderr)
}

// endedMeanwhile says what has become of a tree whose shim went without a last word to
// this command: one that has ended has ended.
func endedMeanwhile(id string) error {
	found, c, err := reach(id, answerTime)
	switch {
	case c != nil:
		c.Close()
		return errShimGone
	case err == nil && found.State == journal.Lost:
		return hinted{errShimGone, "foster recover ends what is left of it"}
	}
	return nil
}

// answerTime is how long a shim has to answer.
const answerTime = 10 * time.Second
