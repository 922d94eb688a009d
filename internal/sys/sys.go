// Package sys is the one package of foster that makes system calls.
//
// Each function is a thin wrapper: it names the operation in its error, retries
// EINTR where the manual page allows it, and passes through [Fault], so that a
// test can make any step of a start fail. Policy lives above. A call that a
// system doesn't have returns an error that wraps [errors.ErrUnsupported].
package sys

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Fault, where it isn't nil, is asked before each system call that a start
// makes; an error that it returns is used in place of the call's. Tests set it
// before any other goroutine runs; nothing else does.
var Fault func(op string) error

func fault(op string) error {
	if Fault == nil {
		return nil
	}
	if err := Fault(op); err != nil {
		return os.NewSyscallError(op, err)
	}
	return nil
}

// retry runs f until it isn't interrupted by a signal.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// ForkExec starts a program; see [syscall.ForkExec]. Callers that set Pdeathsig
// hold the thread for as long as the child is to live.
func ForkExec(argv0 string, argv []string, attr *syscall.ProcAttr) (int, error) {
	if err := fault("fork"); err != nil {
		return 0, err
	}
	return syscall.ForkExec(argv0, argv, attr)
}

// TryFork forks a child whose program can't be there, in a folder that is, and gives the
// error: ENOENT where nothing but that was in the way.
func TryFork(attr *syscall.SysProcAttr, dir string) error {
	if err := fault("tryfork"); err != nil {
		return err
	}
	_, err := syscall.ForkExec("", []string{""}, &syscall.ProcAttr{Dir: dir, Sys: attr})
	return err
}

// StartProcess starts a program that the caller will wait for by handle (a
// pidfd where the system has them), so that another waiter in the same program
// can't make it take a stranger's status.
func StartProcess(name string, argv []string, attr *os.ProcAttr) (*os.Process, error) {
	if err := fault("startprocess"); err != nil {
		return nil, err
	}
	return os.StartProcess(name, argv, attr)
}

// StartChild is StartProcess with descriptors that stay in the mode in which they are.
func StartChild(path string, argv []string, attr *syscall.ProcAttr) (*os.Process, error) {
	if err := fault("startprocess"); err != nil {
		return nil, err
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return nil, &os.PathError{Op: "fork/exec", Path: path, Err: err}
	}
	return os.FindProcess(pid) // an unreaped child: by handle
}

// Exec replaces this process; it returns only on failure.
func Exec(argv0 string, argv, env []string) error {
	return syscall.Exec(argv0, argv, env)
}

// GroupIsEmpty says whether there is no process in a group, not even a zombie.
func GroupIsEmpty(pgid int) bool { return pgid > 1 && unix.Kill(-pgid, 0) == unix.ESRCH }

// Kill sends a signal to a process (pid > 0) or to a process group (pid < -1).
// Callers make sure that the number can't have been reused: the target is an
// unreaped child, or a group whose leader is one. Kill refuses 0 and -1, which
// would reach processes that nobody named.
func Kill(pid int, sig syscall.Signal) error {
	if pid == 0 || pid == -1 {
		return os.NewSyscallError("kill", unix.EINVAL)
	}
	return unix.Kill(pid, sig)
}

// Pipe makes a pipe whose ends are closed on exec.
func Pipe() (r, w *os.File, err error) {
	if err := fault("pipe"); err != nil {
		return nil, nil, err
	}
	return os.Pipe()
}

// OpenNull opens /dev/null with the flags given.
func OpenNull(flag int) (*os.File, error) {
	if err := fault("open"); err != nil {
		return nil, err
	}
	return OpenFile(os.DevNull, flag, 0)
}

// OpenLimit is how many descriptors a process that this one starts may have, if it asks
// for as many as it can get.
func OpenLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 256 // of every system
	}
	return int(min(uint64(l.Max), 1<<20))
}

// OpenFile is os.OpenFile for what is never waited on, a file or a folder: it isn't tried
// with the poller, which would take five more calls.
func OpenFile(path string, flag int, perm uint32) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(path, flag|unix.O_CLOEXEC, perm)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// ReadInto reads the beginning of a file, as far as buf goes, with no more calls
// than that takes: it is for the many small files of /proc.
func ReadInto(path string, buf []byte) (n int, err error) {
	var fd int
	err = retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	err = retry(func() (err error) { n, err = unix.Read(fd, buf); return err })
	if err != nil {
		return 0, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return n, nil
}

// Inherited lists the descriptors from 3 up that this process would pass on to a
// program: those that it was started with. What Go opens isn't among them, it is
// closed on exec.
func Inherited() (fds []int) {
	dir, err := os.Open(fdFolder)
	if err != nil {
		return inheritedUpTo(1 << 12)
	}
	names, _ := dir.Readdirnames(-1) // what was read until then
	dir.Close()
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err == nil && fd >= 3 && isInherited(fd) {
			fds = append(fds, fd)
		}
	}
	slices.Sort(fds)
	return fds
}

// inheritedUpTo is for a system without the folder: it asks for one number after the
// other.
func inheritedUpTo(end int) (fds []int) {
	for fd := 3; fd < end; fd++ {
		if isInherited(fd) {
			fds = append(fds, fd)
		}
	}
	return fds
}

func isInherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// Fchdir makes the directory behind fd the working directory of this process.
func Fchdir(fd int) error { return os.NewSyscallError("fchdir", unix.Fchdir(fd)) }

// Umask sets the file mode creation mask of this process, and returns the old.
func Umask(mask int) int { return unix.Umask(mask) }

// Setrlimit sets a resource limit of this process.
func Setrlimit(resource int, soft, hard uint64) error {
	lim := newRlimit(soft, hard)
	return os.NewSyscallError("setrlimit", syscall.Setrlimit(resource, &lim))
}

// SetCredential gives all threads of this process another user, group and
// supplementary groups, for good.
func SetCredential(c *syscall.Credential) error {
	if !c.NoSetGroups {
		groups := make([]int, len(c.Groups))
		for i, g := range c.Groups {
			groups[i] = int(g)
		}
		if err := syscall.Setgroups(groups); err != nil {
			return os.NewSyscallError("setgroups", err)
		}
	}
	if err := syscall.Setgid(int(c.Gid)); err != nil {
		return os.NewSyscallError("setgid", err)
	}
	return os.NewSyscallError("setuid", syscall.Setuid(int(c.Uid)))
}

// Chroot makes a folder the root of this process (chroot(2)).
func Chroot(dir string) error { return os.NewSyscallError("chroot", syscall.Chroot(dir)) }

// OpenProcess gives a handle on a process, which is of that process alone, whoever gets its
// number later; false where the system has no such handles.
func OpenProcess(pid int) (*os.Process, bool) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil, false
	}
	err = p.WithHandle(func(uintptr) {})
	return p, err == nil || errors.Is(err, os.ErrProcessDone)
}

// DoneProcess is a handle on a process that has ended.
func DoneProcess(pid int) *os.Process {
	p, err := os.FindProcess(1 << 30) // more than a PID can be: see proc_sys_kernel(5), pid_max
	if err != nil {
		return nil
	}
	p.Pid = pid
	return p
}

// Dup gives another descriptor for the same open file, closed on exec.
func Dup(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return n, os.NewSyscallError("fcntl", err)
}

// ErrElevated is why a command does nothing that has more privilege than who started it.
var ErrElevated = errors.New("this program is setuid, setgid or has file capabilities: it would act with that privilege for whoever starts it")

// ElevatedHint is what to do about it.
const ElevatedHint = "chmod u-s,g-s and setcap -r take that from its file; sudo or a service can start it with privilege"
