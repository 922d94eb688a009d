// Package wire is the protocol between an owner's side and a shim: typed
// messages over a unix stream socket, with descriptors passed along.
//
// A frame is four bytes of length (little endian, of what follows), one byte
// that names the kind of message, and fields: a tag, a length and that many
// bytes, tag and length as unsigned varints. A reader skips tags that it doesn't
// know, so that fields can be added; a kind that it doesn't know is an error.
// Numbers of kinds and tags are given by hand and never used again for another
// thing. Both sides bound what they accept: see [MaxFrame] and [MaxPassed].
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// Version is the version of the protocol that this source speaks. It changes
// when an older reader would misunderstand a message, not when a field is added.
const Version = 1

const (
	// MaxFrame bounds one message. Linux takes at most 6 MiB of arguments and
	// environment (execve(2)), so a start that is larger can't succeed.
	MaxFrame = 16 << 20
	// MaxPassed bounds the descriptors that wait to be claimed by a message.
	MaxPassed = 4096

	header = 5
)

// ErrProtocol says that what came isn't a message of this protocol.
var ErrProtocol = errors.New("not the protocol of a foster shim")

// Message is one of the messages in messages.go.
type Message interface {
	kind() kind
	fields(*codec)
}

// Encode gives the frame of a message.
func Encode(m Message) ([]byte, error) {
	c := codec{out: make([]byte, header, 256)}
	m.fields(&c)
	n := len(c.out) - header + 1
	if n > MaxFrame {
		return nil, fmt.Errorf("%w: a message of %d bytes, at most %d can be sent", ErrTooLarge, n, MaxFrame)
	}
	binary.LittleEndian.PutUint32(c.out, uint32(n))
	c.out[header-1] = byte(m.kind())
	return c.out, nil
}

// ErrTooLarge says that a message doesn't fit into a frame.
var ErrTooLarge = errors.New("message too large")

// Decode reads the content of a frame: the kind, then the fields.
func Decode(b []byte) (Message, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: empty frame", ErrProtocol)
	}
	m := kind(b[0]).message()
	if m == nil {
		return nil, fmt.Errorf("%w: message kind %d", ErrProtocol, b[0])
	}
	c := codec{decoding: true}
	if err := c.split(b[1:]); err != nil {
		return nil, err
	}
	m.fields(&c)
	return m, c.err
}

// Conn is one end of the socket. One goroutine sends, one receives.
type Conn struct {
	sock   *os.File
	in     []byte // received, not yet a whole frame
	passed []int  // received, not yet claimed

	mostFrame, mostPassed int
}

// NewConn takes over a connected stream socket in non-blocking mode.
func NewConn(sock *os.File) *Conn {
	return &Conn{sock: sock, mostFrame: MaxFrame, mostPassed: MaxPassed}
}

// Bound accepts less than MaxFrame and MaxPassed from here on, of a side that has less
// to say.
func (c *Conn) Bound(frame, passed int) { c.mostFrame, c.mostPassed = frame, passed }

// Send writes messages in one go; the descriptors travel with the first byte.
func (c *Conn) Send(fds []int, messages ...Message) error {
	b, err := Frames(messages...)
	if err != nil {
		return err
	}
	return c.SendFrames(fds, b)
}

// Frames encodes messages that are sent in one go.
func Frames(messages ...Message) (b []byte, err error) {
	for _, m := range messages {
		frame, err := Encode(m)
		if err != nil {
			return nil, err
		}
		b = append(b, frame...)
	}
	return b, nil
}

// SendFrames writes what Frames has encoded.
func (c *Conn) SendFrames(fds []int, b []byte) error { return sys.SendFiles(c.sock, b, fds) }

// SendBytes writes what isn't a frame: the config of a stub.
func (c *Conn) SendBytes(b []byte) error { return sys.SendFiles(c.sock, b, nil) }

// TrySendFrames writes as much of it as can be without waiting, and gives the rest. The
// descriptors have travelled unless all of it is left.
func (c *Conn) TrySendFrames(fds []int, b []byte) (rest []byte, err error) {
	n, err := sys.TrySendFiles(c.sock, b, fds)
	return b[n:], err
}

// Abort ends the connection for who receives and sends on it. It may be called
// while they do; Close comes after them.
func (c *Conn) Abort() { c.sock.Close() }

// Receive waits for the next message. At the end of the connection it returns
// io.EOF. The descriptors that came before or with the message wait in
// [Conn.Claim].
func (c *Conn) Receive() (Message, error) {
	for {
		if frame, ok, err := c.next(); err != nil {
			return nil, err
		} else if ok {
			return Decode(frame)
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// next cuts a whole frame from what was received.
func (c *Conn) next() (frame []byte, ok bool, err error) {
	if len(c.in) < header-1 {
		return nil, false, nil
	}
	n := int(binary.LittleEndian.Uint32(c.in))
	if n == 0 || n > c.mostFrame {
		return nil, false, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, n)
	}
	if len(c.in) < header-1+n {
		return nil, false, nil
	}
	frame, c.in = c.in[header-1:header-1+n], c.in[header-1+n:]
	if len(c.in) == 0 {
		c.in = nil // a large start message must not be held in memory
	}
	return frame, true, nil
}

func (c *Conn) fill() error {
	in, fds, err := sys.ReceiveFiles(c.sock, c.in)
	if err != nil {
		if errors.Is(err, io.EOF) && len(c.in) > 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	c.in = in
	c.passed = append(c.passed, fds...)
	if len(c.passed) > c.mostPassed {
		return fmt.Errorf("%w: %d descriptors that no message claims", ErrProtocol, len(c.passed))
	}
	return nil
}

// Claim takes the first n of the descriptors that were passed.
func (c *Conn) Claim(n int) ([]int, error) {
	if n < 0 || n > len(c.passed) {
		return nil, fmt.Errorf("%w: %d descriptors announced, %d passed", ErrProtocol, n, len(c.passed))
	}
	fds := c.passed[:n:n]
	c.passed = c.passed[n:]
	return fds, nil
}

// Close closes the socket and the descriptors that nobody claimed.
func (c *Conn) Close() error {
	sys.CloseAll(c.passed)
	c.passed = nil
	if err := c.sock.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil // by Abort
}

// HungUp says whether the other side is known to be gone.
func (c *Conn) HungUp() bool { return sys.HungUp(c.sock) }

// Await waits until the other side says something, which is left to be received, or is
// gone.
func (c *Conn) Await() { _ = sys.AwaitReadable(c.sock) } // closed here: as well

// Hurry bounds the time for what is sent from now on.
func (c *Conn) Hurry(d time.Duration) {
	_ = c.sock.SetWriteDeadline(time.Now().Add(d)) // a socket has one
}

// Expect bounds the wait for messages from now on; 0 is no bound.
func (c *Conn) Expect(d time.Duration) {
	var until time.Time
	if d > 0 {
		until = time.Now().Add(d)
	}
	_ = c.sock.SetReadDeadline(until) // a socket has one
}
