package shim

import (
	"os"
	"runtime"
	"sync/atomic"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// inside is not nil in a process that is the shim of its own trees.
var inside atomic.Pointer[func(orphan int)]

// RunInside makes this process the shim of the trees that it starts from now on,
// one at a time, as an init is: the program is its own child, and there is no
// second process. It is for a program that starts nothing else, and waits for
// nothing else, and catches the signals that would end it. As PID 1 it asks for
// the containment of a PID namespace, which it then is the first process of.
//
// reaped is called for each orphan that was reaped; it must not wait.
func RunInside(reaped func(orphan int)) { inside.Store(&reaped) }

// IsInside says whether RunInside was called.
func IsInside() bool { return inside.Load() != nil }

// launchInside starts the server of a shim in this process.
func launchInside(reaped func(int)) (*Process, error) {
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		defer close(ended)
		serveInside(wire.NewConn(theirs), reaped)
	}()
	return &Process{Conn: wire.NewConn(mine), PID: os.Getpid(), inside: ended}, nil
}

func serveInside(conn *wire.Conn, reaped func(int)) {
	hello := &wire.Hello{Version: wire.Version}
	// A child begins with the mask of the thread that forks it.
	err := sys.ClearSignalMask()
	if err != nil {
		hello.Step, hello.Errno = "clear the signal mask", errno(err)
	}
	if conn.Send(nil, hello) != nil || err != nil {
		conn.Close()
		return
	}
	s := newServer(newLoop(), conn, os.Getppid())
	s.look = make(chan int, 1)
	go s.watch()
	s.reaped = reaped
	for !s.done {
		s.runGuarded()
	}
}

// runGuarded is run for a process that ends all others when it ends: a fault of a
// turn is passed over.
func (s *server) runGuarded() {
	defer func() { _ = recover() }()
	s.run()
}
