package proc

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

func ports(root string, pid int) ([]Port, error) {
	p, err := readOne(root, pid, 0)
	if err != nil {
		return nil, err
	}
	s, err := newSocketReader(root, 0)
	if err != nil {
		return nil, err
	}
	defer s.close()
	inodes, err := s.process(pid, p.Thread, p.Threads > 1)
	if vanished(err) {
		err = ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("the ports of process %d: %w", pid, err)
	}
	return s.pick(inodes), nil
}

func tableSockets(root string, t *Table, port uint16) (*Sockets, error) {
	s, err := newSocketReader(root, port)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all := &Sockets{Namespace: s.here, Listening: map[int][]Port{}}
	open := make(map[int][]uint64, len(t.Processes))
	for i := range t.Processes {
		p := &t.Processes[i]
		if p.Kernel || p.Zombie() {
			continue // it has no descriptors
		}
		inodes, err := s.process(p.PID, cmp.Or(p.Thread, p.PID), p.Threads > 1)
		switch {
		case err == nil && len(inodes) > 0:
			open[p.PID] = inodes
		case err != nil && !vanished(err):
			all.Unknown = append(all.Unknown, p.PID)
		}
	}
	// A socket may be of another namespace than those who have it.
	for pid, inodes := range open {
		if list := s.pick(inodes); len(list) > 0 {
			all.Listening[pid] = list
		}
	}
	if port > 0 {
		all.BoundHidden = s.readBound()
		all.Held = s.holders(open)
	}
	return all, nil
}

func vanished(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// socketReader reads the sockets of each network namespace once.
type socketReader struct {
	dir      *procfs.Dir
	port     uint16 // all that have it are kept; 0: of all ports those that wait
	here     uint64 // the caller's namespace; 0: unknown
	thread   int    // the caller
	read     map[uint64]bool
	sockets  map[uint64]Port // of all namespaces that were read, by inode
	nobodies []Port          // that no process has
}

// newSocketReader keeps the caller on its thread, which may be in a network namespace of
// its own, until it is closed.
func newSocketReader(root string, port uint16) (*socketReader, error) {
	dir, err := procfs.OpenDir(root)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	s := &socketReader{dir: dir, port: port, thread: sys.ThreadID(), read: map[uint64]bool{}, sockets: map[uint64]Port{}}
	if b, err := dir.Link(s.thread, "ns/net"); err == nil {
		s.here, _ = numberIn(b)
	}
	// The caller's namespace is read also where all who have its sockets are in others.
	// Where it may not be read, nothing is known of those who are in it either.
	_ = s.namespace(s.thread)
	return s, nil
}

func (s *socketReader) close() {
	runtime.UnlockOSThread()
	s.dir.Close()
}

// process reads which sockets a process has open, by inode, and the sockets of the
// namespaces that it is in. A thread may have descriptors of its own (unshare(2),
// CLONE_FILES), and may be in a network namespace of its own.
func (s *socketReader) process(pid, first int, many bool) (inodes []uint64, err error) {
	if inodes, err = s.descriptors(nil, first); err != nil {
		return nil, err
	}
	threads := []int{first}
	if many {
		list, err := s.dir.Threads(pid)
		if err != nil {
			return nil, err
		}
		tables := []int{first}
		for _, n := range list {
			thread := int(n)
			if thread == first {
				continue
			}
			threads = append(threads, thread)
			if slices.ContainsFunc(tables, func(other int) bool { return sharesDescriptors(thread, other) }) {
				continue
			}
			more, err := s.descriptors(inodes, thread)
			switch {
			case err == nil:
				inodes, tables = more, append(tables, thread)
			case !vanished(err) && !s.hasEnded(thread): // whose folder is root's
				return nil, err
			}
		}
	}
	if len(inodes) == 0 {
		return nil, nil
	}
	for _, thread := range threads {
		if err := s.namespace(thread); err != nil && (thread == first || !vanished(err) && !s.hasEnded(thread)) {
			return nil, err
		}
	}
	slices.Sort(inodes)
	return slices.Compact(inodes), nil
}

// hasEnded says that a thread has ended or is about to.
func (s *socketReader) hasEnded(thread int) bool {
	const exiting = 0x4 // PF_EXITING of the kernel's sched.h
	var line procfs.Line
	err := s.dir.ReadLine(thread, &line)
	return err != nil || line.State == byte(Defunct) || line.State == byte(Dead) || line.Flags&exiting != 0
}

// sharesDescriptors is false where that can't be told.
func sharesDescriptors(a, b int) bool {
	same, err := sys.SameDescriptors(a, b)
	return err == nil && same
}

// descriptors adds the inodes of the sockets that a thread has open.
func (s *socketReader) descriptors(inodes []uint64, thread int) ([]uint64, error) {
	err := s.dir.Descriptors(thread, func(target []byte) {
		if rest, ok := bytes.CutPrefix(target, []byte("socket:[")); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSuffix(rest, []byte("]"))), 10, 64)
			if err == nil {
				inodes = append(inodes, n)
			}
		}
	})
	return inodes, err
}

// namespace reads the sockets of the network namespace that a thread is in.
func (s *socketReader) namespace(thread int) error {
	b, err := s.dir.Link(thread, "ns/net")
	if err != nil {
		return err
	}
	number, ok := numberIn(b)
	if !ok {
		return fmt.Errorf("/proc/%d/ns/net: not the link of a namespace: %q", thread, b)
	}
	if s.read[number] {
		return nil
	}
	var found []Port
	for _, network := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := s.dir.Read(thread, "net/"+network)
		if errors.Is(err, fs.ErrNotExist) && network[len(network)-1] == '6' {
			// A kernel without IPv6, if the thread is there still.
			if _, err = s.dir.Link(thread, "ns/net"); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		list, err := procfs.ParseSockets(b)
		if err != nil {
			return fmt.Errorf("/proc/%d/net/%s: %w", thread, network, err)
		}
		for i := range list {
			if use, ok := useOf(network, &list[i]); ok {
				found = append(found, Port{Network: network, Address: list[i].Local, UID: list[i].UID, Inode: list[i].Inode, Use: use})
			}
		}
	}
	s.read[number] = true
	for _, p := range found {
		s.keep(p, number)
	}
	return nil
}

// closedStates are FIN_WAIT1, FIN_WAIT2, TIME_WAIT, LAST_ACK and CLOSING.
var closedStates = []byte{0x04, 0x05, 0x06, 0x09, 0x0b}

// useOf is what a socket of /proc does with its port.
func useOf(network string, socket *procfs.Socket) (Use, bool) {
	switch {
	case network[0] == 'u' && socket.State == procfs.UDPBound, network[0] == 't' && socket.State == procfs.TCPListen:
		return Listening, true
	case socket.Inode != 0:
		return Connected, true
	case network[0] == 't' && bytes.IndexByte(closedStates, socket.State) >= 0:
		return Closed, true
	}
	return 0, false // it isn't accepted yet: the one that listens has the port
}

// keep keeps what was asked for: what waits for others, and of the caller's namespace all
// that has the one port.
func (s *socketReader) keep(p Port, namespace uint64) {
	p.Namespace, p.Elsewhere = namespace, s.here > 0 && namespace != s.here
	asked := s.port > 0 && p.Address.Port() == s.port
	switch {
	case p.Use != Listening && (!asked || p.Elsewhere):
	case p.Inode > 0:
		s.sockets[p.Inode] = p
	case asked && !p.Elsewhere:
		s.nobodies = append(s.nobodies, p)
	}
}

// pick are those of the sockets that wait for others, by network and address.
func (s *socketReader) pick(inodes []uint64) (list []Port) {
	for _, inode := range inodes {
		if p, ok := s.sockets[inode]; ok && p.Use == Listening {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, comparePorts)
	return list
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Network, b.Network), a.Address.Compare(b.Address), cmp.Compare(a.Inode, b.Inode))
}

// holders are the sockets that have the port, with who has them open.
func (s *socketReader) holders(open map[int][]uint64) (list []Held) {
	at := map[uint64]*Held{}
	for inode, p := range s.sockets {
		if p.Address.Port() == s.port {
			at[inode] = &Held{Port: p}
		}
	}
	for pid, inodes := range open {
		for _, inode := range inodes {
			if h := at[inode]; h != nil {
				h.PIDs = append(h.PIDs, pid)
			}
		}
	}
	for _, h := range at {
		slices.Sort(h.PIDs)
		list = append(list, *h)
	}
	for _, p := range s.nobodies {
		list = append(list, Held{Port: p})
	}
	slices.SortFunc(list, func(a, b Held) int {
		rank := map[bool]int{true: 1}
		return cmp.Or(rank[a.Elsewhere]-rank[b.Elsewhere], cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Use, b.Use),
			comparePorts(a.Port, b.Port))
	})
	return list
}
