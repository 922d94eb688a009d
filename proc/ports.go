package proc

import "net/netip"

// Port is a socket that has a port.
type Port struct {
	Network string         // tcp, tcp6, udp, udp6
	Address netip.AddrPort // the unspecified address: all of the machine's
	UID     int            // the user who made the socket
	Inode   uint64         // the socket's number: processes that share it have the same
	Use     Use
	// Namespace is the network namespace that the socket is of, by the number that a link
	// such as /proc/PID/ns/net shows; 0: unknown. It needn't be that of the process: a
	// socket stays where it was made.
	Namespace uint64
	// Elsewhere: that is another namespace than the caller's, in which this port is
	// another port.
	Elsewhere bool
}

// Use is what a socket does with its port.
type Use int

// The uses. Each of them keeps others from binding the port.
const (
	// Listening: it waits for others: of TCP it listens, of UDP it is bound and not
	// connected.
	Listening Use = iota
	// Bound: a socket of TCP that has the port and neither listens nor is connected.
	Bound
	// Connected: a connection, which has the port at this end.
	Connected
	// Closed: a connection that no process has any more and that the kernel keeps for a
	// while, in TIME_WAIT say.
	Closed
)

// String is one word.
func (u Use) String() string {
	switch u {
	case Listening:
		return "listening"
	case Bound:
		return "bound"
	case Connected:
		return "connected"
	case Closed:
		return "closed"
	}
	return "unknown"
}

// Ports gives the ports that a process listens at, by network and address, those
// that it inherited too, in whatever network namespace. The error is an
// [os.ErrPermission] where its descriptors may not be read, which only root and the
// user whose process it is may; it is [ErrGone] where there is no such process. On
// other systems than Linux it wraps [errors.ErrUnsupported].
func Ports(pid int) ([]Port, error) { return ports(root, pid) }

// Ports is [Ports] for all processes of a table as they are now. Those whose ports
// can't be read are in unknown.
func (t *Table) Ports() (listening map[int][]Port, unknown []int, err error) {
	s, err := t.Sockets(0)
	if err != nil {
		return nil, nil, err
	}
	return s.Listening, s.Unknown, nil
}

// Sockets is who has which sockets.
type Sockets struct {
	// Namespace is the caller's network namespace; 0: unknown.
	Namespace uint64
	// Listening is where each process listens, as [Ports] gives it.
	Listening map[int][]Port
	// Unknown are the processes whose descriptors can't be read.
	Unknown []int
	// Held are the sockets that have the port that was asked for: all of the caller's
	// network namespace, and behind them those that listen in others.
	Held []Held
	// BoundHidden is why sockets of TCP that are only bound aren't among them: the kernel
	// shows these since Linux 6.8, and by sock_diag(7) alone. nil: they are.
	BoundHidden error
}

// Held is a socket with those who have it open.
type Held struct {
	Port
	// PIDs are in ascending order. None: it is the kernel's own, or of a process that
	// can't be looked into or isn't in this PID namespace.
	PIDs []int
}

// Sockets reads who of the table's processes, as they are now, listens where, and who has
// one port; with 0 nobody is asked for.
func (t *Table) Sockets(port uint16) (*Sockets, error) { return tableSockets(root, t, port) }
