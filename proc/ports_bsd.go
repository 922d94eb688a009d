//go:build darwin || freebsd

package proc

import (
	"errors"
	"fmt"
)

func ports(string, int) ([]Port, error) {
	return nil, fmt.Errorf("the ports of a process: %w on this system", errors.ErrUnsupported)
}

func tableSockets(string, *Table, uint16) (*Sockets, error) {
	return nil, fmt.Errorf("the ports of processes: %w on this system", errors.ErrUnsupported)
}

func ttyName(dev uint32) string { return fmt.Sprintf("%d:%d", dev>>24, dev&0xffffff) }
