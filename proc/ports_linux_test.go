package proc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/leaktest"
)

// listenRole listens at a port.
func listenRole(args []string) {
	l, err := net.Listen("tcp4", "0.0.0.0:"+args[0])
	fatal(err)
	defer l.Close()
	fmt.Println("listens")
	rest()
}

func asked(t *testing.T, port uint16) *Sockets {
	t.Helper()
	s, err := taken(t, 0).Sockets(port)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func portOf(t *testing.T, a net.Addr) uint16 {
	t.Helper()
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return p.Port()
}

func inNetworkOfItsOwn(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
}

func TestAPortOfAnotherNetworkNamespaceIsElsewhere(t *testing.T) {
	leaktest.Check(t)
	hosttest.NeedRoot(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, l.Addr())
	r := startAs(t, inNetworkOfItsOwn, "listen", strconv.Itoa(int(port)))
	r.line(t)
	s := asked(t, port)
	if len(s.Held) != 2 || s.Held[0].Elsewhere || !slices.Equal(s.Held[0].PIDs, []int{os.Getpid()}) ||
		!s.Held[1].Elsewhere || !slices.Equal(s.Held[1].PIDs, []int{r.pid()}) || s.Held[1].Namespace == s.Namespace ||
		s.Held[0].Namespace != s.Namespace || s.Namespace == 0 {
		t.Errorf("%+v", s)
	}
	if p := s.Listening[r.pid()]; len(p) != 1 || !p[0].Elsewhere {
		t.Errorf("%+v", p)
	}
	l.Close()
	if s := asked(t, port); len(s.Held) != 1 || !s.Held[0].Elsewhere {
		t.Errorf("%+v", s.Held)
	}
}

func TestASocketStaysInTheNamespaceWhereItWasMade(t *testing.T) {
	leaktest.Check(t)
	hosttest.NeedRoot(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, l.Addr())
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	r := startAs(t, func(cmd *exec.Cmd) {
		inNetworkOfItsOwn(cmd)
		cmd.ExtraFiles = []*os.File{f}
	}, "hold")
	r.line(t)
	l.Close()
	f.Close()
	s := asked(t, port)
	if len(s.Held) != 1 || s.Held[0].Elsewhere || !slices.Equal(s.Held[0].PIDs, []int{r.pid()}) {
		t.Errorf("%+v", s.Held)
	}
	list, err := Ports(r.pid())
	if err != nil || len(list) != 1 || list[0].Elsewhere || list[0].Address.Port() != port {
		t.Errorf("%+v, %v", list, err)
	}
}

// bound makes a socket that is bound to a free port of a loopback address.
func bound(t *testing.T, kind int, to syscall.Sockaddr) (fd int, port uint16) {
	t.Helper()
	family := syscall.AF_INET
	if _, ok := to.(*syscall.SockaddrInet6); ok {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, to); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch a := name.(type) {
	case *syscall.SockaddrInet4:
		return fd, uint16(a.Port)
	case *syscall.SockaddrInet6:
		return fd, uint16(a.Port)
	}
	t.Fatalf("%T", name)
	return 0, 0
}

var loopback6 = [16]byte{15: 1}

// held is what is told of a port that this process has by one socket.
func held(t *testing.T, port uint16) Port {
	t.Helper()
	s := asked(t, port)
	if len(s.Held) == 0 {
		hosttest.Unless(t, hosttest.BoundShown, s.BoundHidden)
	}
	if len(s.Held) != 1 || !slices.Equal(s.Held[0].PIDs, []int{os.Getpid()}) || s.Held[0].Elsewhere || s.Held[0].Address.Port() != port {
		t.Fatalf("%+v", s)
	}
	return s.Held[0].Port
}

func TestASocketThatDoesNotListenHoldsItsPort(t *testing.T) {
	leaktest.Check(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here4, here6 := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, &syscall.SockaddrInet6{Addr: loopback6}
	fd, port := bound(t, syscall.SOCK_STREAM, here4)
	if p := held(t, port); p.Use != Bound || p.Network != "tcp" || p.Address.Addr().String() != "127.0.0.1" || p.UID != os.Geteuid() {
		t.Errorf("%+v", p)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: here4.Addr, Port: int(portOf(t, l.Addr()))}); err != nil {
		t.Fatal(err)
	}
	if p := held(t, port); p.Use != Connected || p.Network != "tcp" {
		t.Errorf("%+v", p)
	}
	// Nobody has a connection any more that was closed, and the kernel still has its port.
	syscall.Close(fd)
	if s := asked(t, port); len(s.Held) != 1 || s.Held[0].Use != Closed || len(s.Held[0].PIDs) > 0 {
		t.Errorf("%+v", s.Held)
	}
	_, port = bound(t, syscall.SOCK_STREAM, here6)
	if p := held(t, port); p.Use != Bound || p.Network != "tcp6" || p.Address.Addr().String() != "::1" {
		t.Errorf("%+v", p)
	}
	fd, port = bound(t, syscall.SOCK_DGRAM, here6)
	if p := held(t, port); p.Use != Listening || p.Network != "udp6" {
		t.Errorf("%+v", p)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet6{Addr: loopback6, Port: 9}); err != nil {
		t.Fatal(err)
	}
	if p := held(t, port); p.Use != Connected || p.Network != "udp6" {
		t.Errorf("%+v", p)
	}
	if s := asked(t, 0); len(s.Held) > 0 || s.BoundHidden != nil {
		t.Errorf("nobody asked for a port: %+v, %v", s.Held, s.BoundHidden)
	}
}

func TestSocketsThatShareAPortAreAllHeld(t *testing.T) {
	leaktest.Check(t)
	a, port := bound(t, syscall.SOCK_STREAM, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	const reusePort = 15 // SO_REUSEPORT
	if err := errors.Join(syscall.SetsockoptInt(a, syscall.SOL_SOCKET, reusePort, 1), syscall.Listen(a, 1)); err != nil {
		t.Fatal(err)
	}
	b, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(b)
	if err := errors.Join(syscall.SetsockoptInt(b, syscall.SOL_SOCKET, reusePort, 1),
		syscall.Bind(b, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}), syscall.Listen(b, 1)); err != nil {
		t.Fatal(err)
	}
	if s := asked(t, port); len(s.Held) != 2 || s.Held[0].Inode == s.Held[1].Inode || s.Held[0].Use != Listening || s.Held[1].Use != Listening {
		t.Errorf("%+v", s.Held)
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(make([]byte, diagResponse))
	f.Add([]byte{syscall.AF_INET6})
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parseDiag(b); ok && !p.Address.IsValid() {
			t.Errorf("%+v", p)
		}
	})
}
