//go:build !linux

package procfs

import (
	"errors"
	"fmt"
)

var errNotHere = fmt.Errorf("/proc: %w on this system", errors.ErrUnsupported)

// Read fails: /proc as read here is Linux's.
func Read(int) (Stat, error) { return Stat{}, errNotHere }

// ReadStatus fails like Read.
func ReadStatus(int) (Status, error) { return Status{}, errNotHere }

// Snapshot fails like Read.
func Snapshot() ([]Stat, error) { return nil, errNotHere }

// Dying can only repeat what s says.
func Dying(s Stat) bool { return s.Ended() }

// Cgroup reads nothing here.
func Cgroup(int) string { return "" }

// Cmdline reads nothing here.
func Cmdline(int) []string { return nil }
