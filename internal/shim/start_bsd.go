//go:build darwin || freebsd

package shim

import "syscall"

func wantPidfd(*syscall.SysProcAttr, *int) {}

func inCgroup(*syscall.SysProcAttr) bool { return false }

func canClone(*syscall.SysProcAttr) bool { return true }

func containmentErrno(syscall.Errno) bool { return false }
