//go:build !linux

package procfs

import (
	"errors"
	"fmt"
)

func Hold(int) (Stat, int, error) {
	return Stat{}, -1, fmt.Errorf("a handle on a process: %w on this system", errors.ErrUnsupported)
}
