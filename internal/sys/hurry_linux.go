package sys

import "golang.org/x/sys/unix"

// Hurry has the calling thread go before all that have no real-time priority, for as long as
// calm isn't called: who forks as fast as it can takes what it can get of the processors, and
// where each session is given the same share (sched(7), autogroups), a storm of sessions takes
// all. It is for moments. Neither processes nor threads that are made meanwhile inherit it. It
// needs privilege (CAP_SYS_NICE); without, nothing changes.
func Hurry() (calm func()) {
	const thisThread, lowest = 0, 1
	old, err := unix.SchedGetAttr(thisThread, 0)
	if err != nil {
		return func() {}
	}
	first := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: lowest, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}
	if unix.SchedSetAttr(thisThread, &first, 0) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetAttr(thisThread, old, 0) } // less is always allowed
}
