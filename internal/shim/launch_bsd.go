//go:build darwin || freebsd

package shim

import "syscall"

// pidnsAttrs: what asks for it is told in the shim that there are none here.
func pidnsAttrs() []*syscall.SysProcAttr { return []*syscall.SysProcAttr{{Setpgid: true}} }
