package proc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// A socket of TCP that is bound, and neither listens nor is connected, keeps its port from
// others, and isn't in /proc/net/tcp. Linux 6.8 shows it by sock_diag(7) to who asks for
// the state by its number.

const (
	boundOnly    = 1 << 13 // TCPF_BOUND_INACTIVE of the kernel's tcp_states.h
	diagRequest  = 56      // the size of an inet_diag_req_v2
	diagResponse = 72      // and of an inet_diag_msg
)

// readBound adds the sockets of the caller's namespace that are only bound to the port.
func (s *socketReader) readBound() error {
	seen := 0
	for family, network := range map[byte]string{syscall.AF_INET: "tcp", syscall.AF_INET6: "tcp6"} {
		err := askBound(family, func(p Port) {
			seen++
			p.Network, p.Use = network, Bound
			s.keep(p, s.here)
		})
		if err != nil && !errors.Is(err, syscall.ENOENT) { // a kernel without this family
			return fmt.Errorf("sockets that are only bound aren't shown: %w", err)
		}
	}
	if seen > 0 {
		return nil
	}
	// A kernel that doesn't know the state gives no sockets, as one that has none.
	fd, err := sys.BindNowhere()
	if err != nil {
		return fmt.Errorf("sockets that are only bound aren't shown: %w", err)
	}
	defer sys.Close(fd)
	if err := askBound(syscall.AF_INET, func(Port) { seen++ }); err == nil && seen > 0 {
		return nil
	}
	return fmt.Errorf("sockets that are only bound aren't shown: %w by this kernel", errors.ErrUnsupported)
}

func askBound(family byte, each func(Port)) error {
	request := make([]byte, diagRequest)
	request[0], request[1] = family, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[4:], boundOnly)
	return sys.AskSockets(request, func(message []byte) {
		if p, ok := parseDiag(message); ok {
			each(p)
		}
	})
}

// parseDiag reads an inet_diag_msg.
func parseDiag(b []byte) (p Port, ok bool) {
	if len(b) < diagResponse {
		return p, false
	}
	var addr netip.Addr
	switch b[0] {
	case syscall.AF_INET:
		addr, _ = netip.AddrFromSlice(b[8:12])
	case syscall.AF_INET6:
		addr, _ = netip.AddrFromSlice(b[8:24])
	default:
		return p, false
	}
	p.Address = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[4:]))
	p.UID, p.Inode = int(binary.NativeEndian.Uint32(b[64:])), uint64(binary.NativeEndian.Uint32(b[68:]))
	return p, true
}
