package shim

import (
	"syscall"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// wantPidfd has the fork open a handle on the child (clone(2), CLONE_PIDFD, Linux
// 5.2). An older kernel leaves -1.
func wantPidfd(attr *syscall.SysProcAttr, fd *int) { attr.PidFD = fd }

// setNamespaces has the child be born into namespaces of its own.
func setNamespaces(attr *syscall.SysProcAttr, a wire.Attr) {
	attr.Cloneflags, attr.Unshareflags = uintptr(a.Cloneflags), uintptr(a.Unshareflags)
	attr.UidMappings, attr.GidMappings = idMaps(a.UIDMappings), idMaps(a.GIDMappings)
	attr.GidMappingsEnableSetgroups = a.Setgroups
}

func idMaps(rows []wire.IDMap) (list []syscall.SysProcIDMap) {
	for _, r := range rows {
		list = append(list, syscall.SysProcIDMap{ContainerID: r.Inside, HostID: r.Outside, Size: r.Size})
	}
	return list
}

func setCaps(attr *syscall.SysProcAttr, caps []uint64) {
	for _, n := range caps {
		attr.AmbientCaps = append(attr.AmbientCaps, uintptr(n))
	}
}

// beforeStage names what a stage can't pass on: becoming another user takes capabilities
// away, and in a namespace of users or PIDs a stage can't see whose it is.
func beforeStage(a wire.Attr) string {
	switch flags := a.Cloneflags | a.Unshareflags; {
	case len(a.AmbientCaps) > 0:
		return "AmbientCaps"
	case flags&syscall.CLONE_NEWUSER != 0:
		return "a user namespace"
	case flags&syscall.CLONE_NEWPID != 0:
		return "a PID namespace"
	}
	return ""
}

// special says whether a child has what canHave can try alone.
func special(a *syscall.SysProcAttr) bool {
	return a.Chroot != "" || a.Cloneflags != 0 || a.Unshareflags != 0 || len(a.AmbientCaps) > 0
}

func canHave(a *syscall.SysProcAttr) bool {
	err := sys.TryFork(&syscall.SysProcAttr{
		Chroot: a.Chroot, Cloneflags: a.Cloneflags, Unshareflags: a.Unshareflags, AmbientCaps: a.AmbientCaps,
		UidMappings: a.UidMappings, GidMappings: a.GidMappings, GidMappingsEnableSetgroups: a.GidMappingsEnableSetgroups,
		Credential: a.Credential,
	}, "")
	return errno(err) == syscall.ENOENT
}

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
