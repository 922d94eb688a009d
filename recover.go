package foster

import (
	"context"
	"errors"
	"os"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
)

// Recovered is a tree that was left by both its sides: the program that had started it
// and the shim were killed.
type Recovered struct {
	ID          string
	Command     []string
	Containment Containment
	Found       []Process  // what was left of it
	Survivors   []Survivor // what couldn't be ended
	Err         error      // why it couldn't be looked for, or ended
}

// RecoverOption changes what Recover does.
type RecoverOption func(*recovery)

// ListOnly finds what was left, and ends nothing.
func ListOnly() RecoverOption { return func(r *recovery) { r.listOnly = true } }

type recovery struct{ listOnly bool }

// Recover finds the trees of this user that were left by both their sides, and ends
// them in the orderly way that was agreed on at their start. It finds them by the
// journal, which is believed only in the boot and the PID namespace that it was
// written in, and signals only what is proven to be of such a tree; where a PID
// namespace held it, the kernel has ended it before. Two that recover at once don't
// act on the same tree. problems are entries that aren't whole, or not this user's;
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
		problems = append(problems, p)
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
	lost := contain.NewLost(e, f.Life)
	left, err = lost.Find()
	one.Found = processList(left)
	if r.listOnly || err != nil {
		one.Err = err
		return one, left, true
	}
	_, left, err = lost.End(ctx, e.Stop)
	one.Err = err
	one.Survivors = leftOver(left)
	if err == nil && len(left) == 0 {
		_ = os.Remove(e.SocketPath) // the lock is held: it's nobody else's
		one.Err = record.Remove(folder)
	}
	return one, left, true
}

func processList(stats []procfs.Stat) (list []Process) {
	for _, s := range stats {
		list = append(list, process(s))
	}
	return list
}
