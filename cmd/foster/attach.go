package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/sys"
)

// newAttach is foster attach.
func newAttach(stdin, stdout, stderr *os.File) *cobra.Command {
	var p projectFlags
	cmd := &cobra.Command{
		Use:   "attach [flags] APP|ID",
		Short: "Use the terminal of an application, or show the output of a tree",
		Long: `Connect this terminal with that of an application that has one ("terminal: true" in
foster.yaml): what is typed goes there, what it shows comes here. Ctrl-P Ctrl-Q, and
SIGTERM and SIGHUP, detach: the application runs on.

Of a tree by itself, show what it writes, and has written since nobody read it, and exit
with its status when it ends, as foster wait does. Ctrl-C, SIGTERM and SIGHUP detach: the
tree runs on. One at a time reads the output of a tree.

Kept is the output of a tree that was started with --detach; of others only the end is
waited for. What isn't read stays in two pipes: a tree that writes more than they hold
waits for a reader. A tree whose owner is gone is taken over until you detach.`,
		Example:           "  foster run --id web --detach -- ./start.sh\n  foster attach web",
		Args:              needs("foster attach web", theTree),
		ValidArgsFunction: completeAny(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			if app, err := p.asApp(cmd.Context(), args[0], func(o *ownedBy) error {
				return (&seat{stdin: stdin, stdout: stdout, stderr: stderr}).attach(cmd.Context(), o)
			}); app {
				return ofTheWait(err)
			}
			ids, err := p.treesOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(ids) > 1 {
				return refusalError{hinted{fmt.Errorf("%s has several trees: %s", args[0], strings.Join(ids, ", ")), "foster attach " + ids[0]}}
			}
			return (&attacher{id: ids[0], stdout: stdout, stderr: stderr}).run()
		},
	}
	p.add(cmd)
	return cmd
}

// showKept prints what nobody had read when a tree ended.
func showKept(id string, stdout, stderr io.Writer) error {
	state, _, err := journal.Folders()
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
	found, c, err := reach(a.id, answerTime)
	if err != nil {
		return err
	}
	if found.State != journal.Living {
		if err := showKept(a.id, a.stdout, a.stderr); err != nil {
			return err
		}
		return endedStatus(found, a.stderr)
	}
	defer c.Close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	switch err := a.begin(c); {
	case err == nil:
	case errors.Is(err, syscall.ESRCH) || gone(err): // it has ended since
		if len(a.files) == 0 {
			end := afterwards(a.id, err, a.stderr) // until then its output may not be kept yet
			return errors.Join(showKept(a.id, a.stdout, a.stderr), end)
		}
		copied := a.copy()
		if cerr := a.rest(copied, len(a.files)); cerr != nil {
			return cerr
		}
		return afterwards(a.id, err, a.stderr)
	default:
		return refused(a.id, hintedRefusal(err, syscall.EBUSY, "foster wait "+a.id+" waits for its end without its output"))
	}
	copied := a.copy()
	type result struct {
		end ending
		err error
	}
	ended, read := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(read)
		end, err := awaitEnd(c)
		ended <- result{end, err}
	}()
	defer func() { // the connection is closed when nobody reads from it
		c.Conn.Abort()
		<-read
	}()
	for copying := len(a.files); ; {
		select {
		case <-signals:
			fmt.Fprintf(a.stderr, "foster: detached from %s, which goes on%s\n", a.id, a.until())
			return nil
		case err := <-copied:
			if copying--; err != nil {
				return unread(err)
			}
		case r := <-ended:
			if err := a.rest(copied, copying); err != nil {
				return err
			}
			if r.err != nil {
				return afterwards(a.id, r.err, a.stderr)
			}
			return exitLike(a.id, r.end.life(), a.stderr)
		}
	}
}

// copy begins to copy the outputs, and tells when each is at its end.
func (a *attacher) copy() <-chan error {
	copied := make(chan error, len(a.files))
	for stream, f := range a.files {
		to := a.stdout
		if stream == 2 {
			to = a.stderr
		}
		go func() { copied <- copyOutput(to, f) }()
	}
	return copied
}

// rest waits until so many outputs are copied, of a tree that has ended.
func (a *attacher) rest(copied <-chan error, copying int) error {
	for _, f := range a.files {
		_ = f.SetReadDeadline(time.Unix(1, 0)) // a pipe has one: what is in it now is the rest
	}
	for range copying {
		if err := <-copied; err != nil {
			return unread(err)
		}
	}
	return nil
}

// unread ends an attach that can't write any more: quietly, as by SIGPIPE, where nobody
// reads.
func unread(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return statusError(128 + int(syscall.SIGPIPE))
	}
	return err
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
	if !status.OwnerGone || status.Stopping != "" && status.State != "ended" {
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
