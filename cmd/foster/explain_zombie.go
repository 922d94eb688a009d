package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/foster-init/foster/proc"
)

// livesOn finds who lives of what a zombie was the start script of: who is in the group or
// the session that it led, and the orphans in another's that it was in. The orphans come
// first, since whom they are the parents of ends with them.
func (h *host) livesOn(z *proc.Process) (list []*proc.Process) {
	above := h.table.Ancestors(z.PID)
	for _, p := range append(h.table.Group(z.PGID), h.table.Session(z.Session)...) {
		led := z.PGID == z.PID && p.PGID == z.PID || z.Session == z.PID && p.Session == z.PID
		if p.Zombie() || slices.Contains(above, p) || slices.Contains(list, p) || h.spared(p) != "" {
			continue
		}
		if led || h.isOrphan(p) || h.orphanAbove(p) != nil {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b *proc.Process) int {
		rank := map[bool]int{true: 0, false: 1}
		return rank[h.isOrphan(a)] - rank[h.isOrphan(b)]
	})
	return list
}

func (h *host) isOrphan(p *proc.Process) bool { return h.table.Orphan(p.PID).Verdict >= proc.Likely }

// livesOnWords say who lives on, and what each listens at.
func livesOnWords(list []relative) string {
	const most = 5
	var names []string
	for _, r := range list[:min(len(list), most)] {
		name := named(r.Name, r.PID)
		if len(r.Ports) > 0 {
			name += ", which listens at " + strings.Join(r.Ports, ", ")
		}
		names = append(names, name)
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, "; ")
}

// groupWords say who leads a group or a session, and whether that lives.
func (h *host) groupWords(n int, p *proc.Process, gone bool) string {
	leader := h.table.Get(n)
	switch {
	case n == 0:
		return "its leader is outside of this PID namespace"
	case n == p.PID && p.Zombie():
		return fmt.Sprintf("%d, which it led itself, until it ended", n)
	case n == p.PID:
		return fmt.Sprintf("%d, which it leads itself", n)
	case gone:
		return fmt.Sprintf("%d; process %[1]d, which led it, is gone", n)
	case leader != nil && leader.Zombie():
		return fmt.Sprintf("%d; its leader, %s, is a zombie: it has ended", n, called(leader))
	}
	return fmt.Sprintf("%d, whose leader is there", n)
}
