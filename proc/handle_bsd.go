//go:build darwin || freebsd

package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// Handle is the identity of a process, which is checked at each use: there is no
// descriptor of a process here.
type Handle struct{ id ID }

func open(id ID) (*Handle, error) {
	now, err := IDOf(id.PID)
	if errors.Is(err, ErrGone) || err == nil && now != id {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	return &Handle{id}, nil
}

// Signal is [ID.Signal].
func (h *Handle) Signal(sig syscall.Signal) error {
	_, err := open(h.id)
	if err == nil {
		err = sys.Kill(h.id.PID, sig)
	}
	if err == syscall.ESRCH {
		err = ErrGone
	}
	if err != nil {
		return fmt.Errorf("signalling process %d: %w", h.id.PID, err)
	}
	return nil
}

// Wait is [ID.Wait]. Several may wait by one handle.
func (h *Handle) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer func() {
		if stop() {
			w.Close()
		}
	}()
	ended, err := sys.AwaitExitOr(h.id.PID, r, func() bool {
		now, err := Read(h.id.PID, 0)
		return err != nil || now.ID() != h.id || now.Zombie()
	})
	if err == nil && !ended {
		return context.Cause(ctx)
	}
	return err
}

// Close gives the handle up.
func (h *Handle) Close() error { return nil }
