//go:build !linux

package procfs

import (
	"errors"
	"fmt"
)

// Read fails: /proc as read here is Linux's.
func Read(int) (Stat, error) {
	return Stat{}, fmt.Errorf("/proc: %w on this system", errors.ErrUnsupported)
}

// Dying can only repeat what s says.
func Dying(s Stat) bool { return s.Ended() }

// Cmdline reads nothing here.
func Cmdline(int) []string { return nil }
