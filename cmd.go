package foster

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Cmd is a command that is to be run. Its fields are those of os/exec.Cmd where
// these have a meaning here, with the same meaning; it is used once.
//
// What differs from os/exec:
//   - A run is over when the last process of the tree has ended, not when the leader has:
//     see Until. When this program ends, its trees are stopped.
//   - A context that is done stops the tree as Stop says: SIGTERM, up to 10 s, SIGKILL. With
//     os/exec it is SIGKILL at once, for the leader alone; From keeps what Cancel says.
//   - Start returns a Tree, which is waited for and signalled; how it ended is in Exit.
//   - The leader leads a process group of its own, and is lent this program's terminal: see
//     Terminal.
//   - The program gets no descriptor but Stdin, Stdout, Stderr and ExtraFiles.
//   - Wait doesn't wait for a reader that blocks, nor for a pipe that a process outside of
//     the tree holds, and doesn't close what StdoutPipe and StderrPipe gave.
//   - Errors are of this package: a *StartError or an *ExitError, in which errors.As finds the
//     *exec.ExitError, *exec.Error or *fs.PathError that os/exec would have returned.
type Cmd struct {
	Path string   // of the program; if relative, to Dir
	Args []string // with the program's name as Args[0]; empty: {Path}
	Env  []string // "key=value"; nil: this program's environment
	Dir  string   // working directory; "": this program's

	// Stdin is read by the program. nil is /dev/null; an *os.File is handed over as
	// it is; anything else is copied to a pipe, in a goroutine. An error of Stdin's Read
	// is one of the run. Wait doesn't wait for a Read that blocks: what it gives when the
	// tree has ended is lost.
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

	// Chroot is the folder that is the program's root (chroot(2)); "": this program's. Path,
	// Dir and the rest are looked up in it. Only root may.
	Chroot string
	// AmbientCaps are capabilities that the program keeps though it isn't root
	// (capabilities(7)). Linux.
	AmbientCaps []uintptr

	Credential *syscall.Credential // the user that the program runs as; nil: this program's
	Rlimits    []Rlimit            // resource limits of the program
	Limits     Limits              // of the whole tree
	Umask      *int                // file mode creation mask; nil: this program's
	Setsid     bool                // the leader leads a session of its own, not only a group

	// Terminal, where it isn't nil, is the terminal of this program's session, and
	// the leader's process group is made its foreground group before the program
	// runs. The caller takes the terminal back. With Setsid, it is the terminal that
	// is Stdin, belongs to no session, and becomes that of the leader's.
	//
	// It need not be set for a program that is to use the terminal as with os/exec. While
	// this program has its terminal, in the foreground, it is lent to the leader's process
	// group: from the start if it is Stdin, else when the leader wants to read it, say for a
	// password. So Ctrl-C and Ctrl-Z are for the tree, and this program, which doesn't get
	// SIGINT then, has the terminal back when the leader has ended. If the tree is stopped by
	// Ctrl-Z, this program is, too, and both go on when the shell says so. In the background
	// nothing is taken: who reads there is stopped with this program, as with os/exec.
	Terminal *os.File
	// KeepTerminal leaves the terminal with this program: Ctrl-C is for it alone, and a tree
	// that reads the terminal is stopped by the kernel. It is for who lends it by itself.
	KeepTerminal bool

	Containment  Containment
	Until        Until
	OnLeaderLoss LossPolicy
	Stop         StopPlan // for Tree.Stop, a cancelled context, the end of the lease or of the owner

	// ID names the tree, for the commands and for Attach: letters, digits, and within
	// them '_', '.' and '-'. "": a name is made up. A name that a living tree has makes
	// Start fail with ErrTaken, at once, as a port that is in use does: also while the shim of
	// a program that was killed still stops what that has left. Who starts the same anew tries
	// again then, until the time of that stop is over.
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

	// Exit is how the run ended, be it well or not, once Run or Tree.Wait has returned; nil
	// before. It has what os/exec has in ProcessState, and more.
	Exit *Exit

	ctx        context.Context
	taken      *takeover   // of os/exec; nil: it isn't one
	attr       attributes  // of os/exec
	unusable   error       // a field of an exec.Cmd that has no equal here
	started    bool        //
	childFiles []*os.File  // closed once the program was started, or failed to
	ownPipes   []io.Closer // closed where it failed to
	made       []*os.File  // pipes for the program
	outputs    []*output
	kept       []*output // whose pipes the shim holds, too
	pipes      []*output // that are this program's own to read: see Pipes
	inputs     []*input
	stdinPipes []*os.File // closed when the run is over
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

// From takes over a command of os/exec that wasn't started. The tree is ended when ctx is
// done or, with a command of exec.CommandContext, when its own context is.
//
// Cancel and WaitDelay keep their meaning. When the context is done, Cancel is called: that
// of exec.CommandContext sends SIGKILL, here to the whole tree at once; one of your own finds
// the leader in cmd.Process, and once the leader has ended by it, the rest is stopped as
// Cmd.Stop says. WaitDelay later, what is left gets SIGKILL. WaitDelay also is how long
// others may outlive the leader: then they are stopped, and the error is exec.ErrWaitDelay.
// For all other stops, it is Cmd.Stop.Timeout. If Cmd.Stop is set after From, it takes the
// place of the Cancel of exec.CommandContext: the tree is stopped in the orderly way.
//
// Of SysProcAttr, Credential, Chroot, Setsid, Setctty, Foreground, Ctty, Noctty, AmbientCaps,
// the namespaces and their mappings are taken over. Setpgid and Pdeathsig aren't needed:
// their purpose is foster's own. Another field that is set makes Start fail with an error
// that names it.
func From(ctx context.Context, cmd *exec.Cmd) *Cmd {
	if ctx == nil {
		panic("foster: nil context")
	}
	c := &Cmd{
		Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir,
		Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr, ExtraFiles: cmd.ExtraFiles,
		Err: cmd.Err, ctx: ctx, taken: newTakeover(cmd),
	}
	c.Stop = c.taken.plan
	if a := cmd.SysProcAttr; a != nil {
		c.unusable = c.takeAttr(a)
	}
	c.unusable = cmp.Or(c.taken.valid(), c.unusable)
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
	var stderr *excerpt
	if c.Stderr == nil {
		stderr = new(excerpt)
		c.Stderr = stderr
	}
	err := c.Run()
	if exit, ok := errors.AsType[*ExitError](err); ok && stderr != nil {
		exit.Stderr = stderr.bytes()
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
// the caller, when the program is to see the end of its input, and when the run is over.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if err := c.canHavePipe("Stdin", c.Stdin != nil); err != nil {
		return nil, err
	}
	r, w, err := c.pipe(sharedInput)
	if err != nil {
		return nil, err
	}
	c.Stdin = r
	c.childFiles, c.ownPipes = append(c.childFiles, r), append(c.ownPipes, w)
	c.stdinPipes = append(c.stdinPipes, w)
	return w, nil
}

func (c *Cmd) canHavePipe(field string, set bool) error {
	switch {
	case c.started:
		return &fromLibrary{fmt.Errorf("%sPipe after Start: %w", field, ErrStarted)}
	case set:
		return newError(field + " already set")
	}
	return nil
}

// StdoutPipe returns a pipe from the standard output of the program. It is at its
// end when all who hold the other end have ended; unlike that of os/exec, it isn't
// closed by Wait, but by the caller.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) { return c.outPipe("Stdout", &c.Stdout) }

// StderrPipe is StdoutPipe for the standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) { return c.outPipe("Stderr", &c.Stderr) }

func (c *Cmd) outPipe(name string, to *io.Writer) (io.ReadCloser, error) {
	if err := c.canHavePipe(name, *to != nil); err != nil {
		return nil, err
	}
	r, w, err := c.pipe(sharedOutput)
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

// excerpt keeps the beginning and the end of what is written to it.
type excerpt struct {
	first, last []byte
	left        int64 // bytes that were left out between them
}

// excerptPart is how much of each is kept.
const excerptPart = 32 << 10

func (e *excerpt) Write(p []byte) (int, error) {
	n := min(len(p), excerptPart-len(e.first))
	e.first = append(e.first, p[:n]...)
	e.last = append(e.last, p[n:]...)
	if over := len(e.last) - excerptPart; over > 0 {
		e.left += int64(over)
		e.last = append(e.last[:0], e.last[over:]...)
	}
	return len(p), nil
}

func (e *excerpt) bytes() []byte {
	if e.left == 0 {
		return slices.Concat(e.first, e.last)
	}
	return slices.Concat(e.first, fmt.Appendf(nil, "\n... omitting %d bytes ...\n", e.left), e.last)
}
