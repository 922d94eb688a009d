package main

// How foster talks to people, in all its commands:
//
//   - what foster says goes to standard error and begins with "foster: ", in lower
//     case; standard output is the application's, or the answer that was asked for;
//   - an error is one line that names what was wrong, with its file and line, flag or
//     argument, and what was expected; where something can be done about it, a
//     second line says so, beginning with "hint: ";
//   - no stack trace, no internal name; a name that comes from a process is escaped,
//     so that it can't fool a terminal;
//   - exit statuses are those of docker and timeout(1), and 2 for a command line that is
//     wrong, by the shell's convention: see the constants below.

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/escape"
	"github.com/foster-init/foster/internal/supervise"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// Exit statuses. All else is the application's: its code, or 128 and the number of
// the signal that ended it.
const (
	exitUsage     = 2   // the command line is wrong; nothing was started
	exitRefused   = 1   // there is no such tree, or it doesn't do what was asked
	exitSurvivors = 123 // something of the tree couldn't be ended
	exitTimeout   = 124 // the lease was over, or the watchdog wasn't called in time
	exitFoster    = 125 // foster itself failed
	exitCannotRun = 126 // the program can't be executed
	exitNotFound  = 127 // the program wasn't found
)

// usageError is a command line that can't be understood.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// statusError ends foster with a status, and says nothing more.
type statusError int

func (e statusError) Error() string { return "exit status " + strconv.Itoa(int(e)) }

// hinted is an error with a line on what to do.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// complain tells of an error, and gives the exit status.
func complain(stderr io.Writer, err error) int {
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	if c, ok := config.IsError(err); ok {
		tellProblems(stderr, c)
		if _, ok := errors.AsType[unchangedError](err); ok {
			fmt.Fprintln(stderr, "foster: nothing was changed")
		}
		return exitUsage
	}
	text := units.ErrorText(err)
	fmt.Fprintln(stderr, "foster: "+printable(text))
	if hint := hintOf(err); hint != "" {
		first, more, _ := strings.Cut(hint, "\n")
		fmt.Fprintln(stderr, "hint: "+printable(first))
		for line := range strings.Lines(more) { // an example
			fmt.Fprintln(stderr, printable(strings.TrimSuffix(line, "\n")))
		}
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[refusalError](err); ok {
		return exitRefused
	}
	if _, ok := errors.AsType[survivedError](err); ok {
		return exitSurvivors
	}
	if _, ok := errors.AsType[*foster.SurvivorsError](err); ok {
		return exitSurvivors
	}
	return supervise.StartStatus(err)
}

// hintOf is what an error says can be done about it; "": nothing.
func hintOf(err error) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	if e, ok := errors.AsType[*client.NoAnswerError](err); ok {
		return e.Hint()
	}
	if e, ok := errors.AsType[*sys.LimitError](err); ok {
		return e.Hint()
	}
	if e, ok := errors.AsType[*control.SilentError](err); ok {
		return e.Hint()
	}
	if e, ok := errors.AsType[*heldError](err); ok {
		return e.by.Remedy()
	}
	return ""
}

// printable escapes what could fool a terminal.
func printable(s string) string {
	return escape.Text(s)
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
