package procfs

import (
	"fmt"
	"time"

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

// AwaitEnd waits until a process has ended, for no longer than a time, and says whether
// it has. A process with its number that began at another time isn't it.
func AwaitEnd(pid int, start uint64, most time.Duration) (bool, error) {
	s, fd, err := Hold(pid)
	if err != nil {
		return true, nil
	}
	defer sys.Close(fd)
	if s.Start != start {
		return true, nil
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	err = sys.PollAny(fds, most)
	return fds[0].Revents != 0, err
}
