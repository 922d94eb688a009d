package contain

import (
	"fmt"
	"os"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// PIDNSFlags are the clone(2) flags by which a shim is born as the first process
// of a PID namespace, with mounts of its own so that it can show its own /proc.
const PIDNSFlags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS

// pidns is a subreaper that is the first process of a PID namespace. Nothing
// leaves it, SIGKILL reaches all in one call, and when the first process ends,
// by whatever cause, the kernel ends the rest before it reports that end
// (pid_namespaces(7)).
type pidns struct {
	subreaper
}

// NewPIDNS makes this process, which was born as the first of its namespace,
// the holder of a tree. SetUp was called before.
func NewPIDNS() (Tree, error) {
	if os.Getpid() != 1 {
		return nil, fmt.Errorf("pid %d isn't the first of a namespace", os.Getpid())
	}
	return pidns{subreaper{self: 1}}, nil
}

// SetUpPIDNS mounts the namespace's own /proc. It is done before the first Start, so
// that a failure is told before anything runs. The right to mount, which an ordinary
// user has from a user namespace, is given up then.
func SetUpPIDNS() error {
	if err := sys.MountProc(); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return nil
	}
	return sys.DropCapabilities()
}

// Without a /proc of this namespace nobody can be named, but the kernel reaches all
// who are in it.

func (t pidns) Members() ([]procfs.Stat, error) {
	if !procfs.Available() {
		return nil, errNoProc
	}
	return t.subreaper.Members()
}

// everyone stands for all members where they can't be told apart.
var everyone = procfs.Stat{PID: -1, PGID: -1}

func (t pidns) Signal(sig syscall.Signal, pick func(procfs.Stat) bool) (Sent, error) {
	if procfs.Available() {
		return t.subreaper.Signal(sig, pick)
	}
	if pick != nil && !pick(everyone) {
		return Sent{}, errNoProc
	}
	return Sent{Reached: []procfs.Stat{everyone}}, sys.SignalNamespace(sig)
}

func (t pidns) Kill() (Sent, error) {
	// The names first: afterwards they are gone.
	members, _ := t.Members()
	return Sent{Reached: members}, sys.KillNamespace()
}

func (pidns) Release() error { return ErrNotReleasable }
