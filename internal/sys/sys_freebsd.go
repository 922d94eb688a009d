package sys

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peer gives the user on the other side of a socket; FreeBSD's credentials of a
// socket pair name no process, so the parent is taken for it.
func Peer(int) (pid, uid int, err error) { return os.Getppid(), os.Getuid(), nil }

// SameExecutable says whether a process runs the same file as this one.
func SameExecutable(pid int) bool {
	path := func(pid int) string {
		b, err := unix.SysctlRaw("kern.proc.pathname", pid)
		if err != nil {
			return ""
		}
		return unix.ByteSliceToString(b)
	}
	mine := path(os.Getpid())
	return mine != "" && mine == path(pid)
}

// GroupMembers lists the living processes of a process group. The layout is
// that of struct kinfo_proc in sys/user.h on the 64-bit systems, which FreeBSD
// keeps stable and which says its own size.
func GroupMembers(pgid int) ([]int, error) {
	const (
		offSize, offPid, offStat = 0, 72, 388
		szomb                    = 5
	)
	b, err := unix.SysctlRaw("kern.proc.pgrp", pgid)
	if err == unix.ESRCH {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("sysctl", err)
	}
	var pids []int
	for len(b) > offStat {
		size := int(binary.LittleEndian.Uint32(b[offSize:]))
		if size <= offStat || size > len(b) {
			break
		}
		if b[offStat] != szomb {
			pids = append(pids, int(binary.LittleEndian.Uint32(b[offPid:])))
		}
		b = b[size:]
	}
	return pids, nil
}

// noteExit has the status told with the end.
const noteExit = unix.NOTE_EXIT

// MaxRSSBytes is the largest resident set in bytes; FreeBSD counts it in KiB.
func MaxRSSBytes(r syscall.Rusage) int64 { return r.Maxrss * maxRSSUnit }

const maxRSSUnit = 1 << 10

// BootID names this boot of the machine.
func BootID() (string, error) {
	b, err := unix.SysctlRaw("kern.boot_id")
	return hex.EncodeToString(b), os.NewSyscallError("sysctl", err)
}

// LastSignal is the highest number of a signal.
const LastSignal = 128
