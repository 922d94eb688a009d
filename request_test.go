package foster

import (
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// Of a signal that ends the tree the answer and the end may be there at once.
func TestAnAnswerIsHeardAlsoWhereTheTreeHasEndedBehindIt(t *testing.T) {
	leaktest.Check(t)
	for range 1000 {
		tree := &Tree{requests: make(chan request), done: make(chan struct{})}
		go func() {
			r := <-tree.requests
			r.answer <- answer{}
			close(tree.done)
		}()
		if err := tree.ask(request{kind: askSignal}); err != nil {
			t.Fatal(err)
		}
	}
}
