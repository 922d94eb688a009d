//go:build darwin || freebsd

package contain

import (
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// List lists the members of the leader's group.
func List(_ wire.Containment, _, leader int, _ string) ([]procfs.Stat, error) {
	return groupMembers(leader)
}
