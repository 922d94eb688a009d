package shim

import (
	"os"
	"runtime"
	"sync/atomic"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

var inside atomic.Bool

// RunInside makes this process the shim of the trees that it starts from now on,
// one at a time, as an init is: the program is its own child, and there is no
// second process. It is for a program that starts nothing else, and waits for
// nothing else.
func RunInside() { inside.Store(true) }

// IsInside says whether RunInside was called.
func IsInside() bool { return inside.Load() }

// launchInside starts the server of a shim in this process.
func launchInside() (*Process, error) {
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		return nil, err
	}
	conn := wire.NewConn(theirs)
	ended := make(chan struct{})
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		defer close(ended)
		if conn.Send(nil, &wire.Hello{Version: wire.Version}) == nil {
			newServer(conn).run()
		}
	}()
	return &Process{Conn: wire.NewConn(mine), PID: os.Getpid(), inside: ended}, nil
}
