package pid1

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/foster-init/foster"
)

// dumbInitOptions are the flags of dumb-init 1.2.
var dumbInitOptions = []option{
	{'h', "help", "", "print this"},
	{'c', "single-child", "", "no session of its own, and signals only for the child"},
	{'r', "rewrite", "S:R", "forward R in place of signal S, nothing where R is 0"},
	{'v', "verbose", "", "tell what is done"},
	{'V', "version", "", "print the version"},
}

const (
	dumbInitVersion = "dumb-init v1.2.5 (foster init --compat dumb-init)\n"
	dumbInitUsage   = `Usage: dumb-init [option] command [[arg] ...]
(this is foster init, with the command line of dumb-init)

   -c, --single-child   Run in single-child mode: no session of its own, and
                        signals are only for the direct child.
   -r, --rewrite s:r    Rewrite received signal s to new signal r before proxying.
                        To ignore (not proxy) a signal, rewrite it to 0.
                        This option can be specified multiple times.
   -v, --verbose        Print debugging information to stderr.
   -h, --help           Print this help message and exit.
   -V, --version        Print the current version and exit.

Environment: DUMB_INIT_DEBUG=1, DUMB_INIT_SETSID=0.
`
)

func newDumbInit() *Options {
	return &Options{
		Dialect: DumbInit, Scope: foster.ScopeLeader, Session: true, StopTimeout: foster.DefaultStopTimeout,
		Rewrite: map[syscall.Signal]syscall.Signal{}, ShellScript: true,
	}
}

func parseDumbInit(args []string, lookupEnv func(string) (string, bool)) (*Options, error) {
	o := newDumbInit()
	rest, err := getopt(args, dumbInitOptions, true, o.setDumbInit)
	if err != nil {
		return nil, err
	}
	o.Command = rest
	if o.Answer != "" {
		return o, nil
	}
	if v, ok := lookupEnv("DUMB_INIT_DEBUG"); ok && v == "1" {
		o.Verbosity = trace
	}
	if v, ok := lookupEnv("DUMB_INIT_SETSID"); ok && v == "0" {
		o.Session = false
	}
	if o.Session {
		o.Scope = foster.ScopeGroup
		o.stopForTerminal()
	}
	return o, nil
}

// stopForTerminal turns what a terminal stops a job with into SIGSTOP: in a session
// of its own the job is an orphaned group, which the kernel doesn't stop by the
// others.
func (o *Options) stopForTerminal() {
	for _, s := range terminalStops {
		if _, given := o.Rewrite[s]; !given {
			o.Rewrite[s] = syscall.SIGSTOP
		}
	}
}

func (o *Options) setDumbInit(f option, value string) error {
	if o.Answer != "" {
		return nil // dumb-init has ended by now
	}
	switch f.short {
	case 'h':
		o.Answer = dumbInitUsage
	case 'V':
		o.Answer, o.AnswerOnStderr = dumbInitVersion, true
	case 'c':
		o.Session = false
	case 'v':
		o.Verbosity = trace
	case 'r':
		from, to, ok := strings.Cut(value, ":")
		s, err1 := strconv.Atoi(from)
		r, err2 := strconv.Atoi(to)
		if !ok || err1 != nil || err2 != nil || s < 1 || s > 31 || r < 0 || r > 31 {
			return fmt.Errorf("-r: %q is not S:R, signals by number from 1 to 31, R also 0", value)
		}
		o.Rewrite[syscall.Signal(s)] = syscall.Signal(r)
	}
	return nil
}
