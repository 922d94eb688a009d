package shim

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/contain"
)

// pidnsAttrs are the ways to be born as the first process of a PID namespace, in
// the order in which they're tried: with the privilege that the program has, or
// by a user namespace, in which the user stays who he is and has, for a moment,
// the right to mount /proc (user_namespaces(7)).
func pidnsAttrs() []*syscall.SysProcAttr {
	direct := &syscall.SysProcAttr{Setpgid: true, Cloneflags: contain.PIDNSFlags}
	uid, gid := os.Geteuid(), os.Getegid()
	user := &syscall.SysProcAttr{
		Setpgid:     true,
		Cloneflags:  contain.PIDNSFlags | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
	if uid == 0 {
		return []*syscall.SysProcAttr{direct, user}
	}
	return []*syscall.SysProcAttr{user}
}
