package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerGroups gives the user and all groups of who has connected, as they were then.
func peerGroups(fd int) (uid int, groups []int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, nil, os.NewSyscallError("getsockopt", err)
	}
	groups = []int{int(cred.Gid)}
	more, err := supplementary(fd)
	if err == unix.ENOPROTOOPT { // before Linux 4.13
		return int(cred.Uid), groups, nil
	}
	return int(cred.Uid), append(groups, more...), os.NewSyscallError("getsockopt", err)
}

// supplementary asks for SO_PEERGROUPS, for which x/sys has no function.
func supplementary(fd int) (groups []int, err error) {
	list := make([]uint32, 64)
	for {
		size := uint32(4 * len(list))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&list[0])), uintptr(unsafe.Pointer(&size)), 0)
		const most = 1 << 16 // of the kernel
		if errno == unix.ERANGE && len(list) < most {
			list = make([]uint32, most)
			continue
		}
		if errno != 0 {
			return nil, errno
		}
		for _, g := range list[:min(int(size/4), len(list))] {
			groups = append(groups, int(g))
		}
		return groups, nil
	}
}
