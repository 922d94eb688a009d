package shim

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// Env is the environment of a shim. It needs none but for a program that was built
// with the race detector, which would have each shim sleep for a second before it
// ends. The tests of this module add to it.
var Env = []string{"GORACE=atexit_sleep_ms=0"}

// Process is a shim, as its owner's side sees it.
type Process struct {
	Conn *wire.Conn
	PID  int

	process *os.Process
	parked  *parked       // nil: it was awake from the beginning
	inside  chan struct{} // closed at its end, where it is this process: see RunInside
	reap    sync.Once
	status  atomic.Int32 // how it exited, once it was reaped; 0: not known, or in the orderly way
}

// Launch starts a shim. In a PID namespace of its own it is the first process.
//
// The shim leads a process group of its own, so that a terminal's signals are not
// for it, in the session of its owner, so that its tree can have that terminal.
func Launch(pidns bool) (*Process, error) {
	if pidns {
		return launch(modePIDNS)
	}
	return launch(modeTree)
}

// LaunchMany starts a shim that holds many trees, each of which is asked for by [Process.Open].
// Its own connection has no other use.
func LaunchMany() (*Process, error) { return launch(modeMany) }

// ErrGone says that a shim of many trees takes no more, since it has ended.
var ErrGone = errors.New("the shim is gone")

// Open has a shim of many trees hold another. What comes back is as a shim of its own
// would be, until it is closed.
func (p *Process) Open() (*Process, error) {
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := p.Conn.Send([]int{sys.Descriptor(theirs)}, &wire.Open{}); err != nil {
		mine.Close()
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return &Process{Conn: wire.NewConn(mine), PID: p.PID}, nil
}

func launch(mode string) (*Process, error) {
	if reaped := inside.Load(); reaped != nil {
		return launchInside(*reaped)
	}
	// The runtime of the new program couldn't say that it has no room: see RoomForThreads.
	if err := sys.RoomForThreads(ownThreads + runtimeThreads + 1); err != nil {
		return nil, err
	}
	if err := sys.RoomForFiles(ownFiles); err != nil {
		return nil, err
	}
	exe, err := sys.Executable()
	if err != nil {
		return nil, err
	}
	null, err := sys.OpenNull(os.O_RDWR)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	attrs := []*syscall.SysProcAttr{{Setpgid: true}}
	if mode == modePIDNS {
		attrs = pidnsAttrs()
	}
	p, err := startShim(attrs, func(attr *syscall.SysProcAttr) (*os.Process, error) {
		return sys.StartProcess(exe, []string{argv0Shim, mode}, &os.ProcAttr{
			Dir:   "/",
			Env:   Env,
			Files: []*os.File{null, null, null, theirs},
			Sys:   attr,
		})
	})
	if err != nil {
		mine.Close()
		return nil, err
	}
	return &Process{Conn: wire.NewConn(mine), PID: p.Pid, process: p}, nil
}

// startShim starts a shim in the first of these ways that is permitted.
func startShim(attrs []*syscall.SysProcAttr, start func(*syscall.SysProcAttr) (*os.Process, error)) (p *os.Process, err error) {
	launching.RLock()
	defer launching.RUnlock()
	for _, attr := range attrs {
		if p, err = start(attr); !errors.Is(err, syscall.EPERM) {
			break
		}
	}
	if err == nil {
		living.Store(p.Pid, nil)
	}
	return p, err
}

// runtimeThreads is how many threads a program of Go has before it asks for any, at most.
const runtimeThreads = 7

// ownFiles is how many files a start opens at once, here and in the shim.
const ownFiles = 10

// living has the pids of the shims that this process has started and not reaped.
var living sync.Map

// launching is held by who starts a shim, until its pid is in living.
var launching sync.RWMutex

// IsShim says whether a child of this process is a shim, be it a zombie.
func IsShim(pid int) bool {
	launching.Lock()
	//lint:ignore SA2001 who was seen, and was being started, is in living now
	launching.Unlock()
	_, ok := living.Load(pid)
	return ok
}

// Attached is a shim that another process has started, and that this one now speaks
// with.
func Attached(conn *wire.Conn, pid int) *Process { return &Process{Conn: conn, PID: pid} }

// Inside says whether the shim is this process: see [RunInside].
func (p *Process) Inside() bool { return p.inside != nil }

// Kill ends the shim at once. Its tree is not ended by that, but in a PID
// namespace.
func (p *Process) Kill() {
	if p.process != nil {
		_ = p.process.Kill() // it has ended: as wanted
	}
}

// Close closes the socket, by which the shim knows that its owner's side is gone,
// and reaps the shim when it ends.
func (p *Process) Close() {
	p.Conn.Close()
	p.Reap()
}

// Reap waits for the end of the shim. A program that waits for children by itself
// may have reaped it before.
func (p *Process) Reap() {
	p.reap.Do(func() {
		if p.inside != nil {
			<-p.inside
			return
		}
		if p.process == nil {
			return // it isn't a child of this process
		}
		p.status.Store(int32(max(sys.Reap(p.process), 0)))
		living.Delete(p.PID)
	})
}

// Crashed gives the exit status of a shim that has ended by itself before its tree; 0: it was
// killed, or that isn't known.
func (p *Process) Crashed() int { return int(p.status.Load()) }

// ReapWithin waits for the end of the shim for a while, and says whether it has come.
func (p *Process) ReapWithin(most time.Duration) bool {
	gone := make(chan struct{})
	go func() {
		p.Reap()
		close(gone)
	}()
	select {
	case <-gone:
		return true
	case <-time.After(most):
		return false
	}
}
