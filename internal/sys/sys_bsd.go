//go:build darwin || freebsd

package sys

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// What stands here is what macOS and FreeBSD have of sys_linux.go; the comments
// on the functions are there.

const (
	recvFlags = 0 // these close descriptors on exec a moment later, in parseRights
	fdFolder  = "/dev/fd"
	waitAll   = unix.WUNTRACED | unix.WCONTINUED
)

func socketpair() (fds [2]int, err error) {
	// ForkLock keeps a start in another goroutine from inheriting the sockets
	// before they are marked.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
		err = errors.Join(unix.SetNonblock(fds[0], true), unix.SetNonblock(fds[1], true)) // both are ours: it can't fail
	}
	return fds, err
}

// unsupported says that this system has no such call.
func unsupported(what string) error {
	return fmt.Errorf("%s: %w on this system", what, errors.ErrUnsupported)
}

func BecomeSubreaper() error { return unsupported("subreaper") }

func SetName(string) {}

func BlockSignal(syscall.Signal) error { return unsupported("blocking a signal") }

func ClearSignalMask() error { return nil } // no thread of a Go program inherits one here

func DropCapabilities() error { return nil }

func DieWithParent(syscall.Signal) error { return nil } // there is no such signal here

func PidfdSignal(int, syscall.Signal) error { return unsupported("pidfd") }

func PidfdPid(int) (int, error) { return 0, unsupported("pidfd") }

func SignalNamespace(syscall.Signal) error { return unsupported("pid namespace") }

func KillNamespace() error { return unsupported("pid namespace") }

func Hurry() (calm func()) { return func() {} }

func MountProc() error { return unsupported("pid namespace") }

// EnterOwnMount isn't needed: there are no mount namespaces.
func EnterOwnMount() {}

func IsSecure() bool { return os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() }

var elevated = IsSecure()

func IsElevated() bool { return elevated }

func Executable() (string, error) { return os.Executable() }

func OpenWorkingDir() (*os.File, error) {
	if err := fault("opencwd"); err != nil {
		return nil, err
	}
	return os.Open(".")
}

// BootTime is not read here: 0 is unknown.
func BootTime() (nanoseconds int64) { return 0 }

// PeekAny isn't needed: without a subreaper, the leader is the only child.
func PeekAny() error { return unsupported("waiting for adopted processes") }

// TakePause isn't needed: a stop is not watched here.
func TakePause(int) Wait { return Wait{} }

func NextZombie() int { return 0 }

// NextChild isn't needed, likewise.
func NextChild() (int, error) { return 0, unsupported("waiting for adopted processes") }

// PeekPid waits until a child has ended and takes its status; its use isn't known
// before it is reaped. The kernel queue tells of an end without reaping
// (kqueue(2)), but not of one that was before it was asked: such a child is reaped
// here.
func PeekPid(pid int) (Wait, error) {
	status, err := awaitExit(pid)
	if err == unix.ESRCH {
		return WaitPid(pid)
	}
	return Wait{PID: pid, Status: status}, err
}

// AwaitExit waits until a process has ended, a child or not. It reaps nothing.
func AwaitExit(pid int) error {
	_, err := awaitExit(pid)
	if err == unix.ESRCH {
		return nil
	}
	return os.NewSyscallError("kevent", err)
}

func awaitExit(pid int) (syscall.WaitStatus, error) {
	kq, err := unix.Kqueue()
	if err != nil {
		return 0, err
	}
	defer unix.Close(kq)
	unix.CloseOnExec(kq)
	change := make([]unix.Kevent_t, 1)
	unix.SetKevent(&change[0], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change[0].Fflags = noteExit
	event := make([]unix.Kevent_t, 1)
	err = retry(func() error { _, err := unix.Kevent(kq, change, event, nil); return err })
	return syscall.WaitStatus(event[0].Data), err
}

// GivePipe does nothing: to open /dev/stdout again needs no right here but the descriptor.
func GivePipe(*os.File, uint32, uint32) error { return nil }

// NoExec says whether a file is in a file system from which nothing is executed.
func NoExec(path string) bool {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Statfs(path, &st) })
	return err == nil && uint64(st.Flags)&unix.MNT_NOEXEC != 0
}
