package foster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/wire"
)

// AttachOption changes what Attach does.
type AttachOption func(*attachment)

// WithOutput copies what the tree writes, and has written since nobody read it, to
// these writers; a nil one takes nothing, and what was meant for it is lost. Only
// outputs that a writer or Cmd.KeepOutput took are kept.
func WithOutput(stdout, stderr io.Writer) AttachOption {
	return func(a *attachment) { a.writers = map[uint8]io.Writer{1: stdout, 2: stderr} }
}

// WithPipes takes the reading ends of the pipes that KeepOutput made: Tree.Pipes gives
// them, with all that nobody has read, also where the tree has ended meanwhile. It is
// not for use with WithOutput. Where the tree keeps no output, there are none.
func WithPipes() AttachOption { return func(a *attachment) { a.pipes = true } }

// WithKept takes the files that the owner before had the shim keep: Tree.Kept gives them.
func WithKept() AttachOption { return func(a *attachment) { a.keep = true } }

// WithConfirmEnd says that Tree.ConfirmEnd will be called, as with Cmd.ConfirmEnd.
func WithConfirmEnd() AttachOption { return func(a *attachment) { a.confirm = true } }

// attachment is an Attach under way.
type attachment struct {
	id      string
	writers map[uint8]io.Writer // nil: the outputs stay where they are
	pipes   bool                // they are read by the caller
	confirm bool                // its end is for the next owner, too, until this one confirms it
	keep    bool                // what Cmd.Keep has kept is taken, too
	entry   *wire.Entry
	client  *control.Client
	status  *wire.Status
	files   map[uint8]*os.File
	kept    []*os.File
}

// Attach takes over a tree whose owner is gone, within its grace: this program is its
// owner then, as if it had started it. The Tree has the events since the start, as far
// as they are kept, and its Wait gives the exit, also where the tree has ended while
// it had no owner. When ctx is done, the tree is stopped.
//
// The error is ErrUnknown where there is no tree of that name, ErrEnded where it has
// ended and the grace is over, ErrOwned where it has an owner, be it one who was
// faster to claim it; it wraps syscall.EBUSY while the tree is being stopped, until it has
// ended or it is known that it can't be. Nothing has changed then. Linux.
func Attach(ctx context.Context, id string, options ...AttachOption) (*Tree, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := &attachment{id: id}
	for _, o := range options {
		o(a)
	}
	if err := a.connect(); err != nil {
		return nil, &fromLibrary{fmt.Errorf("attach to %q: %w", id, err)}
	}
	return a.tree(ctx), nil
}

func (a *attachment) connect() (err error) {
	if a.pipes && a.writers != nil {
		return errors.New("its output goes to the writers of WithOutput or to WithPipes, not to both")
	}
	if err := journal.ValidID(a.id); err != nil {
		return err
	}
	state, _, err := folders()
	if err != nil {
		return err
	}
	found, err := journal.Find(state, a.id)
	switch {
	case errors.Is(err, journal.ErrUnknown):
		return ErrUnknown
	case err != nil:
		return err
	case found.State != journal.Living:
		return ErrEnded
	}
	a.entry = found.Entry
	if a.client, err = control.Dial(a.entry); err != nil {
		return err
	}
	if err := a.take(); err != nil {
		for _, f := range a.files {
			f.Close()
		}
		closeAll(a.kept)
		a.client.Close()
		return err
	}
	return nil
}

// take claims the tree, with its outputs in the same step: others may claim it, too, and
// with the claim, a tree that has ended is over.
func (a *attachment) take() (err error) {
	if a.status, err = a.client.Status(); err != nil {
		return err
	}
	a.files, a.kept, err = a.client.ClaimWith(wire.Claim{
		Owner: self(), Output: a.writers != nil || a.pipes, Kept: a.keep, Confirm: a.confirm,
	})
	refused, ok := errors.AsType[*control.RefusedError](err)
	switch {
	case !ok:
		return err
	case refused.Errno == syscall.ESRCH:
		return ErrEnded
	case refused.Errno == syscall.EBUSY:
		return a.refusal(refused)
	}
	return err
}

// refusal says why a claim was refused: the tree has an owner, or it is being stopped.
func (a *attachment) refusal(refused *control.RefusedError) error {
	now, err := a.client.Status()
	switch {
	case err != nil || now.Stopping == "" || now.State == "ended":
		return fmt.Errorf("%w: %s", ErrOwned, refused.Text)
	case now.State == "stuck":
		return a.stuck(now)
	}
	return refused
}

// stuck names who is left of a tree that its shim can't end.
func (a *attachment) stuck(now *wire.Status) error {
	members, err := new(contain.Table).List(now.Containment, a.entry.Shim.PID, now.Leader.PID, a.entry.SharedCgroup())
	members = slices.DeleteFunc(members, procfs.Stat.Zombie)
	if err != nil || len(members) == 0 {
		return errors.New("it was stopped, and some of its processes can't be ended")
	}
	return &SurvivorsError{leftOver(members)}
}

func (a *attachment) tree(ctx context.Context) *Tree {
	e := a.entry
	t := &Tree{
		id: a.id, containment: Containment(e.Containment.String()), leader: a.status.Leader.PID,
		shimPID: e.Shim.PID, shared: e.SharedCgroup(), started: e.At, log: newEventLog(),
		requests: make(chan request), done: make(chan struct{}),
	}
	if e.ShimSelf {
		t.leader = 0 // its number is one of a PID namespace of its own
	}
	cmd := &Cmd{ctx: ctx, KeepTerminal: true}
	t.kept.Store(&a.kept)
	if a.pipes {
		t.pipes, a.files = &pipes{ends: a.files}, nil
	}
	for stream, f := range a.files {
		to := a.writers[stream]
		if to == nil {
			to = io.Discard
		}
		cmd.outputs = append(cmd.outputs, &output{r: f, to: to, stream: stream})
	}
	o := newOwner(t, cmd)
	o.attached, o.early = e, a.client.Early()
	o.shim = shim.Attached(a.client.Conn, e.Shim.PID)
	o.start = a.status.Leader.Start
	o.kept = cmd.outputs
	o.cgroup, o.confirm = cgroupOf(e), a.confirm
	t.log.add(Event{Time: e.At, Kind: EventStarted})
	go o.run()
	return t
}
