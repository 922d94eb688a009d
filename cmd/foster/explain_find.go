package main

import (
	"fmt"
	"strconv"
)

// notByName says how a process is found that was named.
func notByName(what string, err error) error {
	if what == "" || what[0] >= '0' && what[0] <= '9' {
		return err
	}
	return usageError{hinted{err, fmt.Sprintf("foster ps --name %s finds it by its name", what)}}
}

// maybePort says that a port was meant, where there is no such process, and somebody has
// the port.
func (h *host) maybePort(what string, err error) error {
	port, e := strconv.ParseUint(what, 10, 16)
	if e != nil || port == 0 {
		return err
	}
	if _, e := h.holdersOf(uint16(port)); e != nil {
		return err
	}
	return refusalError{hinted{fmt.Errorf("there is no process %d", port), fmt.Sprintf("did you mean the port? foster explain :%d", port)}}
}
