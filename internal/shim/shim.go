// Package shim is the process between an owner and a tree: parent of the leader,
// subreaper and reaper of all that descends from it.
//
// It does four things: it starts a leader, reaps, reports, and empties the tree.
// It has no policy: what it is to do, also when its owner's side is gone, comes
// with the Start. It reads no configuration and no environment.
//
// A shim is the executable of its owner, started once more ([Launch]), so that a
// library has one without anything to install; [Main] is where such a process
// begins. Its life is a pure state machine (machine.go), which one goroutine
// drives (server.go); that goroutine is on the main thread, and it alone forks,
// waits and signals.
package shim

import (
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// The names by which a program knows that it was started to be a shim, or the
// stage between a shim's fork and the program. They only say what is wanted: see
// [admit] for who may want it.
const (
	argv0Shim  = "foster-shim"
	argv0Stage = "foster-exec"

	modeTree  = "tree"
	modeMany  = "many"
	modePIDNS = "pidns"
	modeAwake = "awake" // it was parked: see park_linux.go

	shimSocket = 3
)

// Main returns at once in a program that was started as itself. In one that was
// started as a shim it serves its owner and never returns.
//
// It is called while packages are initialised, before main and before any other
// goroutine of the program: the goroutine that initialises runs on the main
// thread.
func Main() {
	if len(os.Args) == 5 && os.Args[0] == argv0Shim && os.Args[1] == modeAwake {
		os.Exit(awake(os.Args[2], os.Args[3], os.Args[4]))
	}
	if len(os.Args) != 2 {
		return
	}
	switch os.Args[0] {
	case argv0Shim:
		sock := admit(shimSocket)
		sys.SetName(argv0Shim)
		os.Exit(serve(wire.NewConn(sock), os.Args[1]))
	case argv0Stage:
		fd, err := strconv.Atoi(os.Args[1])
		if err != nil {
			deny("bad descriptor")
		}
		os.Exit(stage(wire.NewConn(admit(fd))))
	}
}

// admit is the gate: a program that does what its arguments say is a way in where
// it has more privilege than who started it. So it must not be setuid, setgid or
// have file capabilities, and it takes work only from a socket that it inherited
// from its parent, which must run the same executable as the same user.
//
// The first process of a PID namespace can't see its parent. Who makes such a
// namespace and a process in it has, in that process, no privilege which it
// didn't have before, but by the means that AT_SECURE tells of.
func admit(fd int) *os.File {
	if sys.IsSecure() {
		deny("it was started with more privilege than its starter has")
	}
	if !sys.IsSocket(fd) {
		deny("there is no socket of an owner")
	}
	peer, uid, err := sys.Peer(fd)
	switch ppid := os.Getppid(); {
	case err != nil:
		deny(err.Error())
	case uid != os.Getuid():
		deny("the socket is another user's")
	case os.Getpid() == 1 && ppid == 0 && peer == 0:
	case peer != ppid:
		deny("the socket isn't its parent's")
	case !sys.SameExecutable(ppid):
		deny("its parent is another program")
	}
	sock, err := sys.AdoptSocket(fd)
	if err != nil {
		deny(err.Error())
	}
	return sock
}

func deny(why string) {
	os.Stderr.WriteString("foster: refused to run as a shim: " + why + "\n")
	os.Exit(125)
}

// ignored are the signals that would end or stop a shim. They are caught and
// dropped, not set to be ignored, which the program would inherit: what is caught
// goes back to its default action in the child (execve(2)).
var ignored = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGVTALRM,
	syscall.SIGXCPU, syscall.SIGIO,
}

// serve serves an owner until it is gone and the tree is empty.
func serve(conn *wire.Conn, mode string) int {
	// What the owner was started with isn't for the shim to hold open, nor for the
	// tree to have unasked.
	sys.CloseAll(sys.Inherited())
	signal.Notify(make(chan os.Signal, 1), ignored...)
	hello := &wire.Hello{Version: wire.Version}
	// The tree counts against the same limits, and may leave no room later.
	step, err := "the limit of processes and threads of this user (ulimit -u)", sys.ReserveThreads(ownThreads)
	if err == nil {
		step, err = "set up", setUp(mode == modePIDNS)
	}
	if err != nil {
		hello.Step, hello.Errno = step, errno(err)
	}
	if conn.Send(nil, hello) != nil || err != nil {
		return 1
	}
	if mode == modeMany {
		serveMany(conn)
		return 0
	}
	s := newServer(newLoop(), conn, os.Getppid())
	s.look = make(chan int, 1)
	go s.watch()
	s.run()
	return 0
}

// ownThreads is how many threads a shim needs beside its first: two that run, those that wait
// for a child and for the clock of the runtime, and some in system calls.
const ownThreads = 6

func setUp(pidns bool) error {
	if err := sys.ClearSignalMask(); err != nil {
		return err
	}
	if pidns {
		return contain.SetUpPIDNS()
	}
	return nil
}

// errno finds the number that an error travels as; one without a number is EIO.
func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if n, ok := errors.AsType[syscall.Errno](err); ok {
		return n
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return syscall.ENOTSUP
	}
	return syscall.EIO
}
