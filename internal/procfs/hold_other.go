//go:build !linux

package procfs

import (
	"errors"
	"fmt"
	"time"
)

func Hold(int) (Stat, int, error) {
	return Stat{}, -1, fmt.Errorf("a handle on a process: %w on this system", errors.ErrUnsupported)
}

// AwaitEnd waits until a process has ended, for no longer than a time.
func AwaitEnd(int, uint64, time.Duration) (bool, error) { return false, errors.ErrUnsupported }
