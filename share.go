package foster

import (
	"errors"
	"io"
	"sync"

	"github.com/foster-init/foster/internal/shim"
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

// sharedShim is one of them.
type sharedShim struct {
	shim  *shim.Process
	trees int // under the mutex of sharing
	lost  bool
	end   sync.Once
	ended bool
}

func (p *sharedShims) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most > 0 && !shim.IsInside()
}

func (p *sharedShims) set(n int) {
	p.mu.Lock()
	p.most = max(n, 0)
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
	started, err := shim.LaunchMany()
	if err == nil {
		err = awaitHello(started)
	}
	if err != nil {
		return nil, &StartError{Stage: StageShim, Path: "shim", Err: err}
	}
	s := &sharedShim{shim: started, trees: 1}
	p.list = append(p.list, s)
	return s, nil
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

// awaitEnd waits until a shim that has left a tree without a last word is gone: then
// what was below it was handed on. It is false for one that lives.
func (s *sharedShim) awaitEnd() bool {
	s.lose()
	s.end.Do(func() {
		s.shim.Conn.Expect(giveUp)
		_, err := s.shim.Conn.Receive()
		if s.ended = errors.Is(err, io.EOF); s.ended {
			s.shim.Reap()
		}
	})
	return s.ended
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

// Close ends a shim that has no tree.
func (s *sharedShim) Close() error {
	s.shim.Close()
	return nil
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
			if err = s.request(); !errors.Is(err, errShimGone) {
				return err
			}
			s.shared.awaitEnd()
			s.emptyAfterShim()
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
