package shim

import "github.com/foster-init/foster/internal/contain"

// limited tells a tree of the groups that it has for its limits, and removes at its end.
func limited(t contain.Tree, groups []string) {
	if g, ok := t.(interface{ SetGroups([]string) }); ok {
		g.SetGroups(groups)
	}
}

// oomKills is how many of a tree were killed since they had reached a limit of memory.
func oomKills(t contain.Tree) int {
	if k, ok := t.(interface{ OOMKills() int }); ok {
		return k.OOMKills()
	}
	return 0
}
