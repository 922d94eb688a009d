//go:build darwin || freebsd

package shim

import (
	"syscall"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

func setNamespaces(*syscall.SysProcAttr, wire.Attr) {}

func setCaps(*syscall.SysProcAttr, []uint64) {}

func beforeStage(wire.Attr) string { return "" }

func special(a *syscall.SysProcAttr) bool { return a.Chroot != "" }

func canHave(a *syscall.SysProcAttr) bool {
	return errno(sys.TryFork(&syscall.SysProcAttr{Chroot: a.Chroot}, "")) == syscall.ENOENT
}

func wantPidfd(*syscall.SysProcAttr, *int) {}

func inCgroup(*syscall.SysProcAttr) bool { return false }

func canClone(*syscall.SysProcAttr) bool { return true }

func containmentErrno(syscall.Errno) bool { return false }
