package sys

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Hurry gives the calling thread the highest priority of ordinary ones, for as long as calm
// isn't called, and its session, too, where each session is given the same share of the time
// (sched(7), autogroups): a storm of sessions would have as many shares. It needs privilege
// (CAP_SYS_NICE); without, nothing changes.
func Hurry() (calm func()) {
	// The call counts from 40 down, so that a priority can't be taken for an error.
	old, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil || unix.Setpriority(unix.PRIO_PROCESS, 0, -20) != nil {
		return func() {}
	}
	calmSession := hurrySession()
	return func() {
		calmSession()
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 20-old) // less is always allowed
	}
}

const autogroup = "/proc/self/autogroup"

func hurrySession() (calm func()) {
	// "/autogroup-25 nice 0"
	text, err := os.ReadFile(autogroup)
	if err != nil {
		return func() {} // there are none
	}
	_, nice, _ := strings.Cut(string(text), " nice ")
	old, err := strconv.Atoi(strings.TrimSpace(nice))
	if err != nil || setAutogroup(-20) != nil {
		return func() {}
	}
	return func() { _ = setAutogroup(old) }
}

func setAutogroup(nice int) error { return os.WriteFile(autogroup, []byte(strconv.Itoa(nice)), 0) }
