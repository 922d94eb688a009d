package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/foster-init/foster/internal/procfs"
)

// A supervisor that is suspended, by Ctrl-Z say, keeps its socket: whoever connects would
// wait for ever. So each connection begins with a ping, before anything is asked for, and
// while an answer is awaited, which may rightly take days, the supervisor is looked at again
// and again.

// ErrNoAnswer says that there is a supervisor, and that it doesn't answer.
var ErrNoAnswer = errors.New("foster up doesn't answer")

// NoAnswerError is a supervisor that doesn't answer. errors.Is finds ErrNoAnswer in it.
type NoAnswerError struct {
	PID     int  // of the supervisor; 0: not known
	Stopped bool // by Ctrl-Z, SIGSTOP or a debugger, as its process state says

	halt procfs.Halt
}

func newNoAnswer(pid int) *NoAnswerError {
	halt := procfs.HaltOf(pid)
	return &NoAnswerError{PID: pid, Stopped: halt.Stopped(), halt: halt}
}

func (e *NoAnswerError) Error() string {
	switch {
	case e.halt.State != 0 && e.halt.State != 'T':
		return fmt.Sprintf("foster up (pid %d) is %v, and answers nobody", e.PID, e.halt)
	case e.Stopped:
		return fmt.Sprintf("foster up (pid %d) is stopped, as by Ctrl-Z or SIGSTOP, and answers nobody", e.PID)
	}
	who := "foster up"
	if e.PID > 0 {
		who += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return fmt.Sprintf("%s hasn't answered for %v", who, answerPatience)
}

// Hint says what can be done about it; "": nothing is known.
func (e *NoAnswerError) Hint() string {
	switch {
	case e.halt.State != 0 && e.halt.State != 'T':
		return e.halt.Remedy()
	case e.Stopped:
		return fmt.Sprintf("kill -CONT %d resumes it, and so does fg in its terminal; its applications run on meanwhile", e.PID)
	case e.PID > 0:
		return fmt.Sprintf("foster explain %d shows the state of its process", e.PID)
	}
	return ""
}

func (e *NoAnswerError) Unwrap() error { return ErrNoAnswer }

// answerPatience is how long a supervisor may take to answer a ping. Tests are less patient.
var answerPatience = 10 * time.Second

const (
	// stoppedPatience is how long one that is stopped may stay so: somebody may be about
	// to resume it.
	stoppedPatience = 2 * time.Second
	lookEvery       = 250 * time.Millisecond // at its process, while a ping isn't answered
	watchEvery      = time.Second            // at its process, while a request isn't answered
	pingEvery       = 15 * time.Second       // likewise: it may be frozen, which its state doesn't show
)

// watchedProcess is the process of a supervisor whose state is looked at.
type watchedProcess struct {
	pid     int
	running time.Time // when it was last seen not to be stopped
}

func watchProcess(pid int) *watchedProcess { return &watchedProcess{pid, time.Now()} }

// stopped says whether it has been stopped for as long as it may.
func (p *watchedProcess) stopped() bool {
	if !procfs.Stopped(p.pid) {
		p.running = time.Now()
	}
	return time.Since(p.running) > stoppedPatience
}

const pingRequest = "GET /v1/ping HTTP/1.1\r\nHost: foster\r\n\r\n"

// ping asks the supervisor at the other end of a new connection whether it answers. What it
// answers doesn't matter: an older one doesn't know what a ping is.
func ping(ctx context.Context, conn net.Conn, pid int) error {
	_ = conn.SetWriteDeadline(time.Now().Add(answerPatience)) // it can be set
	if _, err := io.WriteString(conn, pingRequest); err != nil {
		return noAnswer(err, pid)
	}
	from := bufio.NewReader(conn)
	process, begin := watchProcess(pid), time.Now()
	for {
		_ = conn.SetReadDeadline(time.Now().Add(lookEvery))
		_, err := from.Peek(1)
		switch {
		case err == nil:
			return pong(conn, from, pid)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return answered(err)
		case ctx.Err() != nil:
			return ctx.Err()
		case process.stopped():
			return newNoAnswer(pid)
		case time.Since(begin) > answerPatience:
			return newNoAnswer(pid)
		}
	}
}

// pong reads the answer to a ping. A supervisor that closes the connection after it has
// refused it, and says why.
func pong(conn net.Conn, from *bufio.Reader, pid int) error {
	_ = conn.SetReadDeadline(time.Now().Add(answerPatience))
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		return noAnswer(err, pid)
	}
	defer answer.Body.Close()
	if answer.Close {
		return refusal(answer, nil)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return noAnswer(err, pid)
	}
	return conn.SetDeadline(time.Time{})
}

// noAnswer makes a *NoAnswerError of a time that was over.
func noAnswer(err error, pid int) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return newNoAnswer(pid)
	}
	return answered(err)
}

// watch looks at the supervisor while a request waits for its answer, or for more of it, and
// cancels the request with a *NoAnswerError.
func (c *Client) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	clock := time.NewTicker(watchEvery)
	defer clock.Stop()
	process := watchProcess(int(c.pid.Load()))
	for pinged := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
		process.pid = int(c.pid.Load())
		if process.stopped() {
			cancel(newNoAnswer(process.pid))
			return
		}
		if time.Since(pinged) < pingEvery {
			continue
		}
		// Twice, since a busy machine may keep it from answering in time, once.
		conn, err := c.connect(ctx)
		if errors.Is(err, ErrNoAnswer) {
			conn, err = c.connect(ctx)
		}
		if errors.Is(err, ErrNoAnswer) {
			cancel(err)
			return
		}
		if err == nil {
			conn.Close()
		}
		pinged = time.Now()
	}
}

// whyEnded is the error of a request, or why it was cancelled by watch.
func whyEnded(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*NoAnswerError](context.Cause(ctx)); ok {
		return context.Cause(ctx)
	}
	return answered(err)
}

// watchedBody is the body of an answer that ends when the supervisor doesn't answer any more.
type watchedBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = whyEnded(b.ctx, err)
	}
	return n, err
}
