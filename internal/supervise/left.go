package supervise

import (
	"slices"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// LeftTree is the tree of an instance that a supervisor which was killed may have left.
type LeftTree struct {
	client.Target
	ID string
}

// LeftActive names what has completed, and what a supervisor which was killed would have taken
// down at its end: there is no tree of it.
func LeftActive(state string) (ids []string) {
	m, _ := recall(state)
	for id, note := range m.Rests {
		if note.Active {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// CutShort names the commands of a stop, and whose they are, that a supervisor which was killed
// has begun and not finished: "post_stop of shop.db.1".
func CutShort(state string) []string {
	m, _ := recall(state)
	return m.cutShort()
}

// WasKilled says whether the last supervisor with this state folder was killed.
func WasKilled(state string) bool {
	m, _ := recall(state)
	return !m.first && !m.Clean
}

// BeginAnew has the next supervisor begin anew, as after one that has stopped all. The caller
// has the project's lock, and nothing is left of it.
func BeginAnew(state string) error {
	m, _, err := remember(state)
	if err != nil || m.first {
		return err
	}
	m.endsClean()
	return m.broken
}

// Left names the trees that a supervisor which was killed may have left, by the notes in its
// state folder and by the configuration as it is now (nil: none): in the order of their
// applications, however many replicas each had.
func Left(state string, now *config.Project) (trees []LeftTree) {
	m, last := recall(state)
	known := map[string]bool{}
	for _, p := range []*config.Project{last, now} {
		if p == nil {
			continue
		}
		for _, spec := range p.Apps {
			replicas := max(spec.Replicas, m.Scaled[spec.Name].To, 1)
			for n := 1; n <= replicas; n++ {
				if id := treeID(p.Name, spec.Name, n); !known[id] {
					known[id] = true
					trees = append(trees, LeftTree{client.Target{App: spec.Name, Replica: n}, id})
				}
			}
		}
	}
	return trees
}
