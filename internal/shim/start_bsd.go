//go:build darwin || freebsd

package shim

import "syscall"

func wantPidfd(*syscall.SysProcAttr, *int) {}

func inCgroup(*syscall.SysProcAttr) bool { return false }

func containmentErrno(syscall.Errno) bool { return false }
