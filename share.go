package foster

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// Share has one shim hold up to n trees at once, where their containment is a Cgroup: a
// program with many trees then has few shims, of which each costs as much as a small
// process, and a start needs none. With 0, as long as nobody calls it, each tree has a
// shim of its own. Trees in another containment have that in any case. n is at least 2
// where it isn't 0.
//
// What differs: such a shim tells its trees apart by their cgroups. A process that root
// moves out of its tree's cgroup is of no tree any more, until its shim ends. Where the
// shim is killed, that is so for all of its trees, each of which is ended by its owner's
// side. And what KeepReady says of shims that were started earlier goes for these, too.
//
// The error is that of a shim that can't be started.
func Share(n int) error {
	sharing.set(n)
	if n <= 0 {
		return nil
	}
	s, err := sharing.take()
	s.leave()
	return err
}

// sharing has the shims that hold many trees.
var sharing sharedShims

type sharedShims struct {
	mu   sync.Mutex
	most int // trees of one shim
	list []*sharedShim
}

// A shim needs so many descriptors for a tree, and for itself.
const filesPerTree, spareFiles = 10, 64

// sharedShim is one of them.
type sharedShim struct {
	shim  *shim.Process
	trees int // under the mutex of sharing
	lost  bool
	stuck bool // it goes on holding what is over here

	end  sync.Once // of awaitEnd
	left []procfs.Stat
	err  error
}

func (p *sharedShims) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most > 0 && !shim.IsInside()
}

func (p *sharedShims) set(n int) {
	p.mu.Lock()
	p.most = min(max(n, 0), max((sys.OpenLimit()-spareFiles)/filesPerTree, 1))
	if n <= 0 {
		p.most = 0
	}
	over := p.spare()
	p.mu.Unlock()
	closeAll(over)
}

// take gives a shim that has room, and counts a tree.
func (p *sharedShims) take() (*sharedShim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.list {
		if s.trees < p.most && !s.lost {
			s.trees++
			return s, nil
		}
	}
	started, err := launchMany()
	if err != nil {
		return nil, &StartError{Stage: StageShim, Path: "shim", Err: err}
	}
	s := &sharedShim{shim: started, trees: 1}
	p.list = append(p.list, s)
	return s, nil
}

// launchMany starts a shim, and waits until it is ready, but not for ever: others wait for
// this.
func launchMany() (*shim.Process, error) {
	p, err := shim.LaunchMany()
	if err != nil {
		return nil, err
	}
	p.Conn.Expect(giveUp)
	if err := awaitHello(p); err != nil {
		return nil, err
	}
	p.Conn.Expect(0)
	return p, nil
}

// leave is said when a tree is over.
func (s *sharedShim) leave() {
	if s == nil {
		return
	}
	sharing.mu.Lock()
	s.trees--
	over := sharing.spare()
	sharing.mu.Unlock()
	closeAll(over)
}

// lose keeps a shim that is gone, or doesn't answer, from being given more trees.
func (s *sharedShim) lose() {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s.lost = true
}

// holdsOn says that it goes on holding something of a tree that is over here.
func (s *sharedShim) holdsOn() {
	if s == nil {
		return
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s.stuck = true
}

// awaitEnd waits until a shim that has left a tree without a last word is gone. What was
// below it falls to this program then, if it adopts, and is ended, once for all trees. It
// is an error where the shim lives: it has only ceased to take trees.
func (s *sharedShim) awaitEnd() (left []procfs.Stat, err error) {
	s.lose()
	s.end.Do(func() {
		s.shim.Conn.Expect(giveUp)
		if _, err := s.shim.Conn.Receive(); !errors.Is(err, io.EOF) || !s.reap(giveUp) {
			s.err = contain.ErrShimLives
		} else if contain.Adopts() {
			_, s.left, s.err = contain.EmptyAdopted(giveUp, shim.IsShim)
		}
	})
	return s.left, s.err
}

// reap waits for the end of the shim, for a while.
func (s *sharedShim) reap(most time.Duration) bool {
	gone := make(chan struct{})
	go func() {
		s.shim.Reap()
		close(gone)
	}()
	select {
	case <-gone:
		return true
	case <-time.After(most):
		return false
	}
}

// spare takes out those that aren't needed: they have no tree, and another has room.
func (p *sharedShims) spare() (over []*sharedShim) {
	var kept []*sharedShim
	idle := 0
	for _, s := range p.list {
		if s.trees == 0 && (p.most == 0 || s.lost || idle > 0) {
			over = append(over, s)
			continue
		}
		if s.trees == 0 {
			idle++
		}
		kept = append(kept, s)
	}
	p.list = kept
	return over
}

// Close ends a shim that has no tree. One that holds on to survivors ends when they do:
// nobody waits for that here.
func (s *sharedShim) Close() error {
	err := s.shim.Conn.Close()
	if s.stuck {
		go s.shim.Reap()
	} else {
		s.reap(giveUp)
	}
	return err
}

// launchShared has a shim that holds many trees hold this one, too. One that was killed
// while nobody looked is replaced.
func (s *starter) launchShared() (err error) {
	for range 2 {
		if s.cgroup == nil {
			if err := s.contain(); err != nil {
				return err
			}
			if s.level != wire.Cgroup {
				return s.launchNew()
			}
		}
		if s.shared, err = sharing.take(); err != nil {
			return err
		}
		if s.shim, err = s.shared.shim.Open(); err == nil {
			if err = s.register(); err != nil {
				return err
			}
			if err = s.request(); s.shared == nil || !errors.Is(err, errShimGone) {
				return err
			}
			_, _ = s.shared.awaitEnd() // the start is tried again all the same
			s.emptyAfterShim()
		} else if !errors.Is(err, shim.ErrGone) {
			break
		}
		s.leaveShared()
	}
	return s.fail(StageShim, err)
}

// leaveShared lets go of a shim that can't hold this tree.
func (s *starter) leaveShared() {
	s.shared.lose()
	if s.shim != nil {
		s.shim.Close()
	}
	s.shared.leave()
	s.shim, s.shared = nil, nil
}
