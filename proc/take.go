package proc

import (
	"time"
)

// Take reads the process table: the columns of [Always], and those that want asks
// for beside them. Processes that end meanwhile are left out.
//
// It is an error where /proc isn't mounted, or shows the processes of another PID
// namespace than the caller's. Where it hides some (hidepid), [Table.Hidden] is set.
// On Linux one file is read for each process, /proc/PID/stat, and one more for each
// column that is asked for; a file that can't be read leaves its columns unknown. On
// macOS all comes from one call of sysctl(3), Args from
// one more for each process. On FreeBSD the error wraps [errors.ErrUnsupported].
func Take(want Fields) (*Table, error) { return take(root, want) }

// Read reads one process, as [Take] does. The error is [ErrGone] where there is no
// such process, or where it is hidden from the caller. Where /proc shows that there
// is one, but not what it is (hidepid=1), it is an [os.ErrPermission].
func Read(pid int, want Fields) (*Process, error) { return readOne(root, pid, want) }

// root is where the system's table is.
const root = "/proc"

// ticks is the unit of the kernel's times: USER_HZ, which is 100 a second for user
// space on every architecture that Go runs on (time(7)).
const tick = time.Second / 100

func fromTicks(n uint64) time.Duration {
	if n > uint64(1<<63-1)/uint64(tick) {
		return 1<<63 - 1
	}
	return time.Duration(n) * tick
}
