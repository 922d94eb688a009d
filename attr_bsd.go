//go:build darwin || freebsd

package foster

import "syscall"

func (c *Cmd) takeSystemAttr(_, _ *syscall.SysProcAttr) error { return nil }

const callsCancel = false
