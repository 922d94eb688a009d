package pid1

import (
	"fmt"
	"syscall"
	"time"

	"github.com/foster-init/foster"
)

// Dialect is whose command line and statuses are spoken.
type Dialect uint8

const (
	Native Dialect = iota + 1
	Tini
	DumbInit
)

func (d Dialect) usageStatus() int {
	if d == Native {
		return exitUsage
	}
	return 1
}

// Options are what a command line asks for, in any dialect.
type Options struct {
	Dialect Dialect
	Command []string // the program and its arguments

	UntilTree   bool             // wait for all descendants, not only for the command
	StopSignals []syscall.Signal // from the first of them on, the command has StopTimeout left
	StopTimeout time.Duration    // also of what the command leaves behind; 0: SIGKILL at once
	Scope       foster.Scope     // whom forwarded signals are for: the leader, or its group
	Session     bool             // the command leads a session of its own
	Rewrite     map[syscall.Signal]syscall.Signal
	ExitZero    [256]bool      // statuses that are told as 0
	ParentDeath syscall.Signal // sent to the init when its parent dies; 0: none
	WarnReaped  bool           // tell of each orphan that was reaped
	Verbosity   level
	ShellScript bool // a file without a first line that names an interpreter is for /bin/sh

	// Answer, where it isn't empty, is all that is to be done: print it.
	Answer         string
	AnswerOnStderr bool
}

// UsageError is a command line that can't be understood. Nothing was started.
type UsageError struct {
	Dialect Dialect
	Text    string
	Hint    string
}

func (e *UsageError) Error() string { return e.Text }

// Parse reads a command line, without the program's name.
func Parse(d Dialect, args []string, lookupEnv func(string) (string, bool)) (*Options, *UsageError) {
	var o *Options
	var err error
	hint := ""
	switch d {
	case Tini:
		o, err = parseTini(args, lookupEnv)
	case DumbInit:
		o, err = parseDumbInit(args, lookupEnv)
	default:
		if compat, rest, ok := compatDialect(args); ok {
			return Parse(compat, rest, lookupEnv)
		}
		o, err = parseNative(args)
		hint = "foster init -- ./server"
	}
	if err == nil && o.Answer == "" && len(o.Command) == 0 {
		err = errNoCommand
	}
	if err != nil {
		return nil, &UsageError{Dialect: d, Text: err.Error(), Hint: hint}
	}
	return o, nil
}

var errNoCommand = fmt.Errorf("no command was given")

// compatDialect finds --compat, which can stand only in the first place, since
// what follows it is another program's command line.
func compatDialect(args []string) (d Dialect, rest []string, ok bool) {
	if len(args) > 0 && args[0] == "--compat" && len(args) > 1 {
		args = append([]string{"--compat=" + args[1]}, args[2:]...)
	}
	if len(args) == 0 {
		return 0, nil, false
	}
	switch args[0] {
	case "--compat=tini":
		return Tini, args[1:], true
	case "--compat=dumb-init":
		return DumbInit, args[1:], true
	}
	return 0, nil, false
}
