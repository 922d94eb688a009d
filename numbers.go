package foster

import (
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/wire"
)

// hereNumbered gives the members of a tree the numbers that they have for this program. A
// shim in a PID namespace knows its members by those of the namespace, which are others'
// here. Who has ended before it could be looked for has none: 0.
func (o *owner) hereNumbered(list []wire.Member) []wire.Member {
	if o.exit.Containment != PIDNS || o.shim.Inside() || len(list) == 0 {
		return list
	}
	return contain.Numbered(list, new(contain.Table).Outside(o.shim.PID))
}
