package supervise

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
)

// What the hook after an end is told of it: by foster's names, and by those of systemd, so
// that what was written for ExecStopPost= works.

// endVariables are the variables that tell how a run has ended.
func endVariables(exit *client.Exit, result string, requested bool) []string {
	var code, signal, how, status string
	switch {
	case exit == nil:
	case exit.Code != nil:
		code = strconv.Itoa(*exit.Code)
		how, status = "exited", code
	case exit.Signal != "":
		signal = exit.Signal
		how, status = "killed", strings.TrimPrefix(signal, "SIG")
		if exit.Core {
			how = "dumped"
		}
	}
	return []string{
		"FOSTER_RESULT=" + result, "FOSTER_STOP_REQUESTED=" + strconv.FormatBool(requested),
		"FOSTER_EXIT_CODE=" + code, "FOSTER_EXIT_SIGNAL=" + signal,
		"SERVICE_RESULT=" + result, "EXIT_CODE=" + how, "EXIT_STATUS=" + status,
	}
}

// endVariables are those of the end of the run under way.
func (i *instance) endVariables(e ending) []string {
	requested := i.stopRequested(e.exit)
	return endVariables(exitOf(e.exit), i.result(e, requested), requested)
}

// stopRequested says whether somebody has asked for the end of a run: by hand, by an update,
// or by what else restarts it while it works.
func (i *instance) stopRequested(exit foster.Exit) bool {
	return i.m.undone() && !i.m.Failing || exit.Cause == foster.CauseStopped && i.stoppedBefore(exit)
}

// orderly are the signals that end a service in order, for systemd.
var orderly = []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE}

// result is how a run has ended, in systemd's words.
func (i *instance) result(e ending, requested bool) string {
	leader := e.exit.Leader
	switch {
	case i.fault != "":
		return i.fault
	case e.exit.Cause == foster.CauseExpired:
		return "timeout"
	case e.exit.Cause == foster.CauseWatchdog:
		return "watchdog"
	case requested && e.exit.Killed > 0:
		return "timeout"
	case e.exit.OOMKills > 0 && !succeededWith(&i.current, leader):
		return "oom-kill"
	case !leader.Known:
		return "unknown"
	case requested && (slices.Contains(orderly, leader.Signal) || leader.Signal != 0 && leader.Signal == i.stopPlan().Signal):
		return "success"
	case leader.Core:
		return "core-dump"
	case leader.Signal != 0:
		return "signal"
	case succeededWith(&i.current, leader):
		return "success"
	}
	return "exit-code"
}
