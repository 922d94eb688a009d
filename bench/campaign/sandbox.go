//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runIsolated runs a role of this executable as process 1 of a new PID namespace, and returns
// what it has written to its standard output. When the time is over, that process is killed,
// and with it the kernel ends all of the namespace.
func runIsolated(limit time.Duration, role string, args ...string) (output []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{role}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		// An ordinary user has them within a user namespace, in which it is the only user.
		// Process 1 keeps the capabilities that it needs; what it starts has none.
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_CHECKPOINT_RESTORE}
	}
	cmd.WaitDelay = limit // the namespace is gone by then, and nobody holds the pipes
	err = cmd.Run()       // os/exec kills by a pidfd
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %v", limit)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", role, err, stderr.Bytes())
	}
	return stdout.Bytes(), err
}

// enterSandbox gives process 1 of a namespace its own view: no mount reaches another
// namespace, /proc shows this one, and folder is an empty file system.
func enterSandbox(folder string) error {
	if os.Getpid() != 1 {
		return errors.New("this is a role of process 1 of a PID namespace")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, "size=64m,mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", folder, err)
	}
	return nil
}

// children are those of process 1: it alone waits, for all, also for those that it adopts.
type children struct {
	mu    sync.Mutex
	ended map[int]syscall.WaitStatus
	news  chan struct{} // closed and replaced when one has ended
	began chan struct{}
}

func newChildren() *children {
	c := &children{ended: map[int]syscall.WaitStatus{}, news: make(chan struct{}), began: make(chan struct{}, 1)}
	go c.reap()
	return c
}

func (c *children) reap() {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, syscall.ECHILD) {
			<-c.began
			continue
		}
		c.mu.Lock() // between the end of its wait and start, its number can't become another's
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err == nil && pid > 0 {
			c.ended[pid] = status
			close(c.news)
			c.news = make(chan struct{})
		}
		c.mu.Unlock()
	}
}

// start starts a program.
func (c *children) start(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	return c.fork(func() (int, error) { return syscall.ForkExec(path, argv, attr) })
}

// fork calls what makes a child.
func (c *children) fork(begin func() (pid int, err error)) (pid int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if os.Geteuid() != 0 {
		// What is started is as powerless as any program of this user: it doesn't inherit the
		// capabilities of the thread that forks it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
			return 0, fmt.Errorf("give up ambient capabilities: %w", err)
		}
	}
	pid, err = begin()
	delete(c.ended, pid) // of an earlier process with that number
	select {
	case c.began <- struct{}{}:
	default:
	}
	return pid, err
}

// status says how a child has ended, if it has.
func (c *children) status(pid int) (status syscall.WaitStatus, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	status, ended = c.ended[pid]
	return status, ended
}

// wait waits for the end of a child, at most until then.
func (c *children) wait(pid int, until time.Time) (status syscall.WaitStatus, ended bool) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		c.mu.Lock()
		status, ended = c.ended[pid]
		news := c.news
		c.mu.Unlock()
		if ended {
			return status, true
		}
		select {
		case <-news:
		case <-timer.C:
			return status, false
		}
	}
}
