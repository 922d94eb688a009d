package foster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Cmd is a command that is to be run. Its fields are those of os/exec.Cmd where
// these have a meaning here, with the same meaning; it is used once.
type Cmd struct {
	Path string   // of the program; if relative, to Dir
	Args []string // with the program's name as Args[0]; empty: {Path}
	Env  []string // "key=value"; nil: this program's environment
	Dir  string   // working directory; "": this program's

	// Stdin is read by the program. nil is /dev/null; an *os.File is handed over as
	// it is; anything else is copied to a pipe, in a goroutine that Wait doesn't
	// wait for: it ends when Stdin's Read does.
	Stdin io.Reader

	// Stdout and Stderr take what the program writes. nil is /dev/null; an *os.File
	// is handed over as it is; anything else is written to from a goroutine, one for
	// both where they are equal. When Wait returns, all that the tree wrote was
	// copied. A process outside of the tree that holds the pipe isn't waited for.
	Stdout io.Writer
	Stderr io.Writer

	// ExtraFiles are descriptors 3 and up; nil entries are closed in the program.
	// Unlike under os/exec, it gets no other: not those that this program was
	// started with.
	ExtraFiles []*os.File
	// ListenNames hands the first of ExtraFiles over as listening sockets, as many as
	// there are names here, by the convention of sd_listen_fds(3): LISTEN_FDS,
	// LISTEN_FDNAMES, and LISTEN_PID, which is the leader's own.
	ListenNames []string
	// Keep are files that are kept open for as long as the tree lives, though this
	// program may end: who attaches gets them with WithKept. For listening sockets, the
	// other side of a terminal and the like; nobody reads them meanwhile.
	Keep []*os.File

	Credential *syscall.Credential // the user that the program runs as; nil: this program's
	Rlimits    []Rlimit            // resource limits of the program
	Limits     Limits              // of the whole tree
	Umask      *int                // file mode creation mask; nil: this program's
	Setsid     bool                // the leader leads a session of its own, not only a group

	// Terminal, where it isn't nil, is the terminal of this program's session, and
	// the leader's process group is made its foreground group before the program
	// runs. The caller takes the terminal back. With Setsid, it is the terminal that
	// is Stdin, belongs to no session, and becomes that of the leader's.
	Terminal *os.File

	Containment  Containment
	Until        Until
	OnLeaderLoss LossPolicy
	Stop         StopPlan // for Tree.Stop, a cancelled context, the end of the lease or of the owner

	// ID names the tree, for the commands and for Attach: letters, digits, and within
	// them '_', '.' and '-'. "": a name is made up. A name that a living tree has makes
	// Start fail with ErrTaken.
	ID string

	Lease Lease // how long it may run

	// Watchdog is the time within which the program has to send WATCHDOG=1, again and
	// again, by sd_notify(3); else the tree is stopped with CauseWatchdog. 0: it need
	// not. Linux.
	Watchdog time.Duration
	// Notify gives the program a socket, in NOTIFY_SOCKET, on which it tells of itself
	// by sd_notify(3): that it's ready, its status, its main process. A Lease and a
	// Watchdog do so, too. Linux.
	Notify bool

	// Owner is the PID of the process on whose behalf the tree runs; 0: this program.
	// When the owner is gone, the tree lives on for Grace, in which another may claim
	// it (see Attach); then it is stopped. 0: it is stopped at once. Linux; elsewhere
	// the owner is this program.
	Owner int
	Grace time.Duration

	// KeepOutput keeps what the program writes for who attaches, in pipes that hold up
	// to 1 MiB each (as much as the system lets this user have); when one is full, the
	// program waits. Stdout and Stderr must be nil. What nobody has read when the tree
	// ends stays in the journal.
	KeepOutput bool
	// Pipes has KeepOutput's pipes read by this program itself: Tree.Pipes gives them.
	// Nobody else can read them as long as it lives, and what is in them when the tree
	// ends is this program's to read.
	Pipes bool
	// ConfirmEnd has the end of the tree, and what is left in its Pipes, outlive this
	// program for Grace, as the tree does, until Tree.ConfirmEnd was called. It is for
	// who has to write down how each run ended, whoever is killed meanwhile.
	ConfirmEnd bool
	// KeepExit keeps how the run ended in the journal, for foster wait; of the newest
	// 64 trees.
	KeepExit bool

	// Err is why the program can't be started, known before Start: its lookup in
	// PATH failed.
	Err error

	ctx        context.Context
	unusable   error       // a field of an exec.Cmd that has no equal here
	started    bool        //
	childFiles []*os.File  // closed once the program was started, or failed to
	ownPipes   []io.Closer // closed where it failed to
	made       []*os.File  // pipes for the program
	outputs    []*output
	kept       []*output // whose pipes the shim holds, too
	pipes      []*output // that are this program's own to read: see Pipes
	inputs     []*input
}

// Rlimit is a resource limit (setrlimit(2)). RlimInfinity is no limit.
type Rlimit struct {
	Resource   int // syscall.RLIMIT_NOFILE and the like
	Soft, Hard uint64
}

// RlimInfinity is the value of a Rlimit that limits nothing.
const RlimInfinity = 1<<64 - 1

// Command returns the command to run a program with arguments. A name without a
// slash is looked up in PATH, as by exec.Command.
func Command(name string, args ...string) *Cmd {
	return From(context.Background(), exec.Command(name, args...))
}

// CommandContext is Command with a context: when it is done, the tree is stopped
// in the orderly way that Cmd.Stop says.
func CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	return From(ctx, exec.Command(name, args...))
}

// From takes over a command of os/exec that wasn't started. What has no equal here
// makes Start fail: Cancel, WaitDelay (a stop has a timeout of its own, and a run
// never waits for a pipe that outlives its tree), and of SysProcAttr all but
// Credential and Setsid, and Setpgid and Pdeathsig, whose purpose is foster's own.
func From(ctx context.Context, cmd *exec.Cmd) *Cmd {
	if ctx == nil {
		panic("foster: nil context")
	}
	c := &Cmd{
		Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir,
		Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr, ExtraFiles: cmd.ExtraFiles,
		Err: cmd.Err, ctx: ctx,
	}
	if a := cmd.SysProcAttr; a != nil {
		c.Credential, c.Setsid = a.Credential, a.Setsid
		c.unusable = unusableAttr(a)
	}
	switch {
	case cmd.Process != nil:
		c.unusable = errors.New("foster: the exec.Cmd was started")
	case cmd.Cancel != nil:
		c.unusable = errors.New("foster: the exec.Cmd has a Cancel, as one of exec.CommandContext: " +
			"use exec.Command, and hand the context to foster.From")
	case cmd.WaitDelay != 0:
		c.unusable = errors.New("foster: the exec.Cmd has a WaitDelay, for which foster has no use: set Cmd.Stop.Timeout")
	}
	return c
}

// String is the command as a person would read it; it isn't meant for a shell.
func (c *Cmd) String() string {
	if len(c.Args) < 2 {
		return c.Path
	}
	return c.Path + " " + strings.Join(c.Args[1:], " ")
}

// Run starts the command and waits until the run is over. The error is nil if the
// leader exited with 0 and all went well, else a *StartError or an *ExitError.
func (c *Cmd) Run() error {
	t, err := c.Start()
	if err != nil {
		return err
	}
	_, err = t.Wait()
	return err
}

// Output runs the command and returns what it wrote to its standard output, whole
// also where a process that is left of the tree wrote it.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("foster: Stdout already set")
	}
	var stdout bytes.Buffer
	c.Stdout = &stdout
	var stderr *tail
	if c.Stderr == nil {
		stderr = &tail{max: 64 << 10}
		c.Stderr = stderr
	}
	err := c.Run()
	if exit, ok := errors.AsType[*ExitError](err); ok && stderr != nil {
		exit.Stderr = stderr.kept
	}
	return stdout.Bytes(), err
}

// CombinedOutput runs the command and returns what it wrote to its standard output
// and its standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("foster: Stdout or Stderr already set")
	}
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}

// StdinPipe returns a pipe to the standard input of the program. It is closed by
// the caller, when the program is to see the end of its input.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil {
		return nil, errors.New("foster: Stdin already set")
	}
	r, w, err := c.pipe()
	if err != nil {
		return nil, err
	}
	c.Stdin = r
	c.childFiles, c.ownPipes = append(c.childFiles, r), append(c.ownPipes, w)
	return w, nil
}

// StdoutPipe returns a pipe from the standard output of the program. It is at its
// end when all who hold the other end have ended; unlike that of os/exec, it isn't
// closed by Wait, but by the caller.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) { return c.outPipe("Stdout", &c.Stdout) }

// StderrPipe is StdoutPipe for the standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) { return c.outPipe("Stderr", &c.Stderr) }

func (c *Cmd) outPipe(name string, to *io.Writer) (io.ReadCloser, error) {
	if *to != nil {
		return nil, fmt.Errorf("foster: %s already set", name)
	}
	r, w, err := c.pipe()
	if err != nil {
		return nil, err
	}
	*to = w
	c.childFiles, c.ownPipes = append(c.childFiles, w), append(c.ownPipes, r)
	return r, nil
}

// Environ is a copy of the environment that the program would get now, as by os/exec: Env
// or, where that is nil, this program's, with PWD where Dir is set; of several values of a
// variable the last. A start adds what Notify and ListenNames ask for.
func (c *Cmd) Environ() []string {
	return (&exec.Cmd{Env: c.Env, Dir: c.Dir}).Environ()
}

// tail keeps the end of what is written to it.
type tail struct {
	max  int
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.max; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}
