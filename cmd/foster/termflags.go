package main

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// termFlags are those flags of foster run that say on whose behalf a tree runs, and for
// how long, as they were typed.
type termFlags struct {
	id, owner, grace                  string
	lease, leaseMax, leaseWarn        string
	leaseSignal, leaseClock, watchdog string
	output                            string // of --detach
	notify, detach, noRecover         bool
	monitor                           int
	ownerStart                        uint64
	held                              *heldOwner     // by --owner
	flags                             *pflag.FlagSet // which of them were typed
}

func (f *termFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	f.flags = fl
	fl.StringVar(&f.id, "id", "", "the `name` of the tree, for the other commands")
	fl.BoolVarP(&f.detach, "detach", "d", false, "run in the background, keep the output for foster attach")
	outputFlag(cmd, &f.output)
	fl.Lookup("output").Usage = "how --detach prints the name: text or json"
	fl.StringVar(&f.lease, "lease", "0", "stop the tree after this time, with status 124; 0: never")
	fl.StringVar(&f.leaseMax, "lease-max", "0", "the longest that the lease can be extended to, from the start; 0: any")
	fl.StringVar(&f.leaseWarn, "lease-warn", "0", "tell that the lease ends, this time before; 0: don't")
	fl.StringVar(&f.leaseSignal, "lease-signal", "", "the `signal` that the command gets then")
	fl.StringVar(&f.leaseClock, "lease-clock", "monotonic", "monotonic, or boottime to count suspended time, too")
	fl.StringVar(&f.watchdog, "watchdog", "0", "stop the tree if it doesn't send WATCHDOG=1 within each such time; 0: it need not")
	fl.BoolVar(&f.notify, "notify", false, "give the command a NOTIFY_SOCKET (sd_notify(3)); a lease or watchdog does so, too")
	fl.StringVar(&f.owner, "owner", "", "the `PID` of the process on whose behalf the tree runs, or parent: who started foster; else foster")
	fl.Uint64Var(&f.ownerStart, "owner-start", 0, "")
	_ = fl.MarkHidden("owner-start") // when the owner that --detach has found was started
	fl.StringVar(&f.grace, "grace", "0", "how long the tree outlives its owner, for another to claim it; 0: not at all")
	fl.BoolVar(&f.noRecover, "no-recover", false, "don't end what an earlier foster left")
	fl.IntVar(&f.monitor, "monitor", 0, "")
	_ = fl.MarkHidden("monitor") // the background half of --detach
	_ = cmd.RegisterFlagCompletionFunc("lease-clock",
		cobra.FixedCompletions([]string{"monotonic", "boottime"}, cobra.ShellCompDirectiveNoFileComp))
}

// apply sets what the flags say. Nothing is started.
func (f *termFlags) apply(c *foster.Cmd) error {
	if f.id != "" || f.flags.Changed("id") {
		if err := journal.ValidID(f.id); err != nil {
			return flagError("id", err)
		}
	}
	switch {
	case f.output != "text" && f.output != "json":
		return flagError("output", fmt.Errorf("%q is none of text, json", f.output))
	case f.flags.Changed("output") && !f.detach:
		return flagError("output", errors.New("it is for --detach: else the output is the command's"))
	case f.detach && f.flags.Changed("report"):
		return flagError("report", errors.New("in the background there is nobody to tell; foster wait gives the status"))
	}
	c.ID, c.Notify = f.id, f.notify
	c.KeepExit, c.KeepOutput = f.id != "" || f.monitor > 0, f.monitor > 0
	for _, t := range []struct {
		flag, text string
		to         *time.Duration
	}{
		{"lease", f.lease, &c.Lease.Time}, {"lease-max", f.leaseMax, &c.Lease.Max},
		{"lease-warn", f.leaseWarn, &c.Lease.Warn}, {"watchdog", f.watchdog, &c.Watchdog}, {"grace", f.grace, &c.Grace},
	} {
		d, err := units.Duration(t.text)
		if err == nil && d > longest {
			err = fmt.Errorf("%q is too long: at most 100 years", t.text)
		}
		if err != nil {
			return flagError(t.flag, err)
		}
		*t.to = d
	}
	if err := f.warning(c); err != nil {
		return err
	}
	if f.owner != "" {
		m, fd, err := holdNamed(f.owner)
		if err != nil {
			return err
		}
		f.held = &heldOwner{m, fd}
		if f.ownerStart != 0 && m.Start != f.ownerStart {
			return flagError("owner", errParentEnded)
		}
		c.Owner = m.PID
	}
	return nil
}

// heldOwner is a process that was found as the owner, and a handle on it.
type heldOwner struct {
	wire.Member
	fd int
}

// ended says whether it has ended: its number may be another's by now.
func (h *heldOwner) ended() bool {
	return h != nil && errors.Is(sys.PidfdSignal(h.fd, 0), syscall.ESRCH)
}

// handOn has the background half of --detach find the same owner.
func (f *termFlags) handOn() error {
	if f.held == nil {
		return nil
	}
	return errors.Join(f.flags.Set("owner", strconv.Itoa(f.held.PID)), f.flags.Set("owner-start", strconv.FormatUint(f.held.Start, 10)))
}

// longest bounds a time, so that no sum of times overflows.
const longest = 100 * 365 * 24 * time.Hour

// warning checks what depends on a lease.
func (f *termFlags) warning(c *foster.Cmd) error {
	l := &c.Lease
	switch f.leaseClock {
	case "monotonic":
	case "boottime":
		l.Suspend = true
	default:
		return flagError("lease-clock", fmt.Errorf("%q is none of monotonic, boottime", f.leaseClock))
	}
	if f.leaseSignal != "" {
		sig, err := units.Signal(f.leaseSignal)
		if err != nil {
			return flagError("lease-signal", err)
		}
		l.Signal = sig
	}
	switch {
	case l.Time == 0 && (l.Max > 0 || l.Warn > 0 || l.Signal > 0):
		return errors.New("--lease-max, --lease-warn and --lease-signal need --lease")
	case l.Max > 0 && l.Max < l.Time:
		return flagError("lease-max", fmt.Errorf("%v is shorter than the lease, %v", l.Max, l.Time))
	case l.Warn > 0 && l.Warn >= l.Time:
		return flagError("lease-warn", fmt.Errorf("%v is not before the end of a lease of %v", l.Warn, l.Time))
	case l.Signal > 0 && l.Warn == 0:
		return flagError("lease-signal", errors.New("it needs --lease-warn, the time before the end"))
	}
	return nil
}
