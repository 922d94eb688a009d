package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/foster-init/foster/proc"
)

// notByName says how a process is found that was named.
func notByName(what string, err error) error {
	if what == "" || what[0] >= '0' && what[0] <= '9' {
		return err
	}
	return usageError{hinted{err, fmt.Sprintf("foster ps --name %s finds it by its name", what)}}
}

// maybePort says that a port was meant, where there is no such process, and somebody
// listens there.
func (h *host) maybePort(what string, err error) error {
	port, e := strconv.ParseUint(what, 10, 16)
	if err == nil || e != nil || port == 0 {
		return err
	}
	if _, e := h.holder(uint16(port)); e != nil {
		return err
	}
	return refusalError{hinted{fmt.Errorf("there is no process %d", port), fmt.Sprintf("did you mean the port? foster explain :%d", port)}}
}

// holder finds who listens at a port. Of several that have inherited it, that is
// the one that the others descend from.
func (h *host) holder(port uint16) (*proc.Process, error) {
	var holders []*proc.Process
	for pid, list := range h.ports {
		if slices.ContainsFunc(list, func(p proc.Port) bool { return p.Address.Port() == port }) {
			holders = append(holders, h.table.Get(pid))
		}
	}
	slices.SortFunc(holders, func(a, b *proc.Process) int {
		if d := len(h.table.Ancestors(a.PID)) - len(h.table.Ancestors(b.PID)); d != 0 {
			return d
		}
		return a.PID - b.PID
	})
	switch {
	case len(holders) > 0:
		return holders[0], nil
	case len(h.noPorts) > 0 && os.Geteuid() == 0: // in a container, root may not either
		return nil, refusalError{fmt.Errorf("no process that root may look into here listens at port %d; there are %d that it may not", port, len(h.noPorts))}
	case len(h.noPorts) > 0:
		return nil, refusalError{hinted{
			fmt.Errorf("no process of this user listens at port %d; there are %d that it may not look into", port, len(h.noPorts)),
			fmt.Sprintf("as root: foster explain :%d", port),
		}}
	}
	return nil, refusalError{fmt.Errorf("no process listens at port %d", port)}
}
