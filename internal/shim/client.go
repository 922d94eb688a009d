package shim

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// client is a connection: that of the owner's side, or of a command that looks at
// the tree, stops it, claims it. A goroutine receives from it. What doesn't go out at once
// is queued, and sent by another goroutine, so that who doesn't read holds up nobody.
type client struct {
	conn     *wire.Conn
	pid      int           // as it was when it connected; 0: not to be seen from here
	out      chan *parcel  // nil as long as all has gone out at once
	sent     chan struct{} // closed when nothing is sent any more
	watching bool          // it gets the news
	gone     bool
}

// parcel is what is sent in one go. Its descriptors are closed afterwards.
type parcel struct {
	fds    []int
	frames []byte
}

const (
	longestQueue = 256             // of parcels to one client
	mostClients  = 64              // guests
	lastWord     = 2 * time.Second // how long a guest has to read, at the end

	// A guest's requests are small, and pass one descriptor at most.
	guestFrame, guestPassed = 8 << 10, 4
)

// welcome serves a connection.
func (s *server) welcome(conn *wire.Conn, pid int) *client {
	c := &client{conn: conn, pid: pid, sent: make(chan struct{})}
	go s.receive(c)
	return c
}

// queue begins to send from a queue.
func (c *client) queue() {
	c.out = make(chan *parcel, longestQueue)
	go c.send()
}

func (c *client) send() {
	defer close(c.sent)
	failed := false
	for p := range c.out {
		if !failed && c.conn.SendFrames(p.fds, p.frames) != nil {
			failed = true // that it's gone, receive tells
		}
		sys.CloseAll(p.fds)
	}
}

// finish sends no more than what is queued.
func (c *client) finish() {
	switch {
	case c.gone:
		return
	case c.out != nil:
		close(c.out)
	default:
		close(c.sent)
	}
	c.gone = true
}

// receive passes on what a client says, one message after the other: descriptors that
// wait to be claimed belong to the message under way.
func (s *server) receive(c *client) {
	for {
		msg, err := c.conn.Receive()
		handled := make(chan struct{})
		posted := s.loop.post(func() {
			s.turn(func() { s.handle(received{c, msg, err}) })
			close(handled)
		})
		if posted {
			<-handled
		}
		if !posted {
			<-c.sent // the loop is over, and says its farewell: who asks meanwhile is to hear it
		}
		if err != nil || !posted {
			c.conn.Close() // with the descriptors that nobody claimed
			return
		}
	}
}

// give sends messages to a client, or queues them. One whose queue is full is sent away.
func (s *server) give(c *client, fds []int, messages ...wire.Message) {
	if c == nil || c.gone {
		sys.CloseAll(fds)
		return
	}
	frames, err := wire.Frames(messages...)
	rest := frames
	if err == nil && c.out == nil {
		rest, err = c.conn.TrySendFrames(fds, frames)
	}
	if len(rest) < len(frames) || err != nil {
		sys.CloseAll(fds)
		fds = nil
	}
	if err != nil || len(rest) == 0 {
		return // that it's gone, receive tells
	}
	if c.out == nil {
		c.queue()
	}
	select {
	case c.out <- &parcel{fds, rest}:
	default:
		sys.CloseAll(fds)
		c.conn.Abort()
	}
}

// idleTalk says whether a message is one that the application, or a guest, can cause at
// will. All others are few.
func idleTalk(m wire.Message) bool {
	switch m := m.(type) {
	case *wire.Notified, *wire.Paused, *wire.Signaled:
		return true
	case *wire.LeaseNews:
		return m.Kind == wire.LeaseExtended || m.Kind == wire.LeaseEnding
	}
	return false
}

// spread gives the news to the owner's side and to who watches. Where one is slow, idle
// talk is left out: without it, no queue of an owner's side ever is full.
func (s *server) spread(news []wire.Message) {
	for c := range s.clients {
		if !c.watching {
			continue
		}
		mine := news
		if len(c.out) > longestQueue/2 {
			mine = slices.DeleteFunc(slices.Clone(news), idleTalk)
		}
		if len(mine) > 0 {
			s.give(c, nil, mine...)
		}
	}
}

// guest is somebody who has connected to the socket of a tree.
type guest struct {
	sock *os.File
	door *os.File // the socket
}

// acceptAgain is how long after a guest couldn't be let in that is tried again.
const acceptAgain = 100 * time.Millisecond

// accept lets others in, until the socket is closed. What else goes wrong, as where no
// descriptor is free, passes.
func (s *server) accept(socket *os.File) {
	for {
		sock, err := sys.Accept(socket)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-time.After(acceptAgain):
				continue
			case <-s.loop.over:
				return
			}
		}
		arrived := func() {
			if s.done {
				sock.Close()
			}
			s.turn(func() { s.arrive(guest{sock, socket}) })
		}
		if !s.loop.post(arrived) {
			sock.Close()
			return
		}
	}
}

// arrive lets in who runs as the same user, or as root. Who came for a tree that has
// ended meanwhile isn't let in to the next.
func (s *server) arrive(g guest) {
	pid, uid, err := sys.PeerOf(g.sock)
	if err != nil || uid != os.Getuid() && uid != 0 || len(s.clients) > mostClients ||
		s.terms == nil || s.terms.listener != g.door {
		g.sock.Close()
		return
	}
	conn := wire.NewConn(g.sock)
	conn.Bound(guestFrame, guestPassed)
	c := s.welcome(conn, pid)
	s.clients[c] = true
	s.give(c, nil, &wire.Hello{Version: wire.Version})
}

// dismiss sends a guest away, with what is queued for it: its tree has ended, and the
// next isn't its.
func (s *server) dismiss(c *client) {
	c.conn.Hurry(lastWord)
	c.finish()
	go func() {
		<-c.sent
		c.conn.Abort() // receive tells the rest
	}()
}

// leaves forgets a client that is gone.
func (s *server) leaves(c *client) {
	delete(s.clients, c)
	c.conn.Abort() // who only reads no more can't hold up the sending
	c.finish()
	<-c.sent
	c.conn.Close()
	if t := s.terms; t != nil && t.reader == c {
		t.reader = nil
	}
	if s.side == c {
		s.loseSide()
	}
}

// noticeSide finds out, before the end of a tree is told, whether the owner's side is
// gone already: then its end is kept for who claims it, or, where nobody can, what the
// owner's side would do at the end is done here.
func (s *server) noticeSide() {
	switch {
	case s.side == nil || !s.side.conn.HungUp():
	case s.machine.Grace > 0:
		s.loseSide() // receive tells the rest
	default: // a stop, which comes with the loss of the owner, would find nobody
		t := s.terms
		if t.deserted = true; t.reader == s.side {
			t.reader = nil
		}
	}
}

func (s *server) loseSide() {
	if t := s.terms; t != nil && t.reader == s.side {
		t.reader = nil
	}
	s.side = nil
	s.step(SideGone, wire.Plan{})
	if s.terms == nil || s.terms.ownerPidfd == nil {
		s.ownerGone()
	}
}

// farewell sends what is queued, to all guests together for a short while, and closes.
func (s *server) farewell() {
	for c := range s.clients {
		if c != s.side {
			c.conn.Hurry(lastWord)
		}
		c.finish()
	}
	for c := range s.clients {
		<-c.sent
		c.conn.Abort()
	}
}
