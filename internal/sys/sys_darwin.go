package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peer gives the process and the user on the other side of a socket.
func Peer(fd int) (pid, uid int, err error) {
	pid, err = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt", err)
	}
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt", err)
	}
	return pid, int(cred.Uid), nil
}

// SameExecutable can't be asked without cgo here; the socket's peer, which must
// be the parent, is what the gate relies on.
func SameExecutable(int) bool { return true }

// GroupMembers lists the living processes of a process group.
func GroupMembers(pgid int) ([]int, error) {
	const szomb = 5 // sys/proc.h
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.pgrp", pgid)
	if err != nil {
		return nil, os.NewSyscallError("sysctl", err)
	}
	var pids []int
	for i := range procs {
		if procs[i].Proc.P_stat != szomb {
			pids = append(pids, int(procs[i].Proc.P_pid))
		}
	}
	return pids, nil
}

// noteExit has the status told with the end.
const noteExit = unix.NOTE_EXIT | unix.NOTE_EXITSTATUS

// MaxRSSBytes is the largest resident set in bytes, as macOS counts it.
func MaxRSSBytes(r syscall.Rusage) int64 { return r.Maxrss }

const maxRSSUnit = 1

// BootID names this boot of the machine.
func BootID() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	return id, os.NewSyscallError("sysctl", err)
}

// LastSignal is the highest number of a signal.
const LastSignal = 31
