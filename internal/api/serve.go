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
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	own := &server{supervisor: s}
	h := newHTTP(life, guard(serving(own.table())))
	h.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return admit(ctx, c, l.group) }
	err := serve(ctx, h, end, l.sockets...)
	own.terminals.Wait()
	return errors.Join(err, l.Close())
}

func newHTTP(life context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: patience, MaxHeaderBytes: longestHeader,
		BaseContext: func(net.Listener) context.Context { return life },
		ErrorLog:    log.New(io.Discard, "", 0), // what a client does wrong is told to it
	}
}

// serve runs a server on some sockets until ctx is done.
func serve(ctx context.Context, h *http.Server, end func(), sockets ...net.Listener) error {
	failed := make(chan error, len(sockets))
	for _, s := range sockets {
		go func() { failed <- h.Serve(s) }()
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
