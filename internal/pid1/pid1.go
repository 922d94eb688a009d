// Package pid1 is an init: it runs one command as a child of this very process,
// forwards signals to it, reaps all that it leaves behind, ends what is left in an
// orderly way, and exits with the command's status. It is meant for the first
// process of a container, and works anywhere else as a subreaper.
//
// Its command line has three dialects, foster's own, tini's and dumb-init's; each
// parser is a pure function to one [Options]. What a signal means is a pure
// function as well (signals.go). The runner (runner.go) does what they say by
// means of package foster, whose shim serves inside of this process.
//
// Once the command runs, nothing that goes wrong here ends the init: a panic of
// its loop is told and passed over, what it has to say is dropped where nobody
// reads it, and the proof that a tree is empty needs no file. Two things can't be
// survived: Go's runtime running out of memory, and SIGKILL from outside. The
// kernel then ends all of the container.
package pid1

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/foster-init/foster/internal/escape"
	"github.com/foster-init/foster/internal/sys"
)

// Exit statuses of foster's own dialect, those of foster run.
const (
	exitUsage     = 2
	exitSurvivors = 123
	exitFoster    = 125
	exitCannotRun = 126
	exitNotFound  = 127
)

// CalledAs gives the dialect that a program's name asks for.
func CalledAs(argv0 string) (Dialect, bool) {
	switch filepath.Base(argv0) {
	case "tini", "tini-static":
		return Tini, true
	case "dumb-init":
		return DumbInit, true
	}
	return Native, false
}

// Main is the whole program: it parses args, runs the command and gives the exit
// status.
func Main(d Dialect, args []string, stdin, stdout, stderr *os.File) int {
	if sys.IsElevated() {
		return failed(d, stderr, sys.ErrElevated)
	}
	o, err := Parse(d, args, os.LookupEnv)
	if err != nil {
		return refuse(stderr, err)
	}
	if o.Answer != "" {
		return answer(o, stdout, stderr)
	}
	runtime.GOMAXPROCS(1) // less threads and memory; there is nothing to compute
	if err := errors.Join(sys.ReserveThreads(ownThreads), sys.RoomForFiles(ownFiles)); err != nil {
		return failed(d, stderr, err)
	}
	return newRunner(o, stdin, stdout, stderr).run()
}

// What an init needs before its command runs: the Go runtime would end it by a fatal error
// later. Its command is one more process.
const ownThreads, ownFiles = 5, 12

// failed tells why the command can't be run.
func failed(d Dialect, stderr io.Writer, err error) int {
	text := prefix(d, fatal) + escape.Text(err.Error()) + "\n"
	if l, ok := errors.AsType[*sys.LimitError](err); ok {
		text += "hint: " + l.Hint() + "\n"
	}
	if errors.Is(err, sys.ErrElevated) {
		text += "hint: " + sys.ElevatedHint + "\n"
	}
	_, _ = io.WriteString(stderr, text) // the status says it, too
	if d == Native {
		return exitFoster
	}
	return 1
}

// refuse tells of a command line that can't be understood.
func refuse(stderr io.Writer, err *UsageError) int {
	text := prefix(err.Dialect, fatal) + escape.Text(err.Text) + "\n"
	if err.Hint != "" {
		text += "hint: " + escape.Text(err.Hint) + "\n"
	}
	_, _ = io.WriteString(stderr, text) // the status says it, too
	return err.Dialect.usageStatus()
}

// answer prints what was asked for in place of running a command.
func answer(o *Options, stdout, stderr io.Writer) int {
	to := stdout
	if o.AnswerOnStderr {
		to = stderr
	}
	if _, err := io.WriteString(to, o.Answer); err != nil {
		return 1
	}
	return 0
}
