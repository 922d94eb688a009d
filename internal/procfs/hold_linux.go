package procfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/sys"
)

// Hold opens a handle on a process that lives, and reads who it is: whatever has its
// number later is another. The caller closes the handle.
func Hold(pid int) (Stat, int, error) {
	fd, err := sys.PidfdOpen(pid)
	if err != nil {
		return Stat{}, -1, fmt.Errorf("process %d: %w", pid, err)
	}
	s, err := Read(pid)
	if err == nil && (s.Ended() || sys.PidfdSignal(fd, 0) == unix.ESRCH) {
		err = unix.ESRCH
	}
	if err != nil {
		sys.Close(fd)
		return Stat{}, -1, fmt.Errorf("process %d: %w", pid, err)
	}
	return s, fd, nil
}
