package supervise

import (
	"time"

	"github.com/foster-init/foster"
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
			if a.err == nil {
				given[a.of] = a.value
			}
		case <-clock.C:
			return given
		}
	}
	return given
}
