//go:build darwin || freebsd

package contain

import (
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// Table finds the members of trees.
type Table struct{}

// Outside finds nobody: there are no PID namespaces.
func (*Table) Outside(int) map[int]procfs.Stat { return nil }

// List lists the members of the leader's group.
func (*Table) List(_ wire.Containment, _, leader int, _ string) ([]procfs.Stat, error) {
	return groupMembers(leader)
}
