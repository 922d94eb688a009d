package foster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// Recovered is a tree that was left by both its sides: the program that had started it
// and the shim were killed.
type Recovered struct {
	ID          string
	Command     []string
	Containment Containment
	Found       []Process  // what is proven to be left of it
	Survivors   []Survivor // what couldn't be ended
	Unproven    []Unproven // what else may be left of it, and isn't signalled
	Err         error      // why it couldn't be looked for, or ended
}

// Unproven is a process that may be of a lost tree, and for which there is no proof.
type Unproven struct {
	Process
	In string // what it shares with the tree: "process group 4101"
}

// Left is an error that says what of the tree is left or may be, as far as it isn't ended by
// Recover: then the tree stays in the journal, and keeps its name. It is nil where the tree is
// over.
func (r Recovered) Left() error {
	switch {
	case r.Err != nil:
		return r.Err
	case len(r.Survivors) > 0:
		return &SurvivorsError{r.Survivors}
	case len(r.Unproven) > 0:
		return &UnprovenError{r.Unproven}
	}
	return nil
}

// RecoverOption changes what Recover does.
type RecoverOption func(*recovery)

// ListOnly finds what was left, and ends nothing.
func ListOnly() RecoverOption { return func(r *recovery) { r.listOnly = true } }

type recovery struct {
	listOnly  bool
	plan      *wire.Plan  // nil: that of the entry
	signalled wire.Member // has had the signal of its first step
}

// Recover finds the trees of this user that were left by both their sides, and ends
// them in the orderly way that was agreed on at their start. It finds them by the
// journal, which is believed only in the boot and the PID namespace that it was
// written in, and signals only what is proven to be of such a tree; where a PID
// namespace held it, the kernel has ended it before. A tree of which something may be
// left stays in the journal: the next Recover looks again, and Forget drops it. Two that
// recover at once don't act on the same tree. problems are entries that aren't whole, or not this user's;
// they're passed over. A cgroup that was made for a tree and has none, since its maker was
// killed before the journal had its entry, is removed after a minute.
//
// A program that starts trees calls it once, before the first. Linux; elsewhere a
// tree that was lost is found with an Err that wraps errors.ErrUnsupported.
func Recover(ctx context.Context, options ...RecoverOption) (lost []Recovered, problems []error, err error) {
	var r recovery
	for _, o := range options {
		o(&r)
	}
	state, runtime, err := journal.Folders()
	if err != nil {
		return nil, nil, err
	}
	found, wrong, err := journal.Scan(state)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range wrong {
		if !p.Held || !errors.Is(p.Err, journal.ErrForeign) { // else it lives elsewhere
			problems = append(problems, p)
		}
	}
	for _, f := range found {
		if f.State != journal.Lost {
			continue
		}
		one, _, mine := r.one(ctx, state, f)
		if mine {
			lost = append(lost, one)
		}
	}
	if !r.listOnly {
		if _, err := journal.Prune(state, runtime); err != nil {
			problems = append(problems, err)
		}
		contain.RemoveStale()
	}
	return lost, problems, nil
}

// one recovers one tree, unless another does.
func (r *recovery) one(ctx context.Context, folder string, f journal.Found) (one Recovered, left []procfs.Stat, mine bool) {
	e := f.Entry
	one = Recovered{ID: e.ID, Command: e.Command, Containment: Containment(e.Containment.String())}
	record, err := f.Take()
	if err != nil {
		one.Err = err
		return one, nil, !errors.Is(err, journal.ErrTaken) && !errors.Is(err, journal.ErrUnknown)
	}
	defer record.Close()
	if f.State != journal.Lost {
		return one, nil, false // another was at it since it was looked at
	}
	if f.Torn && (e.Containment == wire.Group || e.Containment == wire.Subreaper) {
		one.Err = errNoMembers
		return one, nil, true
	}
	lost := contain.NewLost(e, f.Life)
	left, unproven, err := lost.Find()
	one.Found, one.Unproven = processList(left), unprovenList(unproven)
	if r.listOnly || err != nil {
		one.Err = err
		return one, left, true
	}
	plan := e.Stop
	if r.plan != nil {
		plan, lost.Signalled = *r.plan, r.signalled
	}
	_, left, unproven, err = lost.End(ctx, plan)
	one.Err = err
	one.Survivors, one.Unproven = leftOver(left), unprovenList(unproven)
	if one.Left() == nil {
		_ = os.Remove(e.SocketPath) // the lock is held: it's nobody else's
		one.Err = record.Remove(folder)
	}
	return one, left, true
}

// errNoMembers says why a tree can't be recovered whose members only its file tells.
var errNoMembers = errors.New("its file isn't whole any more: who was in it isn't known")

// Forget drops a tree from the journal that both its sides have left, whatever may be left
// of it: nobody is signalled. It is for a tree that Recover can't prove to be over, once
// somebody has looked. The error is ErrUnknown where the journal has no such tree, and
// ErrTaken where the tree lives or another recovers it.
func Forget(id string) error {
	state, runtime, err := journal.Folders()
	if err == nil {
		err = journal.Forget(state, runtime, id)
	}
	switch {
	case errors.Is(err, journal.ErrUnknown):
		err = ErrUnknown
	case errors.Is(err, journal.ErrTaken):
		err = ErrTaken
	}
	if err != nil {
		return fmt.Errorf("forget %q: %w", id, err)
	}
	return nil
}

func unprovenList(list []contain.Unproven) (unproven []Unproven) {
	for _, u := range list {
		unproven = append(unproven, Unproven{process(u.Stat), u.In})
	}
	return unproven
}

func processList(stats []procfs.Stat) (list []Process) {
	for _, s := range stats {
		list = append(list, process(s))
	}
	return list
}
