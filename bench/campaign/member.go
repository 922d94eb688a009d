//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A member is run by raw system calls alone: after a fork without exec, Go's runtime isn't
// alive in the child. So a program is translated first, into instructions that need no memory.
type instruction struct {
	name       byte
	n          uintptr
	skip       int     // where the parent goes on after a fork
	path       uintptr // of an exec; 0: none
	argv, envp uintptr
	pause      unix.Timespec
}

var (
	code []instruction
	held []any // what only instructions point to

	defaultAction = [8]uintptr{}
	ignoreAction  = [8]uintptr{1}
	everySignal   = ^uint64(0)
	moment        = unix.Timespec{Nsec: 200_000}
	block         [64 << 10]byte
	names         = [][]byte{[]byte("kworker/0:0\x00"), []byte("foster-shim\x00"), []byte(") R 1 1 1 \x00")}
)

// newNamespaces are those that step u enters.
var newNamespaces = []uintptr{
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID, unix.CLONE_NEWPID | unix.CLONE_NEWNS,
	unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC, unix.CLONE_NEWCGROUP,
}

// compile adds a program to the instructions, and returns where it begins.
func compile(p program, self string) (start int) {
	start = len(code)
	for _, s := range p {
		at := len(code)
		code = append(code, instruction{name: s.name, n: uintptr(s.n)})
		switch s.name {
		case 'f', 'v', 'e':
			code[at].path, code[at].argv = pointer(cString(self)), cStrings([]string{self, "member", s.child.String()})
			if s.name == 'e' {
				code[at].envp = cStrings(nil)
			} else {
				code[at].envp = cStrings(os.Environ())
			}
		case 'r', 'u':
			compile(s.child, self)
		case 'd':
			code[at].pause = unix.NsecToTimespec(int64(s.n) * 1e6)
		}
		switch s.name {
		case 'v':
			code[at].n = unix.CLONE_VFORK
		case 'u':
			code[at].n = newNamespaces[s.n%len(newNamespaces)]
		case 'n':
			code[at].path = pointer(&names[s.n%len(names)][0])
		}
		code[at].skip = len(code)
	}
	code = append(code, instruction{name: 'x'})
	return start
}

func pointer(p *byte) uintptr { return uintptr(unsafe.Pointer(p)) }

func cString(s string) *byte {
	b := append([]byte(s), 0)
	held = append(held, b)
	return &b[0]
}

func cStrings(list []string) uintptr {
	array := make([]*byte, len(list)+1)
	for i, s := range list {
		array[i] = cString(s)
	}
	held = append(held, array)
	return uintptr(unsafe.Pointer(&array[0]))
}

// execute runs instructions; it doesn't return. It is all that a forked child runs.
//
//go:nosplit
//go:norace
func execute(pc int) {
	for {
		in := &code[pc]
		pc++
		switch in.name {
		case 'f', 'v', 'r', 'u':
			flags := in.n | uintptr(unix.SIGCHLD)
			pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
			if errno == unix.EPERM { // these namespaces are for root
				pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			}
			if pid != 0 || errno != 0 {
				pc = in.skip
			} else if in.path != 0 {
				syscall.RawSyscall(unix.SYS_EXECVE, in.path, in.argv, in.envp)
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
			}
		case 'e':
			syscall.RawSyscall(unix.SYS_EXECVE, in.path, in.argv, in.envp)
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
		case 's':
			syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
		case 'g':
			syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0)
		case 'c':
			group, _, _ := syscall.RawSyscall(unix.SYS_GETPGID, 0, 0, 0)
			for range in.n {
				syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0)
				syscall.RawSyscall(unix.SYS_SETPGID, 0, group, 0)
				syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&moment)), 0, 0)
			}
			syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
		case 'y':
			for range in.n {
				pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
				if errno != 0 {
					break
				}
				if pid != 0 {
					syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
				}
				syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
			}
		case 'Y':
			for range in.n {
				syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			}
		case 'z':
			pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if pid == 0 && errno == 0 {
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
			}
		case 'd':
			syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&in.pause)), 0, 0)
		case 'h':
			for {
				syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		case 'w':
			for {
				if _, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), 0, 0, 0, 0, 0); errno == unix.ECHILD {
					break
				}
			}
		case 'x':
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, in.n, 0, 0)
		case 'a':
			syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0)
		case 'n':
			syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NAME, in.path, 0, 0, 0, 0)
		case 'D':
			syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0, 0)
		case 'o':
			syscall.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534)
		case 'i':
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGTERM), uintptr(unsafe.Pointer(&ignoreAction)), 0, 8, 0, 0)
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGINT), uintptr(unsafe.Pointer(&ignoreAction)), 0, 8, 0, 0)
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGHUP), uintptr(unsafe.Pointer(&ignoreAction)), 0, 8, 0, 0)
		case 'b':
			syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&everySignal)), 0, 8, 0, 0)
		case 'k', 'p':
			if in.name == 'k' {
				syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0, 0, 0)
			}
			pid, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
			syscall.RawSyscall(unix.SYS_KILL, pid, uintptr(unix.SIGSTOP), 0)
		case 'K':
			traced, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			for traced == 0 && errno == 0 {
				syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
			tracer, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			if tracer == 0 && errno == 0 {
				syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, traced, 0, 0, 0, 0)
			}
			for tracer == 0 && errno == 0 {
				syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		case 'q':
			syscall.RawSyscall(unix.SYS_CLOSE, 0, 0, 0)
			syscall.RawSyscall(unix.SYS_CLOSE, 1, 0, 0)
			syscall.RawSyscall(unix.SYS_CLOSE, 2, 0, 0)
			syscall.RawSyscall(unix.SYS_CLOSE, 3, 0, 0)
		case 'l':
			for range in.n {
				syscall.RawSyscall(unix.SYS_WRITE, 1, uintptr(unsafe.Pointer(&block)), uintptr(len(block)))
			}
		}
	}
}

func init() {
	runtime.LockOSThread() // main is on the main thread
	roles["member"] = member
}

// member is the role of a tree's process: "[-leader FILE] PROGRAM". The leader adds its number
// to the file.
func member(args []string) int {
	debug.SetGCPercent(-1)
	if args[0] == "-leader" {
		f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = fmt.Fprintln(f, os.Getpid())
			f.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "member:", err)
			return 125
		}
		args = args[2:]
	}
	p, err := parseProgram(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		return 125
	}
	start := compile(p, os.Args[0])
	// Signals do what they do to a program that isn't Go's. By SIGURG the runtime would
	// interrupt a goroutine.
	for sig := uintptr(1); sig < 32; sig++ {
		action := &defaultAction
		if sig == uintptr(unix.SIGURG) {
			action = &ignoreAction
		}
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(action)), 0, 8, 0, 0)
	}
	if len(p) == 0 || p[0].name != 't' && p[0].name != 'm' {
		execute(start)
	}
	go func() {
		runtime.LockOSThread()
		execute(start)
	}()
	if p[0].name == 'm' {
		syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	}
	select {}
}

// forkRaw forks a process that runs a program, and no exec. It begins with all signals blocked.
func forkRaw(start int) (pid int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before uint64
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&everySignal)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	pid, errno := cloneAndExecute(start)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, 8, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return pid, nil
}

//go:nosplit
//go:norace
func cloneAndExecute(start int) (int, syscall.Errno) {
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 && errno == 0 {
		execute(start)
	}
	return int(pid), errno
}
