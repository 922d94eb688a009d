package shim

import "syscall"

// wantPidfd has the fork open a handle on the child (clone(2), CLONE_PIDFD, Linux
// 5.2). An older kernel leaves -1.
func wantPidfd(attr *syscall.SysProcAttr, fd *int) { attr.PidFD = fd }

func inCgroup(attr *syscall.SysProcAttr) bool { return attr.UseCgroupFD }

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
