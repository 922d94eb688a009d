package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/foster-init/foster/internal/frames"
)

// Terminal is the terminal of an application, as it is seen from afar. One goroutine may
// read while another writes.
type Terminal struct {
	conn   io.ReadWriteCloser
	ctx    context.Context // of the request
	done   func()
	frames *frames.Reader
	unread []byte
	end    error // why nothing more comes

	writing sync.Mutex
}

// Terminal connects to the terminal of an instance that has one; replica 0 is its only
// one. When ctx is done, it is closed.
func (c *Client) Terminal(ctx context.Context, app string, replica int) (*Terminal, error) {
	answer, done, err := c.openAs(ctx, http.MethodGet, "/v1/terminal", one(app, replica), nil, frames.Protocol)
	if err != nil {
		return nil, err
	}
	conn, ok := answer.Body.(io.ReadWriteCloser)
	if answer.StatusCode == http.StatusSwitchingProtocols && ok {
		ctx := answer.Request.Context()
		unlink := context.AfterFunc(ctx, func() { _ = conn.Close() }) // it has left HTTP
		return &Terminal{conn: conn, ctx: ctx, done: func() { unlink(); done() }, frames: frames.NewReader(conn)}, nil
	}
	defer done()
	defer answer.Body.Close()
	if refused(answer) {
		return nil, refusal(answer, nil)
	}
	return nil, errors.New("the supervisor doesn't speak " + frames.Protocol)
}

// Read gives what the application writes. The error is io.EOF when the terminal has been
// closed.
func (t *Terminal) Read(p []byte) (int, error) {
	for len(t.unread) == 0 {
		if t.end != nil {
			return 0, t.end
		}
		t.unread, t.end = t.next()
	}
	n := copy(p, t.unread)
	t.unread = t.unread[n:]
	return n, nil
}

func (t *Terminal) next() ([]byte, error) {
	f, err := t.frames.Read()
	switch {
	case err != nil:
		return nil, whyEnded(t.ctx, err)
	case f.Kind == frames.Data:
		return f.Content, nil
	case f.Kind == frames.End && len(f.Content) == 0:
		return nil, io.EOF
	case f.Kind == frames.End:
		return nil, errors.New(string(f.Content))
	}
	return nil, fmt.Errorf("the supervisor has sent a frame of an unknown kind (%d)", f.Kind)
}

// Write types.
func (t *Terminal) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), frames.Longest)]
		if err := t.send(frames.Frame{Kind: frames.Data, Content: part}); err != nil {
			return n, err
		}
		n, p = n+len(part), p[len(part):]
	}
	return n, nil
}

// Resize tells the application the size of the window.
func (t *Terminal) Resize(columns, rows uint16) error { return t.send(frames.Size(columns, rows)) }

func (t *Terminal) send(f frames.Frame) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	_, err := t.conn.Write(frames.Append(nil, f))
	if err != nil {
		return whyEnded(t.ctx, err)
	}
	return nil
}

// Close detaches; the application lives on.
func (t *Terminal) Close() error {
	defer t.done()
	return t.conn.Close()
}
