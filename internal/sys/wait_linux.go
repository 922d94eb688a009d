package sys

import (
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitAll has stops and continues told, and children of clone(2) not left out.
const waitAll = unix.WUNTRACED | unix.WCONTINUED | unix.WALL

// PeekAny waits until any child of this process has something to tell, and
// leaves it to be told again (waitid(2), WNOWAIT).
func PeekAny() error {
	_, err := peek(unix.P_ALL, 0, 0)
	return err
}

// NextZombie gives the child that WaitAny would reap next; 0 where none has ended.
func NextZombie() int {
	w, _ := peek(unix.P_ALL, 0, unix.WNOHANG) // no child: none
	return w.PID
}

// IsLivingChild says whether a process is a child of this one that hasn't ended. That is
// certain for as long as nobody in this process waits for it.
func IsLivingChild(pid int) bool {
	w, err := waitid(unix.P_PID, pid, unix.WNOHANG|unix.WEXITED|unix.WNOWAIT|unix.WALL)
	return err == nil && w.PID == 0
}

// NextChild gives a child that has something to tell, be it that it was stopped; 0 where
// none has. It returns ECHILD when there is no child.
func NextChild() (int, error) {
	w, err := waitid(unix.P_ALL, 0, unix.WNOHANG|unix.WEXITED|unix.WSTOPPED|unix.WCONTINUED|unix.WNOWAIT|unix.WALL)
	return w.PID, err
}

// PeekPid waits until a child has something to tell, and leaves it to be told
// again. The PID of the answer is 0 where it isn't the child's end.
func PeekPid(pid int) (Wait, error) { return peek(unix.P_PID, pid, 0) }

// siginfo is the part of siginfo_t that waitid(2) fills in.
type siginfo struct {
	signo, errno, code int32
	_                  [4 * (strconv.IntSize / 64)]byte // the union is aligned to a word
	pid, uid, status   int32
	_                  [128]byte
}

// The values of si_code for a child (sigaction(2)).
const (
	cldExited    = 1
	cldKilled    = 2
	cldDumped    = 3
	cldStopped   = 5
	cldContinued = 6
)

// TakePause takes from a child that it was stopped or continued, and leaves its
// end to be told. PID is 0 where it was neither.
func TakePause(pid int) Wait {
	w, _ := waitid(unix.P_PID, pid, unix.WSTOPPED|unix.WCONTINUED|unix.WNOHANG|unix.WALL) // no child: neither
	return w
}

func peek(kind, id, options int) (Wait, error) {
	options |= unix.WEXITED | unix.WSTOPPED | unix.WCONTINUED | unix.WNOWAIT | unix.WALL
	w, err := waitid(kind, id, options)
	if w.Status.Stopped() || w.Status.Continued() {
		return Wait{}, err
	}
	return w, err
}

func waitid(kind, id, options int) (Wait, error) {
	var info siginfo
	var ru unix.Rusage
	err := retry(func() error {
		return unix.Waitid(kind, id, (*unix.Siginfo)(unsafe.Pointer(&info)), options, &ru)
	})
	if err != nil {
		return Wait{}, err
	}
	w := Wait{PID: int(info.pid), Usage: syscall.Rusage{
		Utime: syscall.Timeval(ru.Utime), Stime: syscall.Timeval(ru.Stime), Maxrss: ru.Maxrss,
	}}
	switch info.code {
	case cldExited:
		w.Status = syscall.WaitStatus(info.status << 8)
	case cldKilled:
		w.Status = syscall.WaitStatus(info.status)
	case cldDumped:
		w.Status = syscall.WaitStatus(info.status | 0x80)
	case cldStopped:
		w.Status = syscall.WaitStatus(info.status<<8 | 0x7f)
	case cldContinued:
		w.Status = 0xffff
	default:
		return Wait{}, nil
	}
	return w, nil
}

// MaxRSSBytes is the largest resident set in bytes; Linux counts it in KiB.
func MaxRSSBytes(r syscall.Rusage) int64 { return int64(r.Maxrss) * maxRSSUnit }

const maxRSSUnit = 1 << 10
