package pid1

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/units"
)

// nativeOptions are the flags of foster's own dialect.
var nativeOptions = []option{
	{0, "until", "WORD", "what ends the run: leader (the command) or tree (the last process)"},
	{0, "stop-signal", "SIGNAL", "from this signal on the command has --stop-timeout left; may be repeated"},
	{0, "stop-timeout", "TIME", "how long a stop waits before SIGKILL; 0: not at all"},
	{'r', "rewrite", "S:R", "forward R in place of signal S, nothing where R is 0; may be repeated"},
	{'g', "group", "", "forward signals to the process group of the command"},
	{'e', "exit-zero-on", "STATUS", "exit with 0 in place of this status; may be repeated"},
	{'v', "verbose", "", "tell what is done; twice: each signal and process"},
	{0, "compat", "NAME", "as first flag: what follows is the command line of tini or dumb-init"},
	{'h', "help", "", "print this"},
}

// nativeDefaults are the values that the usage names.
var nativeDefaults = map[string]string{"until": "leader", "stop-signal": "TERM", "stop-timeout": "10s"}

func newNative() *Options {
	return &Options{
		Dialect:     Native,
		StopTimeout: foster.DefaultStopTimeout,
		Scope:       foster.ScopeLeader,
		Rewrite:     map[syscall.Signal]syscall.Signal{},
		Verbosity:   warn,
	}
}

func parseNative(args []string) (*Options, error) {
	o := newNative()
	rest, err := getopt(args, nativeOptions, false, func(f option, value string) error {
		if err := o.setNative(f.long, value); err != nil {
			return fmt.Errorf("--%s: %w", f.long, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if o.StopSignals == nil {
		o.StopSignals = []syscall.Signal{syscall.SIGTERM}
	}
	o.Command = rest
	return o, nil
}

func (o *Options) setNative(name, value string) (err error) {
	switch name {
	case "until":
		if value != "leader" && value != "tree" {
			return fmt.Errorf("%q is none of leader, tree", value)
		}
		o.UntilTree = value == "tree"
	case "stop-signal":
		s, err := forwardedSignal(value)
		if err != nil {
			return err
		}
		o.StopSignals = append(o.StopSignals, s)
	case "stop-timeout":
		o.StopTimeout, err = units.Duration(value)
	case "rewrite":
		return o.addRewrite(value)
	case "group":
		o.Scope = foster.ScopeGroup
	case "exit-zero-on":
		return o.addExitZero(value)
	case "verbose":
		o.Verbosity++
	case "compat":
		if value == "tini" || value == "dumb-init" {
			return fmt.Errorf("it stands before all other flags")
		}
		return fmt.Errorf("%q is none of tini, dumb-init", value)
	case "help":
		o.Answer = Usage()
	}
	return err
}

// forwardedSignal reads a signal that an init gets and can forward.
func forwardedSignal(s string) (syscall.Signal, error) {
	sig, err := units.Signal(s)
	if err == nil && !forwarded(sig) {
		err = fmt.Errorf("%s isn't forwarded: %s", units.SignalName(sig), whyNot(sig))
	}
	return sig, err
}

func (o *Options) addRewrite(value string) error {
	from, to, ok := strings.Cut(value, ":")
	if !ok {
		return fmt.Errorf("%q is not S:R: write TERM:INT, or TERM:0 to ignore it", value)
	}
	s, err := forwardedSignal(from)
	if err != nil {
		return err
	}
	if to == "0" {
		o.Rewrite[s] = 0
		return nil
	}
	o.Rewrite[s], err = units.Signal(to)
	return err
}

func (o *Options) addExitZero(value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 255 {
		return fmt.Errorf("%q is no exit status: they go from 0 to 255", value)
	}
	o.ExitZero[n] = true
	return nil
}

// Usage is the help of foster's own dialect.
func Usage() string {
	var b strings.Builder
	b.WriteString("Run a command as its init: forward signals to it, reap what it leaves behind.\n\n" +
		"Usage:\n  foster init [flags] -- command [argument…]\n\nFlags:\n")
	for _, o := range nativeOptions {
		short := "    "
		if o.short != 0 {
			short = "-" + string(o.short) + ", "
		}
		name := o.long
		if o.takes != "" {
			name += " " + o.takes
		}
		fmt.Fprintf(&b, "  %s--%-22s %s", short, name, o.usage)
		if d := nativeDefaults[o.long]; d != "" {
			fmt.Fprintf(&b, " (default %s)", d)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
