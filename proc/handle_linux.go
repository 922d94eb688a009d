package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// Handle is a process that is held: its number stays its own to whoever goes by the
// handle.
type Handle struct {
	pid int
	f   *os.File
}

// open takes the handle before it looks who it is: what is read after that, of a
// process that is there still, is of the one that is held.
func open(id ID) (*Handle, error) {
	fd, err := sys.PidfdOpen(id.PID)
	if err == syscall.ESRCH || err == syscall.EINVAL {
		return nil, ErrGone // EINVAL: it's the number of a thread now
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	now, err := IDOf(id.PID)
	if errors.Is(err, ErrGone) || err == nil && now != id || sys.PidfdSignal(fd, 0) == syscall.ESRCH {
		sys.Close(fd)
		return nil, ErrGone
	}
	if err != nil {
		sys.Close(fd)
		return nil, err
	}
	f, err := sys.Watch(fd)
	if err != nil {
		sys.Close(fd)
		return nil, err
	}
	return &Handle{pid: id.PID, f: f}, nil
}

// Signal is [ID.Signal].
func (h *Handle) Signal(sig syscall.Signal) error {
	raw, err := h.f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = sys.PidfdSignal(int(fd), sig) }); err != nil {
		return err
	}
	switch sent {
	case nil:
		return nil
	case syscall.ESRCH:
		return fmt.Errorf("process %d: %w", h.pid, ErrGone)
	}
	return fmt.Errorf("signalling process %d: %w", h.pid, os.NewSyscallError("pidfd_send_signal", sent))
}

// Wait is [ID.Wait]. Several may wait by one handle.
func (h *Handle) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// A descriptor of its own, since a deadline is the descriptor's.
	fd, err := sys.Dup(sys.Descriptor(h.f))
	if err != nil {
		return err
	}
	own, err := sys.Watch(fd)
	if err != nil {
		sys.Close(fd)
		return err
	}
	defer own.Close()
	stop := context.AfterFunc(ctx, func() { _ = own.SetReadDeadline(time.Unix(1, 0)) }) // in the past
	defer stop()
	err = sys.AwaitReadable(own)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Close gives the handle up.
func (h *Handle) Close() error { return h.f.Close() }
