package main

import (
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// runEnd is how a run ended, as far as its exit status depends on it. foster run has it
// from the library, foster wait, attach, ls and inspect from the shim or the journal, and
// the commands of a project from its supervisor. All exit with its status.
type runEnd struct {
	cause      foster.Cause
	leader     foster.Status
	released   bool
	left       bool // something couldn't be ended
	notStarted int  // the status of a start that failed; 0: it was started
}

// status is the exit status of a run that is over.
func (e runEnd) status() int {
	switch {
	case e.left:
		return exitSurvivors
	case e.notStarted != 0:
		return e.notStarted
	case e.cause == foster.CauseExpired, e.cause == foster.CauseWatchdog:
		return exitTimeout
	case e.unknown():
		return exitFoster
	case e.leader.Signal != 0:
		return 128 + int(e.leader.Signal)
	case e.leader.Code == 0 && e.cause == foster.CauseLeaderLostFail:
		return exitRefused // the command's own status would say that all was well
	}
	return e.leader.Code
}

// unknown says that nobody saw how the run ended.
func (e runEnd) unknown() bool {
	return e.cause == foster.CauseShimLost || !e.leader.Known && !e.released && e.notStarted == 0
}

// reason says why the status isn't the command's own; "": it is.
func (e runEnd) reason() string {
	if e.left {
		return "" // the survivors are named elsewhere
	}
	if e.notStarted != 0 {
		return "was " + printable(string(e.cause)) // "not started: …"
	}
	switch e.cause {
	case foster.CauseExpired:
		return "was stopped: its lease was over"
	case foster.CauseWatchdog:
		return "was stopped: it didn't call its watchdog in time"
	case foster.CauseLeaderLostFail:
		return "failed: its main process exited while others were running"
	}
	return ""
}

// endOfExit is the end of a run of this program's own.
func endOfExit(e foster.Exit) runEnd {
	return runEnd{cause: e.Cause, leader: e.Leader, released: e.Released, left: len(e.Survivors) > 0}
}

// endOfLife is the end of a tree as its shim or the journal tells it.
func endOfLife(l *wire.Life) runEnd {
	e := runEnd{cause: foster.Cause(l.Cause), released: l.End.Released, left: len(l.End.Survivors) > 0}
	if l.LeaderDone {
		e.leader = statusOf(l.LeaderEnd.Status)
	}
	return e
}

func statusOf(w syscall.WaitStatus) foster.Status {
	if w.Signaled() {
		return foster.Status{Known: true, Signal: w.Signal(), Core: w.CoreDump()}
	}
	return foster.Status{Known: true, Code: w.ExitStatus()}
}

// endOfInstance is the end of the last run of an application's instance.
func endOfInstance(i client.Instance) runEnd {
	x := i.Exit
	e := runEnd{cause: foster.Cause(x.Cause), released: foster.Cause(x.Cause) == foster.CauseReleased, left: len(i.Survivors) > 0, notStarted: x.StartStatus}
	switch {
	case x.Signal != "":
		sig, err := units.Signal(x.Signal)
		e.leader = foster.Status{Known: err == nil, Signal: sig, Core: x.Core}
	case x.Code != nil:
		e.leader = foster.Status{Known: true, Code: *x.Code}
	}
	return e
}
