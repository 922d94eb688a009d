package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/sys"
)

// terminal is that of one run: a pseudo-terminal whose one side the application has as
// its standard input, output and error. What it writes goes to the log, as if it came out
// of a pipe, and to all who are attached.
//
// The shim holds this side, too, and the pipe to the log. So the application doesn't lose
// its terminal where the supervisor is killed, and the next one goes on.
type terminal struct {
	master *os.File
	output *os.File // the reading end of the pipe to the log; nil: there is none
	log    *os.File // its writing end
	slave  *os.File // until the application has it

	typed  chan []byte
	finish chan struct{} // closed when the tree has ended
	done   chan struct{} // closed when nothing more comes
	ended  sync.Once
	ends   lineEnds

	mu      sync.Mutex
	viewers map[*viewer]bool
	over    bool
}

// The names by which the files come back from a shim.
const (
	keptMaster = "terminal"
	keptOutput = "terminal's output"
	keptLog    = "terminal's log"
)

func newTerminal() *terminal {
	return &terminal{
		typed: make(chan []byte), finish: make(chan struct{}), done: make(chan struct{}), viewers: map[*viewer]bool{},
	}
}

// open makes the terminal, and gives its other side to a command. nil is none.
func (t *terminal) open(cmd *foster.Cmd, spec *config.App) (err error) {
	if t == nil {
		return nil
	}
	if t.master, t.slave, err = pty.Open(); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	if t.master, err = renamed(t.master, keptMaster); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	cmd.Keep = append(cmd.Keep, t.master)
	if !spec.Logs.Disabled {
		if t.output, t.log, err = keptPipe(); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
		cmd.Keep = append(cmd.Keep, t.output, t.log)
	}
	if u := cmd.Credential; u != nil {
		if err := t.slave.Chown(int(u.Uid), -1); err != nil {
			return fmt.Errorf("terminal: %w", err)
		}
	}
	_ = t.resize(80, 24) // until somebody has a window
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.slave, t.slave, t.slave
	cmd.Setsid, cmd.Terminal = true, t.slave
	if !slices.ContainsFunc(cmd.Env, func(pair string) bool { return strings.HasPrefix(pair, "TERM=") }) {
		cmd.Env = append(slices.Clone(cmd.Env), "TERM=xterm")
	}
	return nil
}

func keptPipe() (r, w *os.File, err error) {
	if r, w, err = sys.Pipe(); err != nil {
		return nil, nil, err
	}
	var rerr, werr error
	r, rerr = renamed(r, keptOutput)
	w, werr = renamed(w, keptLog)
	return r, w, errors.Join(rerr, werr)
}

// renamed gives an open file another name.
func renamed(f *os.File, name string) (*os.File, error) {
	defer f.Close()
	fd, err := sys.Dup(sys.Descriptor(f))
	if err != nil {
		return nil, err
	}
	return sys.OpenPassed(fd, name)
}

// started closes what the application has, or all where there is none.
func (t *terminal) started(err error) {
	if t == nil {
		return
	}
	if t.slave != nil {
		t.slave.Close()
		t.slave = nil
	}
	if err != nil {
		closeFiles([]*os.File{t.master, t.output, t.log}) // nil is nothing to close
	}
}

// adoptTerminal makes the terminal of a run that was taken over out of what its shim has
// kept; nil where there is none.
func adoptTerminal(kept []*os.File) *terminal {
	t := newTerminal()
	for _, f := range kept {
		switch f.Name() {
		case keptMaster:
			t.master = f
		case keptOutput:
			t.output = f
		case keptLog:
			t.log = f
		default:
			f.Close()
		}
	}
	if t.master == nil {
		closeFiles([]*os.File{t.output, t.log})
		return nil
	}
	return t
}

func (t *terminal) resize(columns, rows uint16) error {
	return pty.Setsize(t.master, &pty.Winsize{Cols: columns, Rows: rows})
}

// How long to wait before it is looked again whether the application has opened its
// terminal anew.
const firstReopen, lastReopen = 10 * time.Millisecond, 10 * time.Second

// run passes on what the application writes, and what is typed, until the tree has ended
// and all that it wrote was read.
func (t *terminal) run() {
	go t.pass()
	t.read()
	close(t.done)
	t.mu.Lock()
	t.over = true
	for v := range t.viewers {
		v.end(nil)
	}
	t.mu.Unlock()
	t.master.Close()
	if t.log != nil {
		t.log.Close()
	}
}

func (t *terminal) read() {
	buf := make([]byte, 32<<10)
	pause := firstReopen
	for {
		n, err := t.master.Read(buf)
		if n > 0 {
			_ = t.spread(buf[:n])
			pause = firstReopen
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded): // the tree has ended: what is there now is the rest
			_ = t.master.SetReadDeadline(time.Time{})
			_ = sys.Drain(t.master, t.spread) // EIO: there is no more
			return
		default: // EIO: nobody has it open now
			select {
			case <-t.finish:
				return
			case <-time.After(pause):
				pause = min(2*pause, lastReopen)
			}
		}
	}
}

// spread gives to the log and to all who are attached what the application has written.
// The log may have it wait, as with a pipe; of who is attached nobody can.
func (t *terminal) spread(p []byte) error {
	if t.log != nil {
		_, _ = t.log.Write(t.ends.plain(p)) // nobody reads it any more
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for v := range t.viewers {
		v.take(p)
	}
	return nil
}

// pass writes what is typed, in turn. An application that doesn't read has it wait.
func (t *terminal) pass() {
	for {
		select {
		case p := <-t.typed:
			_, _ = t.master.Write(p) // it is closed at the end
		case <-t.done:
			return
		}
	}
}

// end is called when the tree is empty. What can be read then is the rest.
func (t *terminal) end() {
	if t == nil {
		return
	}
	t.ended.Do(func() { close(t.finish) })
	_ = t.master.SetReadDeadline(time.Unix(1, 0)) // closed: it is at its end
}

// await waits until all was read, and says whether it was; else the time was over.
func (t *terminal) await(over <-chan struct{}) bool {
	if t == nil {
		return true
	}
	select {
	case <-t.done:
		return true
	case <-over:
		return false
	}
}

// Terminal attaches to the terminal of an instance that has one, until either side ends
// it. Any number may be attached at once.
func (s *Supervisor) Terminal(name string, replica int) (api.Terminal, error) {
	var v *viewer
	err := s.one(name, replica, func(i *instance) error {
		switch {
		case i.terminal != nil:
			v = i.terminal.attach()
		case !i.current.Terminal && !i.spec.Terminal:
			return fmt.Errorf("%s: %w: terminal: true in its configuration gives it one", i.name(), client.ErrNoTerminal)
		}
		if v == nil {
			return fmt.Errorf("%s isn't running: it is %s", i.name(), i.m.State)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}
