package shim

import (
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// wantPidfd has the fork open a handle on the child (clone(2), CLONE_PIDFD, Linux
// 5.2). An older kernel leaves -1.
func wantPidfd(attr *syscall.SysProcAttr, fd *int) { attr.PidFD = fd }

func inCgroup(attr *syscall.SysProcAttr) bool { return attr.UseCgroupFD }

// canClone proves that a child can be born into the cgroup, by one whose program can't be
// there: a program that may not be executed gives the same numbers as a clone.
func canClone(into *syscall.SysProcAttr) bool {
	err := sys.TryFork(&syscall.SysProcAttr{UseCgroupFD: into.UseCgroupFD, CgroupFD: into.CgroupFD}, "")
	return errno(err) == syscall.ENOENT
}

// containmentErrno says whether a clone into a cgroup fails with it, before there
// is a child (clone(2), CLONE_INTO_CGROUP): no right to move there, a cgroup that
// may have no members or not such ones, a kernel or a filter without clone3.
func containmentErrno(n syscall.Errno) bool {
	switch n {
	case syscall.EACCES, syscall.EBUSY, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.ENODEV, syscall.EPERM:
		return true
	}
	return false
}
