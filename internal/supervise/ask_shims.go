package supervise

import (
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/api"
)

// shimPatience is how long a report waits for what shims say: one that hangs isn't to hide
// all other applications.
const shimPatience = time.Second

// askedAtOnce bounds how many shims are asked at a time.
const askedAtOnce = 32

// askShims asks the shims of trees something, and gives what was answered in time.
func askShims[T any](trees []*foster.Tree, question func(*foster.Tree) (T, error)) map[*foster.Tree]T {
	type answer struct {
		of    *foster.Tree
		value T
		err   error
	}
	answers, slots := make(chan answer, len(trees)), make(chan struct{}, askedAtOnce)
	clock := time.NewTimer(shimPatience)
	defer clock.Stop()
	given := make(map[*foster.Tree]T, len(trees))
	take := func(a answer) {
		if a.err == nil {
			given[a.of] = a.value
		}
	}
	asked := 0
	for answered := 0; answered < len(trees); {
		var slot chan<- struct{}
		if asked < len(trees) {
			slot = slots
		}
		select {
		case slot <- struct{}{}:
			t := trees[asked]
			asked++
			go func() {
				value, err := question(t)
				<-slots
				answers <- answer{t, value, err}
			}()
		case a := <-answers:
			answered++
			take(a)
		case <-clock.C:
			return given
		}
	}
	return given
}

// reaping is how many processes the metrics have told of that were reaped in the trees of an
// instance. It doesn't fall where a tree is counted by nobody, since it ended when its shim
// was asked.
type reaping struct{ reaped, adopted uint64 }

// living is a tree that is to be counted, and what was told before; nil: there is none.
type living struct {
	tree *foster.Tree
	told *reaping
}

// countLiving adds what the shims of the trees that live have counted until now.
func (s *Supervisor) countLiving(list []api.InstanceCounters, of []living) {
	var trees []*foster.Tree
	for _, l := range of {
		if l.tree != nil {
			trees = append(trees, l.tree)
		}
	}
	now := askShims(trees, func(t *foster.Tree) (reaping, error) {
		reaped, adopted, err := t.Reaped()
		return reaping{uint64(reaped), uint64(adopted)}, err
	})
	s.metering.Lock()
	defer s.metering.Unlock()
	for n, l := range of {
		c := &list[n]
		c.Reaped = max(c.Reaped+now[l.tree].reaped, l.told.reaped)
		c.Adopted = max(c.Adopted+now[l.tree].adopted, l.told.adopted)
		*l.told = reaping{c.Reaped, c.Adopted}
	}
}
