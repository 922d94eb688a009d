package foster

import (
	"errors"
	"io"
	"runtime"
	"sync"

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
// moves out of its tree's cgroup, and of which nothing else tells whose it is, is ended with
// the last tree of the shim. Where the
// shim is killed, that is so for all of its trees, each of which is ended by its owner's
// side. And what KeepReady says of shims that were started earlier goes for these, too.
//
// One shim starts one program at a time, so with many starts at once there are as many
// shims as processors. A program, or a folder, on a file system that hangs keeps its shim
// from all else until the kernel lets it go: in the containment of a PIDNS or a Subreaper
// such a tree has a shim of its own.
//
// The error is that of a shim that can't be started.
func Share(n int) error {
	sharing.set(n)
	if n <= 0 {
		return nil
	}
	s, err := sharing.take()
	s.started()
	s.leave()
	return err
}

// sharing has the shims that hold many trees.
var sharing sharedShims

type sharedShims struct {
	mu        sync.Mutex
	most      int // trees of one shim
	list      []*sharedShim
	launching chan struct{} // closed when the shim that is being started is ready, or failed; nil: none is
}

// crowded is how many starts one shim has under way before another is started beside it:
// a shim starts one program at a time. More of them than processors are no help.
const crowded = 3

// A shim needs so many descriptors for a tree, and for itself.
const filesPerTree, spareFiles = 10, 64

// sharedShim is one of them.
type sharedShim struct {
	shim  *shim.Process
	start uint64 // of its process; 0: not known
	// Under the mutex of sharing:
	trees    int
	starting int  // of these, whose starts are under way
	lost     bool // no more trees for it
	losing   int  // of the trees, who are being ended since it was killed
	stuck    bool // it goes on holding what is over here

	end   sync.Mutex // of awaitEnd, whose is:
	ended bool
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
	p.mu.Unlock()
	p.closeSpare()
}

// closeSpare ends those that aren't needed.
func (p *sharedShims) closeSpare() {
	p.mu.Lock()
	over := p.spare()
	p.mu.Unlock()
	closeAll(over)
}

// take gives a shim that has room, and counts a tree and its start.
func (p *sharedShims) take() (*sharedShim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.idlest()
	for s == nil && p.launching != nil {
		p.await(p.launching)
		s = p.idlest()
	}
	crowd := s != nil && s.starting >= crowded && len(p.list) < runtime.GOMAXPROCS(0)
	if s == nil || crowd && p.launching == nil {
		var err error
		if s, err = p.launch(); err != nil {
			s = p.idlest()
		}
		if s == nil {
			return nil, &StartError{Stage: StageShim, Path: "shim", Err: err}
		}
	}
	s.trees++
	s.starting++
	return s, nil
}

// idlest gives the shim with room that has the fewest starts under way; nil: none has room.
func (p *sharedShims) idlest() (found *sharedShim) {
	for _, s := range p.list {
		if s.trees < p.most && !s.lost && (found == nil || s.starting < found.starting) {
			found = s
		}
	}
	return found
}

// await waits without the mutex.
func (p *sharedShims) await(news <-chan struct{}) {
	p.mu.Unlock()
	defer p.mu.Lock()
	<-news
}

// launch starts a shim, without the mutex: others go on with those that there are.
func (p *sharedShims) launch() (*sharedShim, error) {
	p.launching = make(chan struct{})
	p.mu.Unlock()
	started, err := launchMany()
	p.mu.Lock()
	close(p.launching)
	p.launching = nil
	if err != nil {
		return nil, err
	}
	s := &sharedShim{shim: started, start: startOf(started.PID)}
	p.list = append(p.list, s)
	go s.watch()
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

// started is said when a start is over, however it went.
func (s *sharedShim) started() {
	if s == nil {
		return
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s.starting--
}

// leave is said when a tree is over.
func (s *sharedShim) leave() {
	if s == nil {
		return
	}
	sharing.mu.Lock()
	s.trees--
	sharing.mu.Unlock()
	sharing.closeSpare()
}

// watch reaps a shim that is killed while it has no tree. Of one that has trees, their
// owners' sides find that out.
func (s *sharedShim) watch() {
	if s.shim.Conn.Await(); s.shim.Conn.HungUp() {
		s.lose()
		sharing.closeSpare()
	}
}

// lose keeps a shim that is gone, or doesn't answer, from being given more trees.
func (s *sharedShim) lose() {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s.lost = true
}

// loseTree is lose, for one of its trees, and leftTree is said when that is ended by its
// owner's side.
func (s *sharedShim) loseTree() {
	s.lose()
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s.losing++
}

func (s *sharedShim) leftTree() {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	s.losing--
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
	s.end.Lock()
	defer s.end.Unlock()
	if s.ended {
		return s.emptyAdopted()
	}
	s.shim.Conn.Expect(giveUp)
	if _, err := s.shim.Conn.Receive(); !errors.Is(err, io.EOF) || !s.shim.ReapWithin(giveUp) {
		return nil, contain.ErrShimLives // who asks later may find it gone
	}
	s.ended = true
	return s.emptyAdopted()
}

// emptyAdopted ends who was below the shim, in no cgroup of a tree, after the last of its
// trees.
func (s *sharedShim) emptyAdopted() (left []procfs.Stat, err error) {
	sharing.mu.Lock()
	last := s.losing <= 0
	sharing.mu.Unlock()
	if last && contain.Adopts() {
		_, left, err = endAdopted(giveUp)
	}
	return left, err
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
		s.shim.ReapWithin(giveUp)
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
		shared := s.shared
		err = s.startShared()
		shared.started()
		switch {
		case s.shared == nil:
			return err // it has a shim of its own
		case errors.Is(err, errShimGone):
			_, _ = s.shared.awaitEnd() // of other trees; this one is a cgroup
			if err := s.emptyAfterShim(err); err != nil {
				return err
			}
		case !errors.Is(err, shim.ErrGone):
			return err
		}
		s.leaveShared()
	}
	return err
}

// startShared starts the program by a shim that holds many trees.
func (s *starter) startShared() (err error) {
	if s.shim, err = s.shared.shim.Open(); err != nil {
		return s.fail(StageShim, err)
	}
	if err := s.register(); err != nil {
		return err
	}
	return s.request()
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
