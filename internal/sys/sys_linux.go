package sys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	recvFlags = unix.MSG_CMSG_CLOEXEC
	fdFolder  = "/proc/self/fd"
)

func socketpair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// BecomeSubreaper makes this process the one that adopts its orphaned
// descendants (prctl(2), PR_SET_CHILD_SUBREAPER, Linux 3.4).
func BecomeSubreaper() error {
	if err := fault("subreaper"); err != nil {
		return err
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// SetName sets the name under which ps shows this process, which is that of its
// main thread (proc(5), /proc/pid/comm). It is for the reader's eye only, so a
// failure is passed over.
func SetName(name string) { os.WriteFile("/proc/self/comm", []byte(name), 0) }

// ClearSignalMask unblocks all signals in the calling thread, so that the
// programs which it starts begin with none blocked.
func ClearSignalMask() error {
	return os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil))
}

// BlockSignal blocks a signal in the calling thread.
func BlockSignal(sig syscall.Signal) error {
	var set unix.Sigset_t
	const bits = 8 * int(unsafe.Sizeof(set.Val[0]))
	n := int(sig) - 1
	set.Val[n/bits] |= 1 << (n % bits)
	return os.NewSyscallError("rt_sigprocmask", unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil))
}

// DropCapabilities gives up the capabilities of the calling thread, the ambient
// ones included, so that a program which it starts has none (capabilities(7)).
func DropCapabilities() error {
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil {
		return os.NewSyscallError("prctl", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData // of version 3: 64 bits in two halves
	return os.NewSyscallError("capset", unix.Capset(&header, &none[0]))
}

// PidfdOpen opens a handle on a process (pidfd_open(2), Linux 5.3).
func PidfdOpen(pid int) (int, error) {
	return unix.PidfdOpen(pid, 0)
}

// PidfdSignal signals the process behind a handle, which no other can be taken
// for. A signal of 0 only asks whether it is there.
func PidfdSignal(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, 0)
}

// PidfdPid gives the number that a handle's process has in this process's PID
// namespace, or an error when it has ended.
func PidfdPid(pidfd int) (int, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(pidfd))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(v))
			if err == nil && pid > 0 {
				return pid, nil
			}
			return 0, unix.ESRCH
		}
	}
	return 0, unix.ESRCH
}

// AwaitExit waits until a process has ended, a child or not. It reaps nothing.
func AwaitExit(pid int) error {
	fd, err := PidfdOpen(pid)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	err = retry(func() error { _, err := unix.Poll(fds, -1); return err })
	return os.NewSyscallError("poll", err)
}

// PollAny waits until an event is there on one of the descriptors, or the time is
// over; which it was, their Revents say.
func PollAny(fds []unix.PollFd, wait time.Duration) error {
	over := time.Now().Add(wait)
	err := retry(func() error {
		// Rounded up, so that it's never asked again for nothing.
		left := max(0, time.Until(over)+time.Millisecond-1) / time.Millisecond
		_, err := unix.Poll(fds, int(min(left, math.MaxInt32)))
		return err
	})
	return os.NewSyscallError("poll", err)
}

// IsCgroup2 says whether an open folder is a cgroup of version 2.
func IsCgroup2(dir *os.File) bool {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(int(dir.Fd()), &st) })
	return err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// NoExec says whether a file is in a file system from which nothing is executed.
func NoExec(path string) bool {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Statfs(path, &st) })
	return err == nil && st.Flags&unix.ST_NOEXEC != 0
}

// KillNamespace is SignalNamespace with SIGKILL.
func KillNamespace() error { return SignalNamespace(unix.SIGKILL) }

// SignalNamespace sends a signal to every other process of the PID namespace of
// which this process is the first. It refuses to run anywhere else: there, kill(-1)
// would end the machine's processes.
func SignalNamespace(sig syscall.Signal) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("kill(-1) as pid %d: %w", os.Getpid(), unix.EPERM)
	}
	err := unix.Kill(-1, sig)
	if err == unix.ESRCH {
		return nil // no process but this one
	}
	return os.NewSyscallError("kill", err)
}

// MountProc makes /proc show the PID namespace that this process is in. The
// process has a mount namespace of its own; its mounts no longer reach others.
func MountProc() error {
	if err := fault("mount"); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	return os.NewSyscallError("mount", unix.Mount("proc", "/proc", "proc", flags, ""))
}

// EnterOwnMount goes to the working directory by its path, where the descriptor by which it
// was entered is of another mount namespace. There getcwd(2) gives the path, and says that it
// is unreachable. What isn't there under the same path, or is another folder, stays as it was.
func EnterOwnMount() {
	var name [unix.PathMax]byte
	n, err := unix.Getcwd(name[:])
	if err != nil {
		return
	}
	path, foreign := strings.CutPrefix(string(name[:n-1]), "(unreachable)")
	if !foreign {
		return
	}
	was, err := os.Stat(".")
	if err != nil {
		return
	}
	if is, err := os.Stat(path); err == nil && os.SameFile(was, is) {
		_ = os.Chdir(path) // else it stays where it is
	}
}

// IsSecure says whether this program was started with more privilege than its
// starter has (AT_SECURE, getauxval(3)): setuid, setgid, or file capabilities.
// Where it can't be learned, it is taken to be so.
func IsSecure() bool {
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return true
	}
	auxv, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return true
	}
	const atSecure, word = 23, strconv.IntSize / 8
	for r := bytes.NewReader(auxv); r.Len() >= 2*word; {
		var pair [2 * word]byte
		r.Read(pair[:])
		if readWord(pair[:word]) == atSecure {
			return readWord(pair[word:]) != 0
		}
	}
	return true
}

// elevated is found out before the program can become the user that it was set to.
var elevated = isElevated()

// IsElevated says whether this program acts with more privilege than who started it has:
// it was started setuid, setgid or with file capabilities, whatever user it is by now.
// Unlike IsSecure it doesn't count that a security module has changed the domain, as it does
// where init starts a service.
func IsElevated() bool { return elevated }

func isElevated() bool {
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return true
	}
	return os.Geteuid() != 0 && IsSecure() && hasFileCapabilities()
}

// hasFileCapabilities says whether this program has a capability that it wasn't started with:
// what a program keeps without privileges of its own is ambient (capabilities(7)).
func hasFileCapabilities() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if unix.Capget(&header, &has[0]) != nil {
		return true
	}
	for n := range unix.CAP_LAST_CAP + 1 {
		if has[n/32].Permitted&(1<<(n%32)) == 0 {
			continue
		}
		if kept, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, uintptr(n), 0, 0); err != nil || kept == 0 {
			return true
		}
	}
	return false
}

func readWord(b []byte) uint64 {
	if len(b) == 4 {
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

// Peer gives the process and the user on the other side of a socket, as they
// were when it was made. The pid is 0 where that process is not in this PID
// namespace.
func Peer(fd int) (pid, uid int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt", err)
	}
	return int(cred.Pid), int(cred.Uid), nil
}

// SameExecutable says whether a process runs the same file as this one.
func SameExecutable(pid int) bool {
	mine, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && os.SameFile(mine, theirs)
}

// Executable is the path by which this process can be started once more, also
// where its file was replaced or removed since.
func Executable() (string, error) { return "/proc/self/exe", nil }

// OpenExecutable is a handle on this program's executable, by which it can be executed also
// where its name is another file's by then.
func OpenExecutable() (*os.File, error) {
	if err := fault("openexe"); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	return os.NewFile(uintptr(fd), "executable"), nil
}

// OpenWorkingDir opens the working directory as a handle for [Fchdir]; it needs
// no right to read it.
func OpenWorkingDir() (*os.File, error) {
	if err := fault("opencwd"); err != nil {
		return nil, err
	}
	fd, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	return os.NewFile(uintptr(fd), "."), nil
}

// BootTime is the time since the machine was started, time suspended included.
func BootTime() (nanoseconds int64) { return int64(Now(true)) }

// Mkdir makes a folder.
func Mkdir(path string) error {
	if err := fault("mkdir"); err != nil {
		return err
	}
	return os.Mkdir(path, 0o755)
}

// Rmdir removes an empty folder; the error is a bare number.
func Rmdir(path string) error { return unix.Rmdir(path) }

// OpenDir opens a folder as a handle.
func OpenDir(path string) (*os.File, error) {
	if err := fault("opendir"); err != nil {
		return nil, err
	}
	return OpenFile(path, unix.O_DIRECTORY, 0)
}

// DieWithParent has the kernel send a signal to the calling thread's process when
// the thread that forked it ends (prctl(2), PR_SET_PDEATHSIG). It lasts as long as
// the calling thread.
func DieWithParent(sig syscall.Signal) error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0))
}

// GivePipe makes a pipe that belongs to this process's user another user's, who can then
// open it again by /dev/stdout or /proc/self/fd/1. Whatever isn't an unnamed pipe of this
// user is left alone: somebody else may count on its owner.
func GivePipe(f *os.File, uid, gid uint32) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		var fs unix.Statfs_t
		var st unix.Stat_t
		err = errors.Join(unix.Fstatfs(int(fd), &fs), unix.Fstat(int(fd), &st))
		if err == nil && fs.Type == unix.PIPEFS_MAGIC && st.Uid == uint32(os.Geteuid()) && st.Uid != uid {
			err = os.NewSyscallError("fchown", unix.Fchown(int(fd), int(uid), int(gid)))
		}
	})
	return errors.Join(cerr, err)
}

// LastSignal is the highest number of a signal.
const LastSignal = 64
