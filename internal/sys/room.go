package sys

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// LimitError says that a limit of this user or process leaves too little room.
type LimitError struct {
	What        string // what is limited
	Flag        string // of ulimit, by which the limit is set
	Limit, Used int
	Needed      int // more than there are
	Err         syscall.Errno
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the limit of %s is reached: %d are allowed, %d are there, and foster needs %d more",
		e.What, e.Limit, e.Used, e.Needed)
}

// Hint says what can be done.
func (e *LimitError) Hint() string {
	return fmt.Sprintf("raise the limit (ulimit -%s), or end something that counts against it", e.Flag)
}

func (e *LimitError) Unwrap() error { return e.Err }

// RoomForThreads is a [*LimitError] where the limit of processes and threads
// (RLIMIT_NPROC) leaves this user less than n. The Go runtime ends a program by a fatal
// error when it can't create a thread, so this is asked before.
func RoomForThreads(n int) error {
	limit, limited := threadLimit()
	if !limited || allThreads()+n < limit {
		return nil // all that there are of all users leave enough
	}
	if used := userThreads(os.Getuid()); used+n > limit {
		return &LimitError{"processes and threads of this user", "u", limit, used, n, unix.EAGAIN}
	}
	return nil
}

// ForkError explains a fork that failed since there is no room for a process of that user:
// which limit is reached, and what can be done.
func ForkError(err error, uid int) error {
	if !errors.Is(err, unix.EAGAIN) {
		return err
	}
	limit, limited := threadLimit()
	if used := userThreads(uid); limited && used+spare >= limit { // some may have ended since
		l := &LimitError{"processes and threads of this user", "u", limit, used, 1, unix.EAGAIN}
		return fmt.Errorf("%w: %s", l, l.Hint())
	}
	return fmt.Errorf("a limit of processes is reached (ulimit -u, or pids.max of the cgroup): raise it, or end something that counts against it: %w", err)
}

// ReserveThreads makes n threads beside this one, where their number is limited, and parks
// them: the Go runtime keeps them, and needs no new one later when there may be no room.
func ReserveThreads(n int) error {
	if _, limited := threadLimit(); !limited {
		return nil
	}
	if runtime.GOMAXPROCS(0) > 2 {
		runtime.GOMAXPROCS(2) // the runtime may want a thread for each, at any time
	}
	reserved.Lock()
	defer reserved.Unlock()
	if n -= reserved.n; n <= 0 {
		return nil
	}
	if err := RoomForThreads(n + spare); err != nil {
		return err
	}
	reserved.n += n
	var made sync.WaitGroup
	made.Add(n)
	over := make(chan struct{})
	for range n {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			made.Done()
			<-over
		}()
	}
	made.Wait()
	close(over)
	return nil
}

// spare is for threads that the runtime makes beside those, and for who else starts one.
const spare = 4

// reserved is how many threads were made by ReserveThreads.
var reserved struct {
	sync.Mutex
	n int
}

// RoomForFiles is a [*LimitError] where the limit of open files (RLIMIT_NOFILE) leaves
// this process less than n.
func RoomForFiles(n int) error {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || uint64(l.Cur) > math.MaxInt32 {
		return nil
	}
	limit, free := int(l.Cur), 0
	for fd := 0; fd < limit && free < n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == unix.EBADF {
			free++
		}
	}
	if free < n {
		return &LimitError{"open files", "n", limit, limit - free, n, unix.EMFILE}
	}
	return nil
}
