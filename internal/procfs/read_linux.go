package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// Pids lists the processes that /proc shows.
func Pids() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Available says whether /proc is there, and shows the PID namespace that this
// process is in: in another's, a number means another process.
func Available() bool {
	self, err := os.Readlink("/proc/self")
	return err == nil && self == strconv.Itoa(os.Getpid())
}

// Read reads one process. Where it has ended, the error is an
// [os.ErrNotExist] or an ESRCH.
func Read(pid int) (Stat, error) {
	var buf [1024]byte // 52 numbers and a name of 15 bytes are shorter
	n, err := sys.ReadInto("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return Stat{}, err
	}
	s, err := parseStat(buf[:n])
	if err != nil {
		return Stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	if s.Exiting() && s.Threads > 1 {
		s.lookAtOthers()
	}
	return s, nil
}

// lookAtOthers finds out in what state a process is whose first thread has ended: the
// kernel shows that thread's, as if the process were a zombie.
func (s *Stat) lookAtOthers() {
	const most = 256 // of a process with more threads that end, it shows at the next look
	folder := "/proc/" + strconv.Itoa(s.PID) + "/task/"
	dir, err := os.Open(folder)
	if err != nil {
		return // it has ended
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(most) // unreadable: it has ended
	var buf [1024]byte
	for _, tid := range names {
		n, err := sys.ReadInto(folder+tid+"/stat", buf[:])
		if err != nil {
			continue
		}
		if other, err := parseStat(buf[:n]); err == nil && !other.Exiting() && !killed(folder+tid) {
			s.FirstEnded = true
			s.State, s.Flags = other.State, other.Flags
			return
		}
	}
}

// ReadStatus reads what only /proc/PID/status has of one process.
func ReadStatus(pid int) (Status, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return Status{}, err
	}
	return ParseStatus(b)
}

// Snapshot reads all processes that /proc shows, those that end meanwhile left
// out. It isn't one moment in time: a process may have changed its parent
// between two lines of it.
func Snapshot() ([]Stat, error) {
	pids, err := Pids()
	if err != nil {
		return nil, err
	}
	all := make([]Stat, 0, len(pids))
	for _, pid := range pids {
		if s, err := Read(pid); err == nil {
			all = append(all, s)
		}
	}
	return all, nil
}

// Dying says that a process has ended or is about to: it is a zombie, or SIGKILL
// is pending, which is also how the kernel marks a process that another fatal
// signal has just reached. It runs no more code of its own.
func Dying(s Stat) bool {
	if s.Ended() {
		return true
	}
	return killed("/proc/" + strconv.Itoa(s.PID))
}

// killed says whether SIGKILL is pending for the thread with this folder in /proc, or the
// thread is gone. When a process is killed, the kernel marks each of its threads like this.
func killed(folder string) bool {
	b, err := os.ReadFile(folder + "/status")
	if err != nil {
		return os.IsNotExist(err) || errors.Is(err, syscall.ESRCH)
	}
	pending, ok := parsePending(b)
	return ok && pending&(1<<(syscall.SIGKILL-1)) != 0
}

// Cgroup reads the path of the cgroup of version 2 that a process is in, also of a
// zombie; "" where it can't be read.
func Cgroup(pid int) string {
	var buf [4096]byte
	n, err := sys.ReadInto("/proc/"+strconv.Itoa(pid)+"/cgroup", buf[:])
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(buf[:n]) {
		if path, ok := bytes.CutPrefix(line, []byte("0::")); ok {
			return string(bytes.TrimSuffix(path, []byte("\n")))
		}
	}
	return ""
}

// Cmdline reads the arguments of a process; none for a zombie, or where they
// can't be read.
func Cmdline(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return nil
	}
	return splitCmdline(b)
}
