package foster

import (
	"runtime"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// One shim starts one program at a time, so starts that crowd it get another, up to the
// number of processors; when they are over, one shim is kept.
func TestStartsThatCrowdAShimHaveAnother(t *testing.T) {
	leaktest.Check(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	defer Share(0)
	if err := Share(100); err != nil {
		t.Fatal(err)
	}
	count := map[*sharedShim]int{}
	for range 4 * crowded {
		s, err := sharing.take()
		if err != nil {
			t.Fatal(err)
		}
		count[s]++
	}
	if len(count) != 2 {
		t.Errorf("%d shims on two processors", len(count))
	}
	for s, n := range count {
		if n != 2*crowded {
			t.Errorf("one of %d shims has %d of %d starts", len(count), n, 4*crowded)
		}
		for range n {
			s.started()
			s.leave()
		}
	}
	if len(sharing.list) != 1 {
		t.Errorf("%d shims are kept for nothing", len(sharing.list))
	}
}
