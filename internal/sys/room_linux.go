package sys

import (
	"bytes"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// threadLimit is RLIMIT_NPROC, where it limits this process: root isn't limited by it.
func threadLimit() (n int, limited bool) {
	var l unix.Rlimit
	if os.Getuid() == 0 || unix.Getrlimit(unix.RLIMIT_NPROC, &l) != nil || l.Cur > math.MaxInt32 {
		return 0, false
	}
	return int(l.Cur), true
}

// allThreads is how many threads there are of all users.
func allThreads() int {
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return math.MaxInt32 // unknown: the user's are counted
	}
	return int(s.Procs)
}

// userThreads counts the threads of a user, by its real id, as /proc shows them.
func userThreads(uid int) (n int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0 // unknown
	}
	var buf [4096]byte
	for _, e := range entries {
		if name := e.Name(); name[0] < '1' || name[0] > '9' {
			continue
		}
		size, err := ReadInto("/proc/"+e.Name()+"/status", buf[:])
		if err != nil || firstNumber(buf[:size], "\nUid:\t") != uid {
			continue
		}
		n += max(firstNumber(buf[:size], "\nThreads:\t"), 1)
	}
	return n
}

// firstNumber reads the number behind a key; -1 where there is none.
func firstNumber(b []byte, key string) int {
	_, rest, _ := bytes.Cut(b, []byte(key))
	i := 0
	for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(string(rest[:i]))
	if err != nil {
		return -1
	}
	return n
}
