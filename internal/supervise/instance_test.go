package supervise

import (
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/journal"
)

// Whoever has a tree's name has the tree. So no two instances share one, of whichever
// projects.
func TestNoTwoInstancesHaveTreesOfOneName(t *testing.T) {
	long := strings.Repeat("long", 12)
	seen := map[string][]any{}
	for _, project := range []string{"rv", "rv.x", "rv.x.b", long, long[:46] + ".x", long[:44] + ".x.b"} {
		for _, app := range []string{"b", "x.b", "b.1", "x.b.1", "1", "1.1", long, "x." + long[2:], "b." + long[2:]} {
			for _, replica := range []int{1, 2, 11, 1000} {
				id := treeID(project, app, replica)
				if err := journal.ValidID(id); err != nil {
					t.Errorf("%s, %s, %d: %v", project, app, replica, err)
				}
				if other := seen[id]; other != nil {
					t.Errorf("%s is that of %s, %s, %d and of %v", id, project, app, replica, other)
				}
				seen[id] = []any{project, app, replica}
			}
		}
	}
	for _, c := range []struct{ project, app, want string }{
		{"shop", "web", "shop.web.1"},
		{"shop-1.2", "web", "shop-1.2.web.1"}, // as folders are called
		{"shop", "web.api", "shop.web.api.1-"},
	} {
		if got := treeID(c.project, c.app, 1); got != c.want && !(strings.HasSuffix(c.want, "-") && len(got) == len(c.want)+16 && strings.HasPrefix(got, c.want)) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
