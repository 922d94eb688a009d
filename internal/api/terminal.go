package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/frames"
	"github.com/foster-init/foster/internal/units"
)

// terminal leaves HTTP and connects a client to an application's terminal.
func (s *server) terminal(w http.ResponseWriter, r *http.Request) error {
	app, replica, err := instance(r)
	if err != nil {
		return err
	}
	if !upgrades(r) {
		w.Header().Set("Upgrade", frames.Protocol)
		refuse(w, http.StatusUpgradeRequired, client.RequestError{
			Text: "a terminal isn't told in HTTP: Upgrade: " + frames.Protocol + " was expected", Hint: "foster attach " + app,
		})
		return nil
	}
	t, err := s.supervisor.Terminal(app, replica)
	if err != nil {
		return err
	}
	life := r.Context() // of the server: no longer that of the connection when it is taken
	conn, ahead, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return errors.Join(err, t.Close())
	}
	s.terminals.Add(1)
	defer s.terminals.Done()
	_ = conn.SetDeadline(time.Time{}) // net/http may have set one
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+frames.Protocol+"\r\n\r\n")
	if err == nil {
		pump(life, conn, ahead, t)
	}
	_ = errors.Join(t.Close(), conn.Close()) // it's over, whatever they say
	return nil
}

// pump carries what is typed and what is written, until one side ends it.
func pump(life context.Context, conn net.Conn, from io.Reader, t Terminal) {
	var group sync.WaitGroup
	over := sync.OnceFunc(func() { _ = errors.Join(t.Close(), conn.Close()) })
	stop := context.AfterFunc(life, over)
	defer stop()
	group.Go(func() {
		defer over()
		typed(from, t)
	})
	shown(conn, t)
	over()
	group.Wait()
}

// typed gives on what the client sends, until it says something that can't be understood.
func typed(from io.Reader, t Terminal) {
	for r := frames.NewReader(from); ; {
		f, err := r.Read()
		if err == nil {
			err = act(f, t)
		}
		if err != nil {
			return
		}
	}
}

func act(f frames.Frame, t Terminal) error {
	switch f.Kind {
	case frames.Data:
		_, err := t.Write(f.Content)
		return err
	case frames.Resize:
		columns, rows, err := f.Window()
		if err != nil {
			return err
		}
		return t.Resize(columns, rows)
	}
	return errors.New("a frame of an unknown kind")
}

// shown gives on what the application writes, and at the end why it is the end.
func shown(conn io.Writer, t Terminal) {
	p := make([]byte, 8<<10)
	var sent []byte
	for {
		n, err := t.Read(p)
		sent = sent[:0]
		if n > 0 {
			sent = frames.Append(sent, frames.Frame{Kind: frames.Data, Content: p[:n]})
		}
		if err != nil {
			sent = frames.Append(sent, last(err))
		}
		if _, werr := conn.Write(sent); werr != nil || err != nil {
			return
		}
	}
}

func last(err error) frames.Frame {
	f := frames.Frame{Kind: frames.End}
	if err != io.EOF {
		f.Content = []byte(units.ErrorText(err))
		f.Content = f.Content[:min(len(f.Content), frames.Longest)]
	}
	return f
}
