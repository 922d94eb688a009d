package foster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// KeepReady keeps up to n shims ready before they're needed, so that a start costs
// little more than with os/exec; they are used again once the tree that they held
// was proven empty. With 0, as long as nobody calls it, each tree has a shim of its
// own, and those that wait are ended.
//
// A shim that is ready has what this program had when the shim was started: its
// user, namespaces, cgroup, limits and priorities. A program that changes these
// calls KeepReady(0) afterwards, and then KeepReady(n) again. Trees in a Group or a
// PIDNS have a shim of their own in any case. The error is that of a shim that
// can't be started.
func KeepReady(n int) error {
	for {
		over, missing := ready.resize(n)
		switch {
		case over != nil:
			over.Close()
		case missing:
			p, err := shim.Launch(false)
			if err == nil {
				err = awaitHello(p)
			}
			if err != nil {
				return &StartError{Stage: StageShim, Path: "shim", Err: err}
			}
			if !ready.put(p) {
				p.Close()
			}
		default:
			return nil
		}
	}
}

// ready has the shims that wait. They are idle and belong to nobody, so a mutex is
// all that they need.
var ready shims

type shims struct {
	mu      sync.Mutex
	most    int
	waiting []*shim.Process
}

// resize sets how many are kept. It gives one that is too many, or says that one is
// missing.
func (r *shims) resize(n int) (over *shim.Process, missing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most = max(n, 0)
	if len(r.waiting) > r.most {
		return r.last(), false
	}
	return nil, len(r.waiting) < r.most
}

// take gives a shim that waits, or nil.
func (r *shims) take() *shim.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return nil
	}
	return r.last()
}

func (r *shims) last() *shim.Process {
	last := len(r.waiting) - 1
	p := r.waiting[last]
	r.waiting = r.waiting[:last]
	return p
}

// put keeps an idle shim, or says that there are enough.
func (r *shims) put(p *shim.Process) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) >= r.most {
		return false
	}
	r.waiting = append(r.waiting, p)
	go r.watch(p)
	return true
}

// watch reaps a shim that is killed while it waits. What one says that was taken is for
// who has it.
func (r *shims) watch(p *shim.Process) {
	if p.Conn.Await(); p.Conn.HungUp() && r.drop(p) {
		p.Close()
	}
}

// drop takes out a shim, unless it was taken.
func (r *shims) drop(p *shim.Process) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.waiting, p)
	if i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
	return i >= 0
}

// awaitHello waits until a shim is ready, or ends it.
func awaitHello(p *shim.Process) error {
	hello, err := receive[*wire.Hello](p.Conn)
	if err == nil {
		err = sys.ForkError(hello.Check(), os.Getuid())
	}
	if err != nil {
		p.Kill() // it has no tree, and may not see the end of its socket
		p.Close()
	}
	if errors.Is(err, io.EOF) && sys.IsSecure() {
		return fmt.Errorf("%w: %w", errPrivileged, err)
	}
	return err
}

// errPrivileged says why a shim ended without a word, and what to do.
var errPrivileged = errors.New("this program is setuid, setgid or has file capabilities, and such a program can't be a shim: " +
	"start it by a program that has the privilege, a service say, or let one without these use foster")
