// Package control speaks with the shim of a living tree over the tree's own socket: it
// asks, stops, signals, extends, claims, watches. One goroutine uses a [Client].
package control

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// patience bounds how long a shim may take to answer. It never has to wait for its
// tree for that.
const patience = 10 * time.Second

// RefusedError is what a shim answered to a request that it didn't fulfil.
type RefusedError struct {
	Text  string
	Errno syscall.Errno // ESRCH: the tree has ended; EBUSY: another has it; EINVAL; EPERM
}

func (e *RefusedError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return e.Errno.Error()
}

func (e *RefusedError) Unwrap() error { return e.Errno }

// Client is a connection to a shim.
type Client struct {
	Conn *wire.Conn
	pid  int           // of the shim; 0: not known
	wait time.Duration // for an answer
	last uint64
	news []wire.Message // that came before an answer
}

// Dial connects to the shim of a living tree, which must be this user's or root's.
func Dial(e *wire.Entry) (*Client, error) { return DialWithin(e, patience) }

// DialWithin is Dial for who waits only so long for each answer.
func DialWithin(e *wire.Entry, wait time.Duration) (*Client, error) {
	path := e.SocketPath
	sock, err := sys.Connect(path)
	if errors.Is(err, os.ErrDeadlineExceeded) { // it accepts nobody, and too many wait already
		return nil, newSilent(e.Shim.PID, wait)
	}
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: wire.NewConn(sock), pid: e.Shim.PID, wait: wait}
	if err := c.greet(sock); err != nil {
		c.Close()
		if errors.Is(err, ErrSilent) {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *Client) greet(sock *os.File) error {
	_, uid, err := sys.PeerOf(sock) // the socket may be older than the shim
	if err != nil {
		return err
	}
	if uid != os.Getuid() && uid != 0 {
		return fmt.Errorf("the other side is of user %d", uid)
	}
	msg, err := c.receive(time.Now().Add(c.wait))
	if err != nil {
		return err
	}
	hello, ok := msg.(*wire.Hello)
	if !ok {
		return fmt.Errorf("%w: it begins with a %T", wire.ErrProtocol, msg)
	}
	return hello.Check()
}

// ErrSilent says that a shim doesn't answer.
var ErrSilent = errors.New("its shim doesn't answer")

// SilentError is a shim that doesn't answer. errors.Is finds ErrSilent in it.
type SilentError struct {
	PID    int // of the shim; 0: not known
	Halt   procfs.Halt
	waited time.Duration
}

func newSilent(pid int, waited time.Duration) *SilentError {
	return &SilentError{PID: pid, Halt: procfs.HaltOf(pid), waited: waited}
}

func (e *SilentError) Error() string {
	if e.Halt.State != 0 {
		return fmt.Sprintf("its shim (pid %d) is %v, and answers nobody", e.PID, e.Halt)
	}
	return fmt.Sprintf("no answer within %v: is its shim stopped?", e.waited)
}

// Hint says what can be done about it; "": nothing is known.
func (e *SilentError) Hint() string {
	switch {
	case e.PID <= 0:
		return ""
	case e.Halt.State == 0 || e.Halt.State == 'T':
		return fmt.Sprintf("kill -CONT %d lets the shim go on", e.PID)
	}
	return e.Halt.Remedy()
}

func (e *SilentError) Unwrap() error { return ErrSilent }

const (
	lookEvery = 500 * time.Millisecond // at the shim, while nothing comes from it
	// stoppedPatience is how long a shim that is stopped may stay so: somebody may be about
	// to resume it.
	stoppedPatience = 2 * time.Second
)

// receive waits for a message until a time, zero for ever, but not for a shim that is
// stopped.
func (c *Client) receive(until time.Time) (wire.Message, error) {
	defer c.Conn.Expect(0)
	begin := time.Now()
	for running := begin; ; {
		c.Conn.Expect(lookEvery)
		msg, err := c.Conn.Receive()
		now := time.Now()
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return msg, err
		case !procfs.Stopped(c.pid):
			running = now
		case now.Sub(running) > stoppedPatience:
			return nil, newSilent(c.pid, c.wait)
		}
		if !until.IsZero() && now.After(until) {
			return nil, newSilent(c.pid, c.wait)
		}
	}
}

// Close ends the connection.
func (c *Client) Close() { c.Conn.Close() }

// ask sends a request and waits for its answer. News that come before it are kept for
// Next.
func (c *Client) ask(fds []int, m wire.Message, id uint64) (wire.Message, error) {
	if err := c.Conn.Send(fds, m); err != nil {
		return nil, err
	}
	for until := time.Now().Add(c.wait); ; {
		msg, err := c.receive(until)
		if err != nil {
			return nil, err
		}
		switch a := msg.(type) {
		case *wire.Status:
			if a.Reply == id {
				return a, nil
			}
		case *wire.Replied:
			if a.ID != id {
				continue
			}
			if a.Errno != 0 {
				return nil, &RefusedError{a.Text, a.Errno}
			}
			return a, nil
		default:
			c.news = append(c.news, msg)
		}
	}
}

func (c *Client) id() uint64 { c.last++; return c.last }

func replied(m wire.Message, err error) (*wire.Replied, error) {
	if err != nil {
		return nil, err
	}
	r, ok := m.(*wire.Replied)
	if !ok {
		return nil, fmt.Errorf("%w: %T in place of an answer", wire.ErrProtocol, m)
	}
	return r, nil
}

// Status asks what the shim knows.
func (c *Client) Status() (*wire.Status, error) {
	id := c.id()
	m, err := c.ask(nil, &wire.Inspect{ID: id}, id)
	if err != nil {
		return nil, err
	}
	s, ok := m.(*wire.Status)
	if !ok {
		return nil, fmt.Errorf("%w: %T in place of a status", wire.ErrProtocol, m)
	}
	return s, nil
}

// Stop has the tree stopped; nil is the plan that came with its start.
func (c *Client) Stop(plan *wire.Plan, cause string) error {
	m := &wire.Stop{ID: c.id(), Default: plan == nil, Cause: cause}
	if plan != nil {
		m.Plan = *plan
	}
	_, err := replied(c.ask(nil, m, m.ID))
	return err
}

// Release has the shim let go of the tree: its processes run on.
func (c *Client) Release() error {
	id := c.id()
	_, err := replied(c.ask(nil, &wire.Release{ID: id, Guest: true}, id))
	return err
}

// ReleaseProcess has the shim let go of one process and of those below it, and says who
// they are.
func (c *Client) ReleaseProcess(pid int) ([]wire.Member, error) {
	id := c.id()
	r, err := replied(c.ask(nil, &wire.Release{ID: id, Guest: true, PID: pid}, id))
	if err != nil {
		return nil, err
	}
	return r.Processes, nil
}

// Signal sends a signal once, and says to how many.
func (c *Client) Signal(sig syscall.Signal, scope wire.Scope) (int, error) {
	id := c.id()
	r, err := replied(c.ask(nil, &wire.Signal{ID: id, Signal: sig, Scope: scope}, id))
	if err != nil {
		return 0, err
	}
	return r.Count, nil
}

// Extend has the lease end no sooner than d from now, and says how much is left.
func (c *Client) Extend(d time.Duration) (time.Duration, error) {
	if d < 0 {
		d = 0 // neither can be had; the answer says so
	}
	id := c.id()
	r, err := replied(c.ask(nil, &wire.Extend{ID: id, For: d}, id))
	if err != nil {
		return 0, err
	}
	return r.Left, nil
}

// ClaimFor makes another process the owner of the tree; pidfd is its handle.
func (c *Client) ClaimFor(owner wire.Member, pidfd int) error {
	id := c.id()
	_, err := replied(c.ask([]int{pidfd}, &wire.Claim{ID: id, Owner: owner, Named: true}, id))
	return err
}

// Claim makes this connection the owner's side of the tree. Its news follow, from the
// beginning as far as they are kept.
func (c *Client) Claim(owner wire.Member) error {
	_, _, err := c.ClaimWith(wire.Claim{Owner: owner})
	return err
}

// ClaimWith is Claim and more in one: of several who ask at once, one gets the tree with
// its output and with what is kept beside, as it asked for, and the others nothing.
func (c *Client) ClaimWith(claim wire.Claim) (files map[uint8]*os.File, other []*os.File, err error) {
	id := c.id()
	claim.ID = id
	r, err := replied(c.ask(nil, &claim, id))
	if err != nil {
		return nil, nil, err
	}
	fds, err := c.Conn.Claim(len(r.Outputs) + len(r.Kept))
	if err != nil {
		return nil, nil, err
	}
	for i, name := range r.Kept {
		// As it is: how it waits is also that of who else holds it.
		other = append(other, os.NewFile(uintptr(fds[len(r.Outputs)+i]), name))
	}
	files, err = openOutputs(r.Outputs, fds[:len(r.Outputs)])
	return files, other, err
}

// Watch has the news of the tree told on this connection, from the beginning.
func (c *Client) Watch() error {
	id := c.id()
	_, err := replied(c.ask(nil, &wire.Watch{ID: id}, id))
	return err
}

// Output takes the reading ends of the outputs that are kept; streams says which.
func (c *Client) Output() (files map[uint8]*os.File, err error) {
	// First, since who is given the output has it: nothing may fail then, and lose it.
	status, err := c.Status()
	if err != nil {
		return nil, err
	}
	id := c.id()
	r, err := replied(c.ask(nil, &wire.Output{ID: id}, id))
	if err != nil {
		return nil, err
	}
	fds, err := c.Conn.Claim(r.Count)
	if err != nil {
		return nil, err
	}
	if len(status.Outputs) != len(fds) {
		sys.CloseAll(fds)
		return nil, fmt.Errorf("%w: %d outputs, %d descriptors", wire.ErrProtocol, len(status.Outputs), len(fds))
	}
	return openOutputs(status.Outputs, fds)
}

func openOutputs(streams []uint8, fds []int) (map[uint8]*os.File, error) {
	files := map[uint8]*os.File{}
	for i, fd := range fds {
		f, err := sys.OpenPassed(fd, "output")
		if err != nil {
			sys.CloseAll(fds[i:])
			return files, err
		}
		files[streams[i]] = f
	}
	return files, nil
}

// Early gives the news that came before an answer, and forgets them: who reads from
// Conn by itself has these first.
func (c *Client) Early() []wire.Message {
	news := c.news
	c.news = nil
	return news
}

// Next waits for the next news. The error wraps ErrSilent where the shim is stopped.
func (c *Client) Next() (wire.Message, error) {
	if len(c.news) > 0 {
		m := c.news[0]
		c.news = c.news[1:]
		return m, nil
	}
	return c.receive(time.Time{})
}
