package pid1

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster"
)

// tiniOptions are the flags of tini 0.19.
var tiniOptions = []option{
	{'s', "", "", "register as a subreaper (always done)"},
	{'p', "", "SIGNAL", "signal that is sent to this process when its parent dies, as SIGKILL"},
	{'v', "", "", "tell more; up to three times"},
	{'w', "", "", "warn of each process that was adopted and reaped"},
	{'g', "", "", "forward signals to the process group of the program"},
	{'e', "", "STATUS", "exit with 0 in place of this status; may be repeated"},
	{'h', "", "", "print this"},
	{'l', "", "", "print the license"},
}

const (
	tiniVersion = "tini version 0.19.0 (foster init --compat tini)\n"
	tiniLicense = "This is foster (github.com/foster-init/foster), which takes the flags of tini and has no code of it.\n"
	tiniUsage   = `Usage: tini [OPTIONS] PROGRAM -- [ARGS] | --version
(this is foster init, with the command line of tini)

  --version: Show version and exit.
  -h: Show this help message and exit.
  -s: Register as a process subreaper (always done).
  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. "-p SIGKILL".
  -v: Generate more verbose output. Repeat up to 3 times.
  -w: Print a warning when processes are getting reaped.
  -g: Send signals to the child's process group.
  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0.
  -l: Show license and exit.

Environment: TINI_SUBREAPER, TINI_VERBOSITY, TINI_KILL_PROCESS_GROUP.
`
)

func newTini() *Options {
	return &Options{
		Dialect: Tini, Scope: foster.ScopeLeader, StopTimeout: foster.DefaultStopTimeout,
		Verbosity: warn, ShellScript: true,
	}
}

func parseTini(args []string, lookupEnv func(string) (string, bool)) (*Options, error) {
	o := newTini()
	if len(args) == 1 && args[0] == "--version" {
		o.Answer = tiniVersion
		return o, nil
	}
	rest, err := getopt(args, tiniOptions, false, o.setTini)
	if err != nil {
		return nil, err
	}
	o.Command = rest
	if _, ok := lookupEnv("TINI_KILL_PROCESS_GROUP"); ok {
		o.Scope = foster.ScopeGroup
	}
	if v, ok := lookupEnv("TINI_VERBOSITY"); ok {
		o.Verbosity = leadingNumber(v)
	}
	return o, nil
}

func (o *Options) setTini(f option, value string) error {
	if o.Answer != "" {
		return nil // tini has ended by now
	}
	switch f.short {
	case 'p':
		sig := unix.SignalNum(value)
		if sig == 0 {
			return fmt.Errorf("-p: %q is no signal: write SIGKILL or SIGTERM", value)
		}
		o.ParentDeath = syscall.Signal(sig)
	case 'v':
		o.Verbosity++
	case 'w':
		o.WarnReaped = true
	case 'g':
		o.Scope = foster.ScopeGroup
	case 'e':
		if err := o.addExitZero(value); err != nil {
			return fmt.Errorf("-e: %w", err)
		}
	case 'h':
		o.Answer = tiniUsage
	case 'l':
		o.Answer = tiniLicense
	}
	return nil
}

// leadingNumber reads a number as atoi(3) does: what follows it is passed over,
// and without one it is 0.
func leadingNumber(s string) level {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.Atoi(s[:end]) // 0 where there is none
	return level(max(0, min(n, int(trace))))
}
