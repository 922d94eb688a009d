package foster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// output copies what the tree writes to a pipe.
type output struct {
	r      *os.File
	to     io.Writer // nil: it is only kept, for others to read
	stream uint8     // 1 or 2: of the program
}

// copy copies until the end of the pipe. Once the tree is empty the owner's loop
// calls hurry, and what the pipe then holds is the rest: who else may hold it open
// isn't of this tree.
func (o *output) copy() error {
	defer o.r.Close() // where the writer fails, the program learns by SIGPIPE
	buf := make([]byte, 32<<10)
	for {
		n, err := o.r.Read(buf)
		if n > 0 {
			if err := o.write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := o.r.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			return sys.Drain(o.r, o.write)
		default:
			return err
		}
	}
}

func (o *output) write(p []byte) error {
	n, err := o.to.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", [...]string{1: "Stdout", 2: "Stderr"}[o.stream], err)
	}
	return err
}

// hurry ends the wait for more.
func (o *output) hurry() { _ = o.r.SetReadDeadline(time.Unix(1, 0)) } // closed: it is at its end

// stdinPatience is how long the end of a run waits for a Stdin that is being read: the
// error of a reader that doesn't block is always reported, and one that does holds up
// nobody.
const stdinPatience = 100 * time.Millisecond

// input copies to the program's standard input.
type input struct {
	from io.Reader
	w    *os.File
}

// copy copies until the end of the reader, or until nobody reads the pipe. The error is the
// reader's, and is given before the program sees the end of its input.
func (i *input) copy(done chan<- error) {
	_, err := io.Copy(i.w, i.from)
	if write, ok := errors.AsType[*fs.PathError](err); ok && write.Op == "write" && write.Path == i.w.Name() {
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
			err = nil // a program need not read its input
		}
	}
	done <- err
	i.w.Close()
}

// What a program of yet another user that was handed a pipe may do with it: open that end of it
// again by name, as /dev/stdout. Who wasn't handed it has no name for it.
const (
	sharedInput  = 0o644
	sharedOutput = 0o622
)

// pipe makes a pipe, one of whose ends is for the program.
func (c *Cmd) pipe(mode os.FileMode) (r, w *os.File, err error) {
	if r, w, err = sys.Pipe(); err == nil {
		c.made = append(c.made, r, w)
		_ = w.Chmod(mode) // where that can't be, they have it all the same
	}
	return r, w, err
}

// givePipes makes the pipes belong to the user that the program runs as, so that it can
// open them by name, as /dev/stdout. Where that can't be, it has them all the same.
func (c *Cmd) givePipes() {
	if c.Credential == nil {
		return
	}
	for _, f := range c.made {
		_ = sys.GivePipe(f, c.Credential.Uid, c.Credential.Gid)
	}
}

// files opens what the program gets as descriptors 0, 1, 2 and up, and says which
// numbers between them are to be closed. What was opened for the program alone is
// in c.childFiles.
func (c *Cmd) files() (files []*os.File, closed []int, err error) {
	stdin, err := c.stdin()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := c.stdout(c.Stdout, 1)
	if err != nil {
		return nil, nil, err
	}
	stderr := stdout
	if c.Stderr == nil || !sameWriter(c.Stdout, c.Stderr) {
		if stderr, err = c.stdout(c.Stderr, 2); err != nil {
			return nil, nil, err
		}
	}
	files = []*os.File{stdin, stdout, stderr}
	for i, f := range c.ExtraFiles {
		if f == nil {
			closed = append(closed, 3+i)
			continue
		}
		files = append(files, f)
	}
	c.givePipes()
	return files, closed, nil
}

func (c *Cmd) null(flag int) (*os.File, error) {
	f, err := sys.OpenNull(flag)
	if err == nil {
		c.childFiles = append(c.childFiles, f)
	}
	return f, err
}

func (c *Cmd) stdin() (*os.File, error) {
	switch in := c.Stdin.(type) {
	case nil:
		return c.null(os.O_RDONLY)
	case *os.File:
		return in, nil
	default:
		r, w, err := c.pipe(sharedInput)
		if err != nil {
			return nil, err
		}
		c.childFiles, c.ownPipes = append(c.childFiles, r), append(c.ownPipes, w)
		c.inputs = append(c.inputs, &input{in, w})
		return r, nil
	}
}

func (c *Cmd) stdout(to io.Writer, stream uint8) (*os.File, error) {
	switch out := to.(type) {
	case nil:
		if c.KeepOutput {
			return c.keptPipe(nil, stream)
		}
		return c.null(os.O_WRONLY)
	case *os.File:
		return out, nil
	default:
		return c.keptPipe(to, stream)
	}
}

// keptPipe makes the pipe of an output. Where the tree may outlive this program, the
// shim holds it, too: what is in it isn't lost, and who writes to it isn't cut.
func (c *Cmd) keptPipe(to io.Writer, stream uint8) (*os.File, error) {
	r, w, err := c.pipe(sharedOutput)
	if err != nil {
		return nil, err
	}
	c.childFiles, c.ownPipes = append(c.childFiles, w), append(c.ownPipes, r)
	out := &output{r, to, stream}
	if c.Pipes {
		c.pipes = append(c.pipes, out)
	}
	if to != nil {
		c.outputs = append(c.outputs, out)
	}
	if c.KeepOutput || c.Grace > 0 || c.Owner != 0 {
		sys.GrowPipe(r, keptBytes)
		c.kept = append(c.kept, out)
	}
	return w, nil
}

// keptBytes is how much of an output is kept at most: what a pipe can hold without
// privilege (pipe(7), /proc/sys/fs/pipe-max-size).
const keptBytes = 1 << 20

// sameWriter says whether two writers are one, as os/exec does, without a panic
// where their type can't be compared.
func sameWriter(a, b io.Writer) bool {
	return a != nil && reflect.TypeOf(a).Comparable() && a == b
}
