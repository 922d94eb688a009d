package api

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// bounds of what a client can make the server hold.
const (
	longestBody   = 1 << 20
	longestHeader = 64 << 10
	patience      = 10 * time.Second // for the headers of a request
)

// farewell is how long those who are being answered have, when the server ends, before
// their connections are closed.
const farewell = 2 * time.Second

// server answers for one supervisor.
type server struct {
	supervisor Supervisor
	terminals  sync.WaitGroup // their connections have left HTTP
}

// Serve answers who connects until ctx is done, and then lets those who are being
// answered have their answer. It closes the listener.
func Serve(ctx context.Context, l *Listener, s Supervisor) error {
	life, fail := context.WithCancelCause(ctx)
	own := &server{supervisor: s}
	handler := guard(serving(own.table()))
	var doors sync.WaitGroup
	l.serveDoors(func(d *door) {
		open, end := context.WithCancel(life)
		d.end = end
		doors.Go(func() {
			if err := answer(open, handler, d.group, d.socket); open.Err() == nil {
				fail(err)
			}
		})
	})
	err := answer(life, handler, -1, l.socket)
	if life.Err() != nil && ctx.Err() == nil {
		err = errors.Join(err, context.Cause(life))
	}
	fail(nil)
	l.serveDoors(nil)
	doors.Wait()
	own.terminals.Wait()
	return errors.Join(err, l.Close())
}

// serveDoors has the door of the group that is let in, and of those to come, served.
func (l *Listener) serveDoors(attend func(*door)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.attend = attend; attend != nil && l.door != nil {
		attend(l.door)
	}
}

// answer answers who connects to a socket, where that is the user, root or a member of the
// group; -1: none.
func answer(ctx context.Context, handler http.Handler, group int, socket net.Listener) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	h := newHTTP(life, handler)
	known := h.ConnContext
	h.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return admit(known(ctx, c), c, group) }
	return serve(ctx, h, end, socket)
}

func newHTTP(life context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: longestHeader,
		BaseContext: func(net.Listener) context.Context { return life },
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				setHeard(c, false)
			}
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, crowdKey{}, c) },
		ErrorLog:    log.New(io.Discard, "", 0), // what a client does wrong is told to it
	}
}

// serve runs a server on some sockets until ctx is done.
func serve(ctx context.Context, h *http.Server, end func(), sockets ...net.Listener) error {
	failed := make(chan error, len(sockets))
	for _, s := range sockets {
		go func() { failed <- h.Serve(newCrowd(s, mostConns)) }()
	}
	var errs []error
	left := len(sockets)
	select {
	case <-ctx.Done():
	case err := <-failed:
		left--
		errs = append(errs, err)
	}
	late := time.AfterFunc(farewell/2, end) // of the streams, which else go on
	defer late.Stop()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if h.Shutdown(bounded) != nil {
		_ = h.Close() // who doesn't read is cut off
	}
	end()
	for range left {
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
