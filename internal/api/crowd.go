package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// What a crowd of clients can cost: so many connections, of which those that haven't said
// yet what they want go first, and of long bodies only a few at a time.
const (
	mostConns   = 512
	shortBody   = 4 << 10 // is read whatever else is read
	largeBodies = 4       // are read at one time
)

// crowd is a listener that has a bound on its connections. Where it is reached, the one
// that has kept the server waiting for its request longest makes room for the next.
type crowd struct {
	net.Listener
	most int

	mu    sync.Mutex
	seq   uint64
	conns map[*crowdConn]bool
}

func newCrowd(l net.Listener, most int) *crowd {
	return &crowd{Listener: l, most: most, conns: map[*crowdConn]bool{}}
}

// crowdConn is one of a crowd.
type crowdConn struct {
	net.Conn
	of      *crowd
	seq     uint64
	answers bool // its request is known; under the lock of the crowd
}

func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		slowest := c.slowest()
		if len(c.conns) < c.most || slowest != nil {
			c.seq++
			own := &crowdConn{Conn: conn, of: c, seq: c.seq}
			c.conns[own] = true
			if len(c.conns) <= c.most {
				slowest = nil
			} else {
				delete(c.conns, slowest)
			}
			c.mu.Unlock()
			if slowest != nil {
				slowest.Conn.Close()
			}
			return own, nil
		}
		c.mu.Unlock()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(conn, tooMany) // who is sent away may have gone
		conn.Close()
	}
}

const tooMany = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" +
	`{"error":"too many are asking at one time"}` + "\n"

// slowest is who has been waited for longest; nil: each is being answered.
func (c *crowd) slowest() (slowest *crowdConn) {
	if len(c.conns) < c.most {
		return nil
	}
	for conn := range c.conns {
		if !conn.answers && (slowest == nil || conn.seq < slowest.seq) {
			slowest = conn
		}
	}
	return slowest
}

func (c *crowdConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// crowdKey is under what a request has its connection.
type crowdKey struct{}

// heard says that the request of a connection is known, so that it isn't sent away.
func heard(r *http.Request) {
	if c, ok := r.Context().Value(crowdKey{}).(net.Conn); ok {
		setHeard(c, true)
	}
}

func setHeard(conn net.Conn, is bool) {
	if c, ok := conn.(*crowdConn); ok {
		c.of.mu.Lock()
		c.answers = is
		c.of.mu.Unlock()
	}
}

// large has those that read a long body.
var large = make(chan struct{}, largeBodies)

var errBusy = errors.New("others are sending long requests: try again")

// readBody reads the body of a request as it comes, within a time.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(patience)) // a test's has none
	within, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	from := http.MaxBytesReader(w, r.Body, longestBody)
	text, err := io.ReadAll(io.LimitReader(from, shortBody))
	if err == nil && len(text) == shortBody {
		select {
		case large <- struct{}{}:
			defer func() { <-large }()
		case <-within.Done():
			return nil, errBusy
		}
		var rest []byte
		rest, err = io.ReadAll(from)
		text = append(text, rest...)
	}
	if err == nil {
		_ = control.SetReadDeadline(time.Time{})
		heard(r)
	}
	return text, err
}
