package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ID is the identity of a process: its number is given to another when it is gone,
// but not with the same start, in the same boot. IDs can be compared by ==.
type ID struct {
	PID int
	// Start is when it was started: in hundredths of a second after boot on Linux,
	// in microseconds after 1970 on macOS.
	Start uint64
	// Boot names the boot of the machine.
	Boot string
}

// ErrGone says that a process has ended and was reaped, or that another has its
// number. [errors.Is] finds [os.ErrProcessDone] in it too.
var ErrGone error = gone{}

type gone struct{}

func (gone) Error() string { return "the process is gone" }

func (gone) Is(target error) bool { return target == os.ErrProcessDone }

// IDOf gives the identity of the process that has a number now.
func IDOf(pid int) (ID, error) {
	p, err := Read(pid, 0)
	if err != nil {
		return ID{}, err
	}
	return p.ID(), nil
}

// String is PID.START.BOOT, for [ParseID].
func (id ID) String() string {
	return strconv.Itoa(id.PID) + "." + strconv.FormatUint(id.Start, 10) + "." + id.Boot
}

var errNoID = errors.New("not the identity of a process: want PID.START.BOOT")

// ParseID reads what [ID.String] gave.
func ParseID(s string) (ID, error) {
	first, rest, ok1 := strings.Cut(s, ".")
	second, boot, ok2 := strings.Cut(rest, ".")
	pid, err1 := strconv.ParseUint(first, 10, 31)
	start, err2 := strconv.ParseUint(second, 10, 64)
	id := ID{PID: int(pid), Start: start, Boot: boot}
	if !ok1 || !ok2 || err1 != nil || err2 != nil || pid == 0 || boot == "" || id.String() != s {
		return ID{}, fmt.Errorf("%q: %w", s, errNoID)
	}
	return id, nil
}

// MarshalText is String, for encoding/json and others.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseID].
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Open holds the process, so that several things can be asked of it. It fails with
// [ErrGone] where the process was reaped. A zombie can be opened. On Linux the
// handle is a pidfd (pidfd_open(2), Linux 5.3); elsewhere there is no such thing,
// and each use of the handle checks the identity again.
func (id ID) Open() (*Handle, error) {
	h, err := open(id)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", id.PID, err)
	}
	return h, nil
}

// Signal sends a signal to this very process; 0 only asks whether it may. Errors are
// [ErrGone], also for a zombie that was reaped meanwhile, and [os.ErrPermission].
// Where there is no pidfd, a process that ends in the moment between the check and
// the signal might have its number given to another.
func (id ID) Signal(sig syscall.Signal) error {
	h, err := id.Open()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Signal(sig)
}

// Wait waits until the process has ended, a child of the caller or not, without
// polling and without a thread of its own on Linux. It reaps nothing: a zombie has
// ended. It returns nil then, and also where the process was gone before; else the
// cause of ctx.
func (id ID) Wait(ctx context.Context) error {
	h, err := id.Open()
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Wait(ctx)
}

// Alive says whether the process is there and hasn't ended.
func (id ID) Alive() bool {
	p, err := Read(id.PID, 0)
	return err == nil && p.ID() == id && !p.Zombie()
}
