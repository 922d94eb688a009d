package contain

import (
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// Numbered gives the members of a PID namespace the numbers that they have outside of it,
// by looks of [Table.Outside], the newest last. Who is in none has no number: 0.
func Numbered(list []wire.Member, looks ...map[int]procfs.Stat) []wire.Member {
	outside := make([]wire.Member, 0, len(list))
	for _, m := range list {
		inside := m.PID
		m.PID = 0
		for _, look := range looks {
			if s, found := look[inside]; found && s.Start == m.Start {
				m.PID = s.PID
			}
		}
		outside = append(outside, m)
	}
	return outside
}
