package proc

import "net/netip"

// Port is a socket of a process that waits for others: one of TCP that listens, or
// one of UDP that is bound and not connected.
type Port struct {
	Network string         // tcp, tcp6, udp, udp6
	Address netip.AddrPort // the unspecified address: all of the machine's
	UID     int            // the user who made the socket
	Inode   uint64         // the socket's number: processes that share it have the same
}

// Ports gives the ports that a process listens at, by network and address, those
// that it inherited too. The error is an [os.ErrPermission] where its descriptors
// may not be read, which only root and the user whose process it is may; it is
// [ErrGone] where there is no such process. On other systems than Linux it wraps
// [errors.ErrUnsupported].
func Ports(pid int) ([]Port, error) { return ports(root, pid) }

// Ports is [Ports] for all processes of a table as they are now. Those whose ports
// can't be read are in unknown.
func (t *Table) Ports() (listening map[int][]Port, unknown []int, err error) {
	return tablePorts(root, t)
}
