package contain

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// adoption is what Adopt has found.
var adoption struct {
	sync.RWMutex
	adopts  bool
	earlier map[procfs.Identity]bool // children that were there before
	err     error                    // why they aren't known
}

// Adopt makes this process the subreaper above its shims, so that the tree of a
// shim that is killed falls to it. It is for a program that starts nothing but shims:
// whoever else falls to it is ended with such a tree. Children that it has by now it
// didn't start, but was given by exec: they, and what is below them, are spared.
func Adopt() error {
	if err := sys.BecomeSubreaper(); err != nil {
		return err
	}
	adoption.Lock()
	defer adoption.Unlock()
	if adoption.adopts {
		return nil
	}
	var all []procfs.Stat
	var full bool
	if all, full, adoption.err = snapshot(); adoption.err == nil && !full {
		adoption.err = syscall.EMFILE
	}
	adoption.earlier = map[procfs.Identity]bool{}
	self := os.Getpid()
	for _, s := range all {
		if s.PPID == self {
			adoption.earlier[s.Identity()] = true
		}
	}
	adoption.adopts = true
	return nil
}

// Adopts says whether Adopt was called.
func Adopts() bool {
	adoption.RLock()
	defer adoption.RUnlock()
	return adoption.adopts
}

// IsEarlier says whether a child of this process was there before Adopt, or was released from
// a tree.
func IsEarlier(s procfs.Stat) bool {
	adoption.RLock()
	defer adoption.RUnlock()
	return adoption.earlier[s.Identity()]
}

// knowsEarlier is an error where the children before Adopt couldn't be found.
func knowsEarlier() error {
	adoption.RLock()
	defer adoption.RUnlock()
	return adoption.err
}

// errUnproven says that an end isn't seen, and nobody who could be named.
var errUnproven = errors.New("one process follows the other, and none lives long enough to be ended")

// EmptyAdopted ends and reaps all that descends from this process but the shims,
// which spare names, the children that were there before Adopt, the members of cgroups
// that this process has made, and what is below these. It returns who is left when the time is over, or when nobody is left whom this
// process may signal.
func EmptyAdopted(bound time.Duration, spare func(pid int) bool) (ended int, left []procfs.Stat, err error) {
	if err := knowsEarlier(); err != nil {
		return 0, nil, err
	}
	self := os.Getpid()
	deadline := time.Now().Add(bound)
	killed := map[int]bool{}
	for {
		over := !time.Now().Before(deadline)
		found, full, err := descendants(self)
		if err != nil {
			return len(killed), nil, err
		}
		orphans := notBelow(found, spare)
		sent := signal(orphans, syscall.SIGKILL, nil)
		release(found)
		for _, s := range sent.Reached {
			killed[s.PID] = true
		}
		zombies, err := reapAdopted(self, spare)
		if err != nil {
			return len(killed), nil, err
		}
		pending := sent.Reached
		if len(pending) == 0 { // they're about to end, and keep their children until then
			for _, h := range orphans {
				pending = append(pending, h.stat)
			}
		}
		switch {
		case len(orphans) == 0 && zombies == 0 && full:
			return len(killed), nil, nil
		case len(orphans) == 0 && zombies == 0:
			return len(killed), nil, syscall.EMFILE // whoever is there wasn't seen
		case len(sent.Reached) == 0 && len(sent.Denied) > 0:
			return len(killed), sent.Denied, nil
		case over && len(pending) == 0:
			return len(killed), nil, errUnproven
		case over:
			return len(killed), pending, nil
		case zombies > 0:
			continue // who was below is a child now
		}
		if awaitExitFor(pending[0].PID, min(time.Until(deadline), lastLook)) != nil {
			time.Sleep(firstLook) // no handle is left; it's looked at again
		}
	}
}

// notBelow leaves out those that spare names or were there before Adopt, and all that
// descends from them; the list has parents before children.
func notBelow(found []held, spare func(pid int) bool) (rest []held) {
	spared := map[int]bool{}
	for _, h := range found {
		if spared[h.stat.PPID] || IsEarlier(h.stat) || spare(h.stat.PID) || inOwnCgroup(h.stat.PID) {
			spared[h.stat.PID] = true
			continue
		}
		rest = append(rest, h)
	}
	return rest
}

// ReapEnded reaps of those that were seen to end who has fallen to this process.
func ReapEnded(list []procfs.Stat, spare func(pid int) bool) {
	for _, s := range list {
		if !spare(s.PID) {
			_, _ = sys.WaitPid(s.PID) // it may be another's to reap
		}
	}
}

// reapAdopted reaps the zombies among the children of this process that aren't
// shims.
func reapAdopted(self int, spare func(pid int) bool) (reaped int, err error) {
	all, err := procfs.Snapshot()
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if s.PPID != self || !s.Zombie() || spare(s.PID) {
			continue
		}
		if w, err := sys.WaitPid(s.PID); err == nil && w.PID == s.PID {
			reaped++
		}
	}
	return reaped, nil
}
