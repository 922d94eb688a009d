package foster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

var (
	// ErrShimLost says that the shim was killed, or has crashed, which the text then says. The tree was emptied where its
	// containment allows that without a shim; see the package's documentation. While
	// that goes on, it's the answer to whatever needs the shim.
	ErrShimLost = newError("the shim was lost")
	// ErrLeaderLost says that the leader ended while others of its tree lived on,
	// and that the policy for this was LossFail.
	ErrLeaderLost = newError("the leader was lost while others of its tree lived on")
	// ErrEnded says that the tree has ended, so there is nobody to act on. errors.Is takes
	// it for os.ErrProcessDone, too.
	ErrEnded = &libraryError{"the tree has ended", os.ErrProcessDone}
	// ErrNotReleasable says that the tree can't be let go: in a PID namespace, in a
	// group whose leader lives, or while it is being stopped.
	ErrNotReleasable = newError("the tree can't be released")
	// ErrTaken says that a living tree has the name.
	ErrTaken = newError("a living tree has that name")
	// ErrUnknown says that there is no tree of that name.
	ErrUnknown = newError("there is no such tree")
	// ErrOwned says that the tree has an owner, so it can't be claimed.
	ErrOwned = newError("the tree has an owner")
	// ErrExpired says that the lease was over, and the tree was stopped.
	ErrExpired = newError("the lease is over")
	// ErrWatchdog says that the program didn't call its watchdog in time, and the tree
	// was stopped.
	ErrWatchdog = newError("the watchdog wasn't called in time")
	// ErrOwnerGone says that the owner was gone, and the tree was stopped.
	ErrOwnerGone = newError("the owner is gone")
	// ErrNoAnswer says that a tree's shim hasn't answered: it is stopped, by SIGSTOP or a
	// debugger, which is told within a few seconds; or it hangs in the kernel, which is told
	// after 10 s. What was asked for may be done yet.
	ErrNoAnswer = newError("the tree's shim doesn't answer")
	// ErrStarted says that a Cmd was started before; a Cmd is used once.
	ErrStarted = newError("already started")
	// ErrNotStarted says that a Tree is none that Start or Attach has given.
	ErrNotStarted = newError("not started: a Tree is given by Cmd.Start or Attach")
)

// libraryError is an error of this package that others compare with.
type libraryError struct {
	text string
	is   error // the error of the standard library that means the same; nil: none does
}

func newError(text string) error { return &libraryError{text: text} }

func (e *libraryError) Error() string        { return prefix + e.text }
func (e *libraryError) Is(target error) bool { return e.is != nil && target == e.is }

// prefix begins each error that this package makes.
const prefix = "foster: "

// named is the text of an error with the prefix, once.
func named(text string) string {
	return prefix + strings.ReplaceAll(strings.TrimPrefix(text, prefix), ": "+prefix, ": ")
}

// fromLibrary has the text of an error begin with the prefix.
type fromLibrary struct{ err error }

func (e *fromLibrary) Error() string { return named(e.err.Error()) }
func (e *fromLibrary) Unwrap() error { return e.err }

// Stage is the step of a start that failed.
type Stage string

const (
	StageLookup      Stage = "lookup"      // the program wasn't found, or isn't executable
	StageConfig      Stage = "config"      // a field of Cmd has no meaning
	StageFiles       Stage = "files"       // descriptors, pipes, the working directory
	StageContainment Stage = "containment" // what was asked for can't be had
	StageShim        Stage = "shim"        // the shim couldn't be started, or failed
	StageJournal     Stage = "journal"     // the tree can't be named, or found by others
	StageNotify      Stage = "notify"      // the socket on which the program tells of itself
	StageLimits      Stage = "limits"      // the limits of its cgroup
	StageFork        Stage = "fork"
	StageDir         Stage = "chdir"
	StageRlimit      Stage = "rlimit"
	StageCredential  Stage = "credential"
	StageExec        Stage = "exec"
	StageAttributes  Stage = "attributes" // Chroot, AmbientCaps, or namespaces
)

// StartError is a start that failed. Nothing of it is left. Err is what the
// system said: errors.Is finds fs.ErrNotExist, fs.ErrPermission, syscall.ETXTBSY
// and the like in it. As with os/exec, errors.As finds an *exec.Error where the program
// wasn't found in PATH, and an *fs.PathError where the system refused to run it or to
// enter Cmd.Dir.
type StartError struct {
	Stage Stage
	Path  string // of the program
	Err   error

	dir string // of the Cmd
}

func (e *StartError) Error() string {
	switch e.Stage {
	case StageLookup, StageConfig:
		return named(e.Err.Error()) // it names the program or the field
	case StageExec:
		return named(fmt.Sprintf("exec %s: %v", e.Path, e.Err))
	case StageDir:
		return named(fmt.Sprintf("start %s: chdir %s: %v", e.Path, e.dir, e.Err))
	}
	return named(fmt.Sprintf("start %s: %s: %v", e.Path, e.Stage, e.Err))
}

func (e *StartError) Unwrap() error { return e.Err }

// As gives the *fs.PathError that os/exec would have returned.
func (e *StartError) As(target any) bool {
	to, ok := target.(**fs.PathError)
	if !ok || errors.As(e.Err, to) {
		return ok
	}
	switch e.Stage {
	case StageFork, StageExec, StageCredential:
		*to = &fs.PathError{Op: "fork/exec", Path: e.Path, Err: e.Err}
	case StageDir:
		*to = &fs.PathError{Op: "chdir", Path: e.dir, Err: e.Err}
	default:
		return false
	}
	return true
}

// Survivor is a process that couldn't be ended.
type Survivor struct {
	PID   int    // 0 where it can't be seen
	Name  string // of its program; "unknown" where it can't be seen
	State string // as in ps(1); "D" waits in the kernel and can't be interrupted
	Err   error  // why it couldn't be signalled: syscall.EPERM for another user's
}

func (s Survivor) String() string {
	text := s.Name
	if s.PID != 0 {
		text = fmt.Sprintf("%s (pid %d)", s.Name, s.PID)
	}
	switch {
	case errors.Is(s.Err, syscall.EPERM):
		return text + ": it belongs to another user"
	case s.Err != nil:
		return text + ": " + s.Err.Error()
	case s.State == "D":
		return text + ": it waits in the kernel and can't be interrupted"
	}
	return text
}

// SurvivorsError names the processes that were left when a tree was stopped.
type SurvivorsError struct {
	Survivors []Survivor
}

func (e *SurvivorsError) Error() string {
	names := make([]string, len(e.Survivors))
	for i, s := range e.Survivors {
		names[i] = s.String()
	}
	return prefix + "couldn't be ended: " + strings.Join(names, "; ")
}

// UnprovenError names processes that may be left of a lost tree.
type UnprovenError struct {
	Unproven []Unproven
}

// Error is one phrase for each thing that the processes share with the tree.
func (e *UnprovenError) Error() string {
	var shared []string
	names := map[string][]string{}
	for _, u := range e.Unproven {
		if names[u.In] == nil {
			shared = append(shared, u.In)
		}
		names[u.In] = append(names[u.In], fmt.Sprintf("%s (pid %d)", u.Name, u.PID))
	}
	for i, in := range shared {
		shared[i] = fmt.Sprintf("members of the %s that foster can't prove to be its own: %s", in, strings.Join(names[in], ", "))
	}
	return "may be left: " + strings.Join(shared, "; ")
}

// ExitError is a run that didn't end well: the leader's status isn't 0, or Err
// says what else went wrong.
type ExitError struct {
	Exit
	// Err is nil where the leader's status says it all. Otherwise errors.Is and
	// errors.As find in it what happened: the context's error, ErrLeaderLost,
	// ErrShimLost, a *SurvivorsError, the error of a Stdout or Stderr that couldn't
	// be written.
	Err error
	// Stderr is what the program wrote to its standard error, where the run was by Output
	// and Cmd.Stderr was nil: of more than 64 KiB, the first and the last 32 KiB, and
	// between them a line that says how much is left out.
	Stderr []byte
}

// Error is the leader's status, as with os/exec, where that says it all.
func (e *ExitError) Error() string {
	leader := e.Leader.String()
	if e.OOMKills > 0 {
		leader += " (out of memory)"
	}
	switch {
	case e.Err == nil:
		return leader
	case e.Leader.Success():
		return named(e.Err.Error())
	}
	return named(leader + ": " + named(e.Err.Error()))
}

func (e *ExitError) Unwrap() error { return e.Err }

// As gives the *exec.ExitError that os/exec would have returned: where the leader is known
// to have ended, and not with 0. Its ProcessState has the leader's PID, status, times and
// MaxRSS. A Go release whose os.ProcessState has other fields gives none.
func (e *ExitError) As(target any) bool {
	to, ok := target.(**exec.ExitError)
	if !ok || !e.Leader.Known || e.Leader.Success() {
		return false
	}
	state := sys.ProcessState(e.LeaderPID, e.Leader.wait(), e.LeaderUsage.rusage())
	if state == nil {
		return false
	}
	*to = &exec.ExitError{ProcessState: state, Stderr: e.Stderr}
	return true
}
