package contain

import (
	"testing"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

func TestMembersOfANamespaceGetTheNumbersOutsideOrNone(t *testing.T) {
	before := map[int]procfs.Stat{2: {PID: 102, Start: 20}, 3: {PID: 103, Start: 30}}
	now := map[int]procfs.Stat{3: {PID: 113, Start: 31}, 4: {PID: 104, Start: 40}}
	list := []wire.Member{{PID: 2, Start: 20}, {PID: 3, Start: 30}, {PID: 3, Start: 31}, {PID: 4, Start: 39}, {PID: 5, Start: 50}}
	got := Numbered(list, before, now)
	for n, want := range []int{102, 103, 113, 0, 0} {
		if got[n].PID != want {
			t.Errorf("%+v got the number %d, want %d", list[n], got[n].PID, want)
		}
	}
	if list[0].PID != 2 {
		t.Error("the list that was given was changed")
	}
}
