package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// ending is what the news told of a tree's end.
type ending struct {
	leader *wire.LeaderEnded
	cause  foster.Cause
	tree   *wire.Ended
}

// status is the one that foster run would have ended with.
func (e ending) status() int {
	l := &wire.Life{Cause: string(e.cause), End: *e.tree}
	if e.leader != nil {
		l.LeaderDone, l.LeaderEnd = true, *e.leader
	}
	return *exitOf(l)
}

// errShimGone says that a tree's end can't be known from here.
var errShimGone = errors.New("its shim is gone, and nobody told how it ended")

// awaitEnd reads the news until the tree is over.
func awaitEnd(c *control.Client) (ending, error) {
	var e ending
	for {
		msg, err := c.Next()
		if err != nil {
			return e, errShimGone
		}
		switch m := msg.(type) {
		case *wire.LeaderEnded:
			e.leader = m
		case *wire.Stopping:
			e.cause = foster.Cause(m.Cause)
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

// ended gives the status of a tree whose end the journal has.
func endedStatus(found journal.Found) error {
	if found.Life == nil || !found.Life.Done {
		return hinted{fmt.Errorf("tree %q was lost: nobody knows how it ended", found.Entry.ID), "foster recover ends what is left of it"}
	}
	if status := *exitOf(found.Life); status != 0 {
		return statusError(status)
	}
	return nil
}

// newWait is foster wait.
func newWait() *cobra.Command {
	return &cobra.Command{
		Use:   "wait ID",
		Short: "Wait until a tree has ended, and exit with its status",
		Long: `Wait until no process of a tree is left, and exit as foster run would have. The
status of a tree that was started with --id or --detach stays to be asked for when it
has ended.`,
		Args:              needs("foster wait web", theTree),
		ValidArgsFunction: completeID,
		RunE: func(_ *cobra.Command, args []string) error {
			found, err := find(args[0])
			if err != nil {
				return err
			}
			if found.State != journal.Living {
				return endedStatus(found)
			}
			end, err := watchEnd(args[0])
			if err != nil {
				return err
			}
			if status := end.status(); status != 0 {
				return statusError(status)
			}
			return nil
		},
	}
}

func watchEnd(id string) (ending, error) {
	_, c, err := connect(id)
	if err != nil {
		return ending{}, err
	}
	defer c.Close()
	if err := c.Watch(); err != nil {
		return ending{}, refused(id, err)
	}
	return awaitEnd(c)
}

// newAttach is foster attach.
func newAttach(stdout, stderr *os.File) *cobra.Command {
	return &cobra.Command{
		Use:   "attach ID",
		Short: "Show the output of a tree, and wait for its end",
		Long: `Show what a tree writes, and has written since nobody read it, and exit with its
status when it ends. A tree without an owner is taken over. Ctrl-C leaves it running.`,
		Args:              needs("foster attach web", theTree),
		ValidArgsFunction: completeID,
		RunE: func(_ *cobra.Command, args []string) error {
			found, err := find(args[0])
			if err != nil {
				return err
			}
			if found.State != journal.Living {
				if err := showKept(args[0], stdout, stderr); err != nil {
					return err
				}
				return endedStatus(found)
			}
			return (&attacher{id: args[0], stdout: stdout, stderr: stderr}).run()
		},
	}
}

// showKept prints what nobody had read when a tree ended.
func showKept(id string, stdout, stderr io.Writer) error {
	state, _, err := folders()
	if err != nil {
		return err
	}
	for stream, to := range []io.Writer{1: stdout, 2: stderr} {
		if to == nil {
			continue
		}
		f, err := journal.OpenOutput(state, id, stream)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		_, err = io.Copy(to, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// attacher is one foster attach.
type attacher struct {
	id             string
	stdout, stderr *os.File
	files          map[uint8]*os.File
	claimed        bool
}

func (a *attacher) run() error {
	_, c, err := connect(a.id)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := a.begin(c); err != nil {
		return refused(a.id, err)
	}
	copied := make(chan error, len(a.files))
	for stream, f := range a.files {
		to := a.stdout
		if stream == 2 {
			to = a.stderr
		}
		go func() { copied <- copyOutput(to, f) }()
	}
	type result struct {
		end ending
		err error
	}
	ended := make(chan result, 1)
	go func() {
		end, err := awaitEnd(c)
		ended <- result{end, err}
	}()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	select {
	case <-signals:
		fmt.Fprintf(a.stderr, "foster: detached from %s, which goes on%s\n", a.id, a.until())
		return nil
	case r := <-ended:
		for _, f := range a.files {
			_ = f.SetReadDeadline(time.Unix(1, 0)) // a pipe has one: what is in it now is the rest
		}
		for range a.files {
			if err := <-copied; err != nil {
				return err
			}
		}
		if r.err != nil {
			return fmt.Errorf("tree %q: %w", a.id, r.err)
		}
		if status := r.end.status(); status != 0 {
			return statusError(status)
		}
		return nil
	}
}

func (a *attacher) until() string {
	if a.claimed {
		return " for the time of its grace"
	}
	return ""
}

// begin takes the output first: a tree that has ended is over with its claim.
func (a *attacher) begin(c *control.Client) (err error) {
	status, err := c.Status()
	if err != nil {
		return err
	}
	if len(status.Outputs) > 0 {
		if a.files, err = c.Output(); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stderr, "foster: the output of %s goes where it went when it was started; waiting for its end\n", a.id)
	}
	if !status.OwnerGone || status.Stopping != "" {
		return c.Watch()
	}
	owner, fd, err := holdOwner(os.Getpid())
	if err != nil {
		return err
	}
	closeHandle(fd)
	a.claimed = true
	return c.Claim(owner)
}

// copyOutput copies until the end of a pipe, or until its deadline, and then what it
// holds.
func copyOutput(to io.Writer, from *os.File) error {
	_, err := io.Copy(to, from)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = from.SetReadDeadline(time.Time{}) // a pipe has one
		err = sys.Drain(from, func(p []byte) error { _, err := to.Write(p); return err })
	}
	return err
}
