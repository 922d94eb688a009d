package main

import (
	"context"
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
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// newRecover is foster recover.
func newRecover(stdout, stderr io.Writer) *cobra.Command {
	var list bool
	var forget []string
	var form string
	cmd := &cobra.Command{
		Use:   "recover [flags]",
		Short: "End what an earlier foster left",
		Long: `Find the trees whose foster and whose shim were both killed, and end what is left of
them, in the orderly way that was agreed on when they were started. Only what is
proven to belong to such a tree is signalled. What may belong to it, too, is named, and
the tree stays in the journal until it is gone, or until --forget drops it. foster run
does the same by itself before it starts anything, but for --forget.`,
		Example: "  foster recover\n  foster recover --list\n  foster recover --forget web",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			if len(forget) > 0 {
				for _, other := range []string{"list", "output"} {
					if cmd.Flags().Changed(other) {
						return usageError{fmt.Errorf("--forget and --%s can't be given together", other)}
					}
				}
				return forgetTrees(cmd.Context(), forget, stdout)
			}
			return recoverAll(cmd.Context(), list, form, stdout, stderr)
		},
	}
	outputFlag(cmd, &form)
	cmd.Flags().BoolVarP(&list, "list", "n", false, "only list it, and end nothing")
	cmd.Flags().StringArrayVar(&forget, "forget", nil, "drop the lost tree of this `ID` from the journal, and end nothing; may be given again")
	return cmd
}

func recoverAll(ctx context.Context, list bool, form string, stdout, stderr io.Writer) error {
	var options []foster.RecoverOption
	if list {
		options = append(options, foster.ListOnly())
	}
	ctx, calm := interruptible(ctx)
	defer calm()
	lost, problems, err := foster.Recover(ctx, options...)
	if err != nil {
		return err
	}
	if !list {
		for _, name := range projectNames() {
			_ = removeLeftSockets(name, nil) // it's tried again by foster up, and by the next recovery
		}
	}
	for _, p := range problems {
		fmt.Fprintln(stderr, "foster: "+printable(units.ErrorText(p))+": passed over")
	}
	switch {
	case form == "json":
		if err := writeJSON(stdout, recoveredJSON(lost, list)); err != nil {
			return err
		}
	case len(lost) > 0:
		for _, r := range lost {
			fmt.Fprintln(stdout, recoveredLine(r, list))
		}
	case len(problems) > 0:
		fmt.Fprintln(stdout, "nothing else was left")
	default:
		fmt.Fprintln(stdout, "nothing was left")
	}
	return recoverError(lost, problems, list, stderr)
}

// forgetTrees drops lost trees from the journal, and says what is left of them.
func forgetTrees(ctx context.Context, ids []string, stdout io.Writer) error {
	for _, id := range ids {
		if err := journal.ValidID(id); err != nil {
			return usageError{fmt.Errorf("--forget: %w", err)}
		}
	}
	lost, _, err := foster.Recover(ctx, foster.ListOnly())
	if err != nil {
		return err
	}
	for _, id := range ids {
		line := id
		for _, r := range lost {
			if r.ID == id {
				line = recoveredLine(r, true)
			}
		}
		err := foster.Forget(id)
		switch {
		case errors.Is(err, foster.ErrTaken):
			return refusalError{hinted{fmt.Errorf("tree %q lives: it isn't forgotten", id), "foster stop " + id + " ends it"}}
		case errors.Is(err, foster.ErrUnknown):
			return refusalError{hinted{fmt.Errorf("there is no tree %q", id), "foster ls --all lists the trees"}}
		case err != nil:
			return err
		}
		fmt.Fprintln(stdout, line+": forgotten")
	}
	return nil
}

// recoveredLine says what was found of a tree, and what became of it.
func recoveredLine(r foster.Recovered, listOnly bool) string {
	said := []string{fmt.Sprintf("%s (%s, in a %s)", r.ID, commandLine(r.Command), r.Containment)}
	say := func(format string, args ...any) { said = append(said, printable(fmt.Sprintf(format, args...))) }
	left := processNames(r.Found, len(r.Found))
	switch {
	case r.Err != nil && len(r.Found) == 0:
	case len(r.Found) > 0 && (listOnly || r.Err != nil):
		say("left: %s", left)
	case len(r.Survivors) > 0:
		say("left: %s; %s couldn't be ended", left, count(len(r.Survivors), "process"))
	case len(r.Found) > 0:
		say("ended: %s", left)
	case len(r.Unproven) > 0:
	case r.Containment == foster.Subreaper: // who has left its sessions can't be found
		say("nothing of it was found")
	default:
		say("nothing was left of it")
	}
	switch {
	case r.Err != nil:
		say("%s", units.ErrorText(r.Err))
	case len(r.Unproven) > 0:
		say("%s", units.ErrorText(&foster.UnprovenError{Unproven: r.Unproven}))
	}
	return strings.Join(said, ": ")
}

type recovered struct {
	ID          string   `json:"id"`
	Command     []string `json:"command"`
	Containment string   `json:"containment"`
	Found       []member `json:"found"`
	Ended       bool     `json:"ended"`
	Survivors   []member `json:"survivors,omitempty"`
	Unproven    []member `json:"unproven,omitempty"`
	Error       string   `json:"error,omitempty"`
}

func recoveredJSON(lost []foster.Recovered, listOnly bool) []recovered {
	list := []recovered{}
	for _, r := range lost {
		one := recovered{ID: r.ID, Command: r.Command, Containment: string(r.Containment), Found: []member{}}
		for _, p := range r.Found {
			one.Found = append(one.Found, member{PID: p.PID, Name: p.Name})
		}
		for _, s := range r.Survivors {
			one.Survivors = append(one.Survivors, member{PID: s.PID, Name: s.Name, Why: s.String()})
		}
		for _, u := range r.Unproven {
			one.Unproven = append(one.Unproven, member{PID: u.PID, Name: u.Name, Why: "in the " + u.In})
		}
		if r.Err != nil {
			one.Error = units.ErrorText(r.Err)
		}
		one.Ended = !listOnly && r.Left() == nil
		list = append(list, one)
	}
	return list
}

// recoverError is the status of a recovery that has left something, or may have.
func recoverError(lost []foster.Recovered, problems []error, listOnly bool, stderr io.Writer) error {
	var failed, survived, unproven []string
	for _, r := range lost {
		switch {
		case r.Err != nil:
			failed = append(failed, r.ID)
		case len(r.Survivors) > 0:
			survived = append(survived, r.ID)
		case len(r.Unproven) > 0:
			unproven = append(unproven, r.ID)
		}
	}
	foreign := ""
	for _, p := range problems {
		if p, ok := errors.AsType[journal.Problem](p); ok && p.MayBeLeft() {
			foreign = p.ID()
			failed = append(failed, foreign)
		}
	}
	if len(unproven) > 0 && !listOnly {
		fmt.Fprintln(stderr, "hint: "+unprovenHint(unproven[0]))
	}
	switch {
	case len(survived) > 0:
		return statusError(exitSurvivors)
	case len(failed) > 0 && foreign != "":
		return hinted{errors.New("not recovered: " + strings.Join(failed, ", ")), foreignHint(foreign)}
	case len(failed) > 0:
		return errors.New("not recovered: " + strings.Join(failed, ", "))
	case len(unproven) > 0 && !listOnly:
		return statusError(exitSurvivors)
	}
	return nil
}

// unprovenHint says what to do about processes that may be of a lost tree.
func unprovenHint(id string) string {
	return "foster explain PID tells what each is; end those that are of the tree, and run foster recover again; foster recover --forget " + id + " drops the tree"
}

// foreignHint says what to do about an entry that isn't obeyed here.
func foreignHint(id string) string {
	return "run foster recover where the tree was started; if that is gone, foster recover --forget " + id + " drops the tree"
}

// recoverFirst ends what an earlier foster left, before something is started that
// might need what the rest holds: a port, a lock. That it can't is no reason not to
// start; that it was interrupted is one.
func (r *runner) recoverFirst(ctx context.Context) error {
	patient, calm := interruptible(ctx)
	lost, _, err := foster.Recover(patient)
	if calm() {
		return statusError(128 + int(syscall.SIGINT))
	}
	if err != nil {
		lost = nil
	}
	for _, one := range lost {
		if (len(one.Found) > 0 || one.Left() != nil) && !r.quiet {
			fmt.Fprintln(r.stderr, "foster: left by an earlier foster: "+recoveredLine(one, false))
		}
	}
	return nil
}

const (
	// ownerPatience is how long a foster that was killed may take to end, and its shim to learn
	// of that; and how long a foster whose tree has ended may take to let go of it.
	ownerPatience = 2 * time.Second
	// dyingPatience is how long a foster that seems to live is looked at: it may just be killed.
	dyingPatience = 50 * time.Millisecond
)

// awaitStopped waits while a tree of the name that is wanted is being stopped by its shim,
// since its foster was killed. That is bounded by the plan of its stop: a shim that can't end
// it says so, and isn't waited for.
func (r *runner) awaitStopped(ctx context.Context, id string) error {
	ctx, calm := interruptible(ctx)
	state, _, err := journal.Folders()
	told := false
	for begin := time.Now(); err == nil && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) { // polls: another's tree sends no event
		found, ferr := journal.Find(state, id)
		if ferr != nil || found.State != journal.Living {
			break
		}
		owner, ended := found.Entry.Owner, found.Life != nil && found.Life.Done
		gone, _ := procfs.AwaitEnd(owner.PID, owner.Start, dyingPatience)
		if !gone && !ended && !wasKilled(owner.PID) {
			break // it is its owner's to stop it
		}
		stopping, soon := false, true
		if gone {
			stopping, soon = stopOf(found.Entry)
		}
		if !stopping && (!soon || time.Since(begin) > ownerPatience) {
			break
		}
		if stopping && !told && !r.quiet {
			fmt.Fprintf(r.stderr, "foster: %s: its foster was killed, and its shim is stopping it: waiting for its end\n", id)
		}
		if stopping {
			told, begin = true, time.Now()
		}
	}
	if calm() {
		return statusError(128 + int(syscall.SIGINT))
	}
	return nil
}

// wasKilled says whether a process was killed and hasn't ended yet, which may take a moment.
func wasKilled(pid int) bool {
	s, err := procfs.Read(pid)
	return err == nil && (procfs.Dying(s) || s.Exiting())
}

// stopOf asks the shim of a tree that has lost its owner whether it is stopping it, or may be
// about to, or to end.
func stopOf(e *wire.Entry) (stopping, soon bool) {
	c, err := control.Dial(e)
	if err != nil {
		return false, !errors.Is(err, control.ErrSilent)
	}
	defer c.Close()
	status, err := c.Status()
	switch {
	case err != nil:
		return false, !errors.Is(err, control.ErrSilent)
	case status.OwnerGone && (status.State == "stopping" || status.State == "killing"):
		return true, false
	}
	return false, !status.OwnerGone // it learns of that in a moment
}
