//go:build darwin || freebsd

package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// peerGroups gives the user and the groups of who has connected, as they were then; the
// kernel keeps 16 of them.
func peerGroups(fd int) (uid int, groups []int, err error) {
	const local = 0 // SOL_LOCAL
	cred, err := unix.GetsockoptXucred(fd, local, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, nil, os.NewSyscallError("getsockopt", err)
	}
	for i := range min(int(cred.Ngroups), len(cred.Groups)) {
		groups = append(groups, int(cred.Groups[i]))
	}
	return int(cred.Uid), groups, nil
}
