//go:build darwin || freebsd

package foster_test

import "os/exec"

var systemFields map[string]func(*exec.Cmd)
