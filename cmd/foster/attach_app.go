package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/sys"
)

// seat is this terminal, connected with that of an application.
type seat struct {
	stdin, stdout, stderr *os.File
	terminal              *client.Terminal
}

// The keys that detach, as docker has them.
const (
	firstKey  = 'P' & 0x1f
	secondKey = 'Q' & 0x1f
)

var errDetached = errors.New("detached")

func (s *seat) attach(ctx context.Context, o *ownedBy) (err error) {
	name := o.aim.App
	s.terminal, err = o.Terminal(ctx, o.aim.App, o.aim.Replica)
	if errors.Is(err, client.ErrNoTerminal) {
		return refusalError{hinted{fmt.Errorf("%s: %w", name, client.ErrNoTerminal),
			"\"terminal: true\" in foster.yaml gives it one; foster logs --follow " + name + " shows its output"}}
	}
	if err != nil {
		return err
	}
	defer s.terminal.Close()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGWINCH)
	defer signal.Stop(signals)
	if sys.IsTerminal(s.stdin) {
		mode, err := sys.Mode(s.stdin)
		if err == nil {
			err = sys.SetRaw(s.stdin)
		}
		if err != nil {
			return fmt.Errorf("set the terminal: %w", err)
		}
		fmt.Fprintf(s.stderr, "foster: attached to %s; Ctrl-P Ctrl-Q detaches\r\n", printable(name))
		defer func() { _ = sys.SetMode(s.stdin, mode) }() // a terminal that's gone needs no mode
	}
	if err = s.run(signals); errors.Is(err, errDetached) {
		fmt.Fprintf(s.stderr, "\r\nfoster: detached from %s, which goes on\r\n", printable(name))
		return nil
	}
	return err
}

// run copies both ways until the application, or this side, ends it.
func (s *seat) run(signals <-chan os.Signal) error {
	s.resize()
	shown, typed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := io.Copy(s.stdout, s.terminal)
		shown <- err
	}()
	go func() { typed <- s.types() }()
	for {
		select {
		case err := <-shown:
			if errors.Is(err, client.ErrNotRunning) {
				return fmt.Errorf("foster up has ended: %w", err)
			}
			return err
		case err := <-typed:
			if err != nil {
				return err
			}
			typed = nil // nobody types any more; what it shows is shown to the end
		case sig := <-signals:
			if sig != syscall.SIGWINCH {
				return errDetached
			}
			s.resize()
		}
	}
}

// resize tells the application how large this terminal is.
func (s *seat) resize() {
	if rows, columns, err := sys.WindowSize(s.stdout); err == nil && rows > 0 && columns > 0 {
		_ = s.terminal.Resize(uint16(columns), uint16(rows)) // where it is gone, reading tells so
	}
}

// types passes on what is typed, but for the keys that detach.
func (s *seat) types() error {
	var keys detachKeys
	buffer := make([]byte, 4096)
	for {
		n, err := s.stdin.Read(buffer)
		out, detach := keys.pass(buffer[:n])
		if len(out) > 0 {
			if _, werr := s.terminal.Write(out); werr != nil {
				return nil // reading tells why
			}
		}
		switch {
		case detach:
			return errDetached
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// detachKeys finds the two keys, also where they come one at a time.
type detachKeys struct{ first bool }

// pass gives what is for the application.
func (d *detachKeys) pass(typed []byte) (out []byte, detach bool) {
	for _, b := range typed {
		switch {
		case d.first && b == secondKey:
			return out, true
		case d.first:
			out = append(out, firstKey)
		}
		if d.first = b == firstKey; !d.first {
			out = append(out, b)
		}
	}
	return out, false
}
