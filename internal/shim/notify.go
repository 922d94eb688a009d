package shim

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// notice is what a program told of itself, in the protocol of sd_notify(3). What
// foster has no use for isn't in it.
type notice struct {
	socket   *os.File
	pid, uid int

	ready    bool
	text     string // STATUS=
	hasText  bool
	mainPID  int
	extend   time.Duration // EXTEND_TIMEOUT_USEC=
	alive    bool          // WATCHDOG=1
	trigger  bool          // WATCHDOG=trigger
	watchdog time.Duration // WATCHDOG_USEC=
}

const (
	longestNotice = 4096 // as much as systemd reads
	longestStatus = 256
)

// parseNotice reads one datagram: an assignment a line. What it doesn't know, or
// can't understand, is passed over, as the protocol wants it.
func parseNotice(b []byte) (n notice) {
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			continue
		}
		switch key {
		case "READY":
			n.ready = n.ready || value == "1"
		case "STATUS":
			n.text, n.hasText = value[:min(len(value), longestStatus)], true
		case "MAINPID":
			if pid, err := strconv.Atoi(value); err == nil && pid > 0 {
				n.mainPID = pid
			}
		case "EXTEND_TIMEOUT_USEC":
			n.extend = microseconds(value)
		case "WATCHDOG":
			n.alive = n.alive || value == "1"
			n.trigger = n.trigger || value == "trigger"
		case "WATCHDOG_USEC":
			n.watchdog = microseconds(value)
		}
	}
	return n
}

// microseconds reads a count of them; what is no such count is 0.
func microseconds(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(min(n, uint64(forever/time.Microsecond))) * time.Microsecond
}

// Anybody on this host can write to a notify socket. To find out who isn't of the tree takes
// time, so no more than mostStrangers messages of strangers are looked up in a second. Then
// the socket is only read in portions, and is left alone between them: who floods it waits.
// So does the tree, for a moment, but it is heard: its user's messages are looked up always.
const (
	mostStrangers = 64
	portion       = 8
	portionPause  = 10 * time.Millisecond
)

// flood is what strangers have sent in this second.
type flood struct {
	strangers int // that were looked up
	since     time.Time
	read      int // since the last pause
}

// crowded says whether too much comes from strangers, and pauses where it does.
func (f *flood) crowded(over <-chan struct{}) bool {
	if now := time.Now(); now.Sub(f.since) > time.Second {
		f.since, f.read = now, 0
		f.strangers = 0
	}
	if f.strangers < mostStrangers {
		return false
	}
	if f.read++; f.read%portion == 0 {
		select {
		case <-time.After(portionPause):
		case <-over:
		}
	}
	return true
}

// hear passes on what comes on a notify socket, until it is closed.
func (s *server) hear(socket *os.File, users []int) {
	buf := make([]byte, longestNotice)
	var f flood
	for {
		size, pid, uid, err := sys.ReceiveNotify(socket, buf)
		if err != nil {
			return
		}
		if f.crowded(s.loop.over) && !slices.Contains(users, uid) {
			continue
		}
		n := parseNotice(buf[:size])
		n.socket, n.pid, n.uid = socket, pid, uid
		heard := true
		done := make(chan struct{})
		posted := s.loop.post(func() {
			s.turn(func() { heard = s.listen(n, users) })
			close(done)
		})
		if !posted {
			return
		}
		if <-done; !heard {
			f.strangers++
		}
	}
}

// mayNotify says whether a sender is of the tree: it descends from this process, or
// has ended since, which systemd-notify(1) does at once, and was a user's who could
// be in the tree.
func mayNotify(pid, uid int, users []int) bool {
	return descends(pid, slices.Contains(users, uid), procfs.Read)
}

// descends goes up from a process to this one, by what read says of each. Where the first
// has ended, it is as said by ended; where another has, those below it have another parent
// now. One above that is hidden, as another user's may be, leaves it unproven.
func descends(pid int, ended bool, read func(int) (procfs.Stat, error)) bool {
	const most = 1000 // steps: who forks and ends as fast as this looks can't hold it up
	var below procfs.Stat
	for at, n := pid, 0; at > 1 && n < most; n++ {
		s, err := read(at)
		switch {
		case err != nil && at == pid:
			return ended
		case err != nil:
			if now, err := read(below.PID); err == nil && now.PPID == at {
				return false // it is there, and can't be seen
			}
			at = pid
			continue
		case s.PPID == os.Getpid():
			return true
		}
		below, at = s, s.PPID
	}
	return false
}

// memberMayNotify is mayNotify where this process holds other trees as well.
func (s *server) memberMayNotify(pid, uid int, users []int) bool {
	if pid <= 0 {
		return false
	}
	if procfs.Cgroup(pid) == "" {
		return slices.Contains(users, uid) // it has ended
	}
	return s.many.whose(pid) == s
}
