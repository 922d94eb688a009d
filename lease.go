package foster

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

// Lease is how long a tree may run. When it is over, the tree is stopped in the
// orderly way, with CauseExpired. The clock runs in the shim, also while the tree has
// no owner. The zero value is for ever.
type Lease struct {
	Time time.Duration // from the start; 0: for ever
	// Max bounds all extensions: no lease ends later than this after the start. 0:
	// there is no bound.
	Max time.Duration
	// Warn is how long before the end EventLeaseEnding tells of it; 0: not at all. It
	// does so again after each extension.
	Warn time.Duration
	// Signal is sent to the leader at that moment; 0: none.
	Signal syscall.Signal
	// Suspend counts the time that the machine is suspended (CLOCK_BOOTTIME in
	// clock_gettime(2)). Linux; elsewhere the system decides.
	Suspend bool
}

// longestTime bounds what can be asked for: 100 years.
const longestTime = 100 * 365 * 24 * time.Hour

func (l Lease) valid() error {
	switch {
	case l.Time < 0 || l.Max < 0 || l.Warn < 0:
		return fmt.Errorf("a lease is 0 or more: got %v, at most %v, warning %v before", l.Time, l.Max, l.Warn)
	case max(l.Time, l.Max) > longestTime:
		return fmt.Errorf("a lease is at most %v: got %v, at most %v; 0 is for ever", longestTime, l.Time, l.Max)
	case l.Signal != 0 && validSignal(l.Signal) != nil:
		return fmt.Errorf("Lease.Signal: %w", validSignal(l.Signal))
	case l.Time == 0 && (l.Max != 0 || l.Warn != 0 || l.Signal != 0):
		return fmt.Errorf("a lease without a time has no bound, no warning and no signal")
	case l.Max != 0 && l.Max < l.Time:
		return fmt.Errorf("a lease of %v is longer than its bound of %v", l.Time, l.Max)
	case l.Signal != 0 && l.Warn == 0:
		return fmt.Errorf("a lease's signal needs to know how long before the end it is sent: set Warn")
	case l.Warn >= l.Time && l.Warn != 0:
		return fmt.Errorf("a lease of %v can't be warned of %v before its end", l.Time, l.Warn)
	}
	return nil
}

// Extend has the lease of the tree end no sooner than d from now; a lease that runs
// longer isn't cut. The error wraps syscall.EINVAL where there is no lease, or d isn't
// more than 0 or more than Lease.Max leaves; syscall.EBUSY where the tree is being
// stopped; or it is ErrEnded. Nothing has changed then.
func (t *Tree) Extend(d time.Duration) error {
	_, err := t.request(request{kind: askExtend, time: max(d, 0)})
	return err
}

// Lease says how long the tree may still run, and whether there is a bound at all.
func (t *Tree) Lease() (left time.Duration, limited bool, err error) {
	s, err := t.status()
	if err != nil {
		return 0, false, err
	}
	return s.LeaseLeft, s.HasLease, nil
}

// Reaped says how many processes of the tree its shim has reaped until now, and how many of
// them were orphans that it had adopted; at the end, [Exit] has both. A shim of an older
// foster doesn't tell of orphans: 0. Once the tree has ended the error is ErrEnded.
func (t *Tree) Reaped() (reaped, adopted int, err error) {
	s, err := t.status()
	if err != nil {
		return 0, 0, err
	}
	return s.Reaped, s.Adopted, nil
}

func (t *Tree) status() (*wire.Status, error) {
	m, err := t.request(request{kind: askStatus})
	if err != nil {
		return nil, err
	}
	s, ok := m.(*wire.Status)
	if !ok {
		return nil, fmt.Errorf("%w: %T in place of a status", wire.ErrProtocol, m)
	}
	return s, nil
}

// notifies says whether the program is given a socket to tell of itself.
func (c *Cmd) notifies() bool { return c.Notify || c.Watchdog > 0 || c.Lease.Time > 0 }

// notifyEnv is the environment with what sd_notify(3) and sd_watchdog_enabled(3) look
// for.
func (c *Cmd) notifyEnv(env []string, socket string) []string {
	kept := env[:0:0]
	for _, e := range env {
		key, _, _ := strings.Cut(e, "=")
		if key != "NOTIFY_SOCKET" && key != "WATCHDOG_USEC" && key != "WATCHDOG_PID" {
			kept = append(kept, e)
		}
	}
	kept = append(kept, "NOTIFY_SOCKET=@"+socket)
	if c.Watchdog > 0 {
		kept = append(kept, "WATCHDOG_USEC="+strconv.FormatInt(c.Watchdog.Microseconds(), 10))
	}
	return kept
}
