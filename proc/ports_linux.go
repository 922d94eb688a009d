package proc

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
)

// sockets are those that wait for others in one network namespace, by inode.
type sockets map[uint64]Port

func ports(root string, pid int) ([]Port, error) {
	dir, err := procfs.OpenDir(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	inodes, err := socketsOf(dir, pid)
	if err == nil && len(inodes) > 0 {
		var all sockets
		if all, err = listening(dir, pid); err == nil {
			return pick(all, inodes), nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		err = ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("the ports of process %d: %w", pid, err)
	}
	return nil, nil
}

func tablePorts(root string, t *Table) (map[int][]Port, []int, error) {
	dir, err := procfs.OpenDir(root)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	found, unknown := map[int][]Port{}, []int(nil)
	namespaces := map[string]sockets{}
	for i := range t.Processes {
		p := &t.Processes[i]
		if p.Kernel || p.Zombie() {
			continue // it has no descriptors
		}
		list, err := portsIn(dir, p.PID, namespaces)
		switch {
		case err == nil && len(list) > 0:
			found[p.PID] = list
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH):
			unknown = append(unknown, p.PID)
		}
	}
	return found, unknown, nil
}

// portsIn reads the sockets of each network namespace once.
func portsIn(dir *procfs.Dir, pid int, namespaces map[string]sockets) ([]Port, error) {
	inodes, err := socketsOf(dir, pid)
	if err != nil || len(inodes) == 0 {
		return nil, err
	}
	ns, err := dir.Link(pid, "ns/net")
	if err != nil {
		return nil, err
	}
	name := string(ns)
	all, ok := namespaces[name]
	if !ok {
		if all, err = listening(dir, pid); err != nil {
			return nil, err
		}
		namespaces[name] = all
	}
	return pick(all, inodes), nil
}

func pick(all sockets, inodes []uint64) (list []Port) {
	slices.Sort(inodes)
	for _, inode := range slices.Compact(inodes) {
		if port, ok := all[inode]; ok {
			list = append(list, port)
		}
	}
	slices.SortFunc(list, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), a.Address.Compare(b.Address), cmp.Compare(a.Inode, b.Inode))
	})
	return list
}

// socketsOf lists the inodes of the sockets that a process has open.
func socketsOf(dir *procfs.Dir, pid int) (inodes []uint64, err error) {
	err = dir.Descriptors(pid, func(target []byte) {
		if rest, ok := bytes.CutPrefix(target, []byte("socket:[")); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSuffix(rest, []byte("]"))), 10, 64)
			if err == nil {
				inodes = append(inodes, n)
			}
		}
	})
	return inodes, err
}

// listening reads what waits for others in the network namespace of a process.
func listening(dir *procfs.Dir, pid int) (sockets, error) {
	all := sockets{}
	for _, network := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := dir.Read(pid, "net/"+network)
		if errors.Is(err, fs.ErrNotExist) && network[len(network)-1] == '6' {
			// A kernel without IPv6, if the process is there still.
			if _, err = dir.Link(pid, "ns/net"); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		list, err := procfs.ParseSockets(b)
		if err != nil {
			return nil, fmt.Errorf("/proc/%d/net/%s: %w", pid, network, err)
		}
		for _, s := range list {
			waits := s.State == procfs.TCPListen
			if network[0] == 'u' {
				waits = s.State == procfs.UDPBound
			}
			if waits {
				all[s.Inode] = Port{Network: network, Address: s.Local, UID: s.UID, Inode: s.Inode}
			}
		}
	}
	return all, nil
}
