package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/supervise"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// newRun is foster run.
func newRun(stdin, stdout, stderr *os.File) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- command [argument…]",
		Short: "Run a command and hold all that it starts",
		Long: `Run a command in the foreground and hold every process that descends from it.

foster waits until the last of them has ended. If the command itself, a start
script say, is killed while the application that it started lives on, foster says
so and goes on (see --on-leader-loss). SIGTERM stops all of them: a signal first,
SIGKILL after --stop-timeout. When foster returns, nothing is left (--contain group
excepted, which loses what leaves the group, and says so).

On a terminal the command has the keyboard: Ctrl-C is for its process group, as
without foster. Once the command is gone, Ctrl-C stops what is left.

With --detach, foster prints the name of the tree and returns once the command runs;
foster attach, wait and stop do the rest. Up to 1 MiB of output is kept for foster
attach: a command that writes more waits until somebody attaches. So send much output
to a file, or use foster up, which keeps logs.`,
		Example: `  foster run -- ./start.sh
  foster run --until leader --stop-timeout 30s -- ./start.sh
  foster run --user www-data --env PORT=8080 -- ./server --verbose
  foster run --on-leader-loss stop --report text -- ./start.sh
  foster run --id web --detach -- ./start.sh
  foster run --lease 10m --lease-max 1h -- ./start.sh
  foster run --owner parent -- ./tool-server`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{hinted{errNoProgram, "foster run -- ./start.sh"}}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.command(args)
			if err != nil {
				return err
			}
			outliveReaders()
			r := &runner{cmd: c, quiet: f.quiet, report: f.report, stderr: stderr, owner: f.terms.held}
			if !f.terms.noRecover && f.terms.monitor == 0 {
				if err := r.recoverFirst(cmd.Context()); err != nil {
					return err
				}
			}
			if c.ID != "" && f.terms.monitor == 0 {
				if err := r.awaitStopped(cmd.Context(), c.ID); err != nil {
					return err
				}
			}
			if f.terms.detach && f.terms.monitor == 0 {
				if err := f.terms.handOn(); err != nil {
					return err
				}
				return detach(typed(cmd, args), f.terms.output, stdout, stderr)
			}
			c.ExtraFiles = inherited()
			if n := f.terms.monitor - 3; n >= 0 && n < len(c.ExtraFiles) && c.ExtraFiles[n] != nil {
				r.monitor = &monitorPipe{c.ExtraFiles[n]}
				c.ExtraFiles = c.ExtraFiles[:n]
				sys.SetName("foster") // it was started by another name
			} else {
				c.KeepOutput = false
				c.Stdin, c.Stdout, c.Stderr = stdin, stdout, stderr
			}
			err = r.run(cmd.Context())
			r.monitor.failed(err)
			return err
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault // a program, or its file
		},
	}
	f.add(cmd)
	return cmd
}

// typed is the command line after foster run, as it was typed.
func typed(cmd *cobra.Command, args []string) []string {
	var list []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if v, ok := f.Value.(pflag.SliceValue); ok {
			for _, one := range v.GetSlice() {
				list = append(list, "--"+f.Name+"="+one)
			}
			return
		}
		list = append(list, "--"+f.Name+"="+f.Value.String())
	})
	return append(append(list, "--"), args...)
}

// inherited are the descriptors from 3 up that foster was started with, as by
// 3<file in a shell: they are for the command.
func inherited() (files []*os.File) {
	for _, fd := range sys.Inherited() {
		for len(files) < fd-3 {
			files = append(files, nil)
		}
		files = append(files, os.NewFile(uintptr(fd), "inherited"))
	}
	return files
}

// runner is one foster run.
type runner struct {
	cmd     *foster.Cmd
	quiet   bool
	report  string
	stderr  *os.File
	teller  *teller      // writes to stderr, while the application runs
	monitor *monitorPipe // of the background half of --detach; else nil
	signals <-chan os.Signal
	owner   *heldOwner // nil: foster itself

	tree     *foster.Tree
	terminal *terminal        // nil where there is none
	left     []foster.Process // who lived on when the leader was lost
	stopping bool
	asked    stopKind // by a signal

	signalled  time.Time // when the stop signal was sent
	interrupts int       // how often Ctrl-C came
	suspended  bool      // stopped with the application, which had the terminal
}

func (r *runner) run(ctx context.Context) error {
	// If the shim is killed, its tree falls to this process, which starts nobody else.
	if err := contain.Adopt(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("become the subreaper: %w", err)
	}
	r.signals = catchSignals()
	r.terminal = openTerminal()
	r.cmd.KeepTerminal = true // it is lent here
	if r.terminal.interactive() {
		r.cmd.Terminal = r.terminal.file
	}
	r.givePipes()
	tree, err := r.cmd.Start()
	if err != nil {
		r.terminal.take(0) // of a leader that had it, but not its program
		return startError(r.cmd, err)
	}
	r.tree, r.teller = tree, newTeller(r.stderr)
	r.monitor.started(tree.ID())
	if r.owner.ended() && r.cmd.Grace == 0 { // before the shim had a handle on it, perhaps
		r.terminate()
	}
	events := make(chan foster.Event)
	go func() {
		for e := range tree.Events(ctx) {
			events <- e
		}
		close(events)
	}()
	for {
		select {
		case e, more := <-events:
			if !more {
				return r.end()
			}
			r.event(e)
		case s := <-r.signals:
			r.signal(s)
		}
	}
}

// givePipes makes the pipes of a shell's pipeline belong to the user that the command runs
// as, where they belong to foster's, as those that foster makes do.
func (r *runner) givePipes() {
	if r.cmd.Credential == nil {
		return
	}
	for _, stream := range []any{r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr} {
		if f, ok := stream.(*os.File); ok && f != nil {
			_ = sys.GivePipe(f, r.cmd.Credential.Uid, r.cmd.Credential.Gid) // it can use them all the same
		}
	}
}

// event notes what happened, and says what a person wants to know at once.
func (r *runner) event(e foster.Event) {
	switch e.Kind {
	case foster.EventLeaderPaused:
		r.pause(e.Signal)
	case foster.EventLeaderLost:
		r.left = e.Processes
		if r.interrupts > 0 {
			r.terminate() // who is left has ignored SIGINT
		}
		if r.cmd.Until == foster.UntilLeader || r.stopping {
			return
		}
		// Nobody reads the terminal for the leader any more: Ctrl-C is foster's again.
		hint := ""
		if r.terminal.take(r.tree.Leader()) && r.goesOn() {
			hint = plural(len(e.Processes), "; Ctrl-C stops it", "; Ctrl-C stops them")
		}
		r.say(lostLine(r.cmd, r.tree, e, r.goesOn()) + hint)
	case foster.EventStopping:
		r.stopping = true
	case foster.EventSignaled:
		if e.Signal == cmp.Or(r.cmd.Stop.Signal, syscall.SIGTERM) && r.signalled.IsZero() {
			r.signalled = e.Time // a step of the stop that is under way
		}
	case foster.EventLeaseEnding:
		r.say(fmt.Sprintf("the lease ends in %s; foster extend %s TIME lets it run on", short(e.Left), r.tree.ID()))
	case foster.EventLeaseOver:
		r.say("the lease is over: stopping")
	case foster.EventWatchdog:
		r.say("the command didn't call its watchdog in time: stopping")
	case foster.EventOwnerGone:
		r.say(ownerGoneLine(e, r.tree.ID()))
	case foster.EventClaimed:
		r.say(fmt.Sprintf("the owner is %s (pid %d) now", printable(e.Text), e.PID))
	case foster.EventOutOfMemory:
		r.say("out of memory: the kernel has killed " + count(e.Count, "process") + " at the limit of --memory")
	case foster.EventReleased:
		r.say("released, and nobody watches " + plural(e.Count, "it", "them") + " from now on: " + processNames(e.Processes, e.Count))
	case foster.EventShimPaused:
		r.say("the stop waits: " + e.Text)
	case foster.EventShimLost:
		r.say("the shim has died: foster ends what it held")
	case foster.EventKilled:
		r.say("had to be ended by SIGKILL: " + processNames(e.Processes, e.Count))
	}
}

func (r *runner) goesOn() bool {
	return r.cmd.OnLeaderLoss == "" || r.cmd.OnLeaderLoss == foster.LossContinue
}

// say tells something at once, and doesn't wait until it is read.
func (r *runner) say(text string) {
	if !r.quiet {
		r.teller.tell("foster: " + text + "\n")
	}
}

// end gives back the terminal, tells how it ended, and gives the status.
func (r *runner) end() error {
	exit, err := r.tree.Wait()
	r.terminal.restore(r.tree.Leader(), exit.Leader.Signal != 0)
	r.teller.last(r.verdict(exit, err), func() bool { return r.atLeisure(exit.Cause) })
	status := endOfExit(exit).status()
	if status == 0 {
		return nil
	}
	if status == 128+int(syscall.SIGINT) && exit.Leader.Signal == syscall.SIGINT && r.terminal != nil {
		interruptSelf()
	}
	return statusError(status)
}

// verdict is what is told at the end, the report included.
func (r *runner) verdict(exit foster.Exit, err error) string {
	var b strings.Builder
	line := func(text string) { b.WriteString("foster: " + text + "\n") }
	if lost := r.reapOrphans(); len(lost) > 0 && !r.quiet {
		line("left the process group, and are not held any more: " + processNames(lost, len(lost)))
	}
	switch {
	case r.quiet:
	case exit.LeaderLost:
		line(endLine(exit))
	case exit.Released:
		line("it was released: its processes run on, and nobody watches them")
	}
	b.WriteString(reportText(r.report, r.cmd, exit, r.left))
	if s, ok := errors.AsType[*foster.SurvivorsError](err); ok {
		line(printable(units.ErrorText(s)))
	}
	if endOfExit(exit).status() == exitFoster || errors.Is(err, foster.ErrLeaderLost) {
		line(printable(units.ErrorText(err)))
	}
	return b.String()
}

// atLeisure says whether who reads may take any time: what has ended by itself may be
// read as slowly as somebody likes, until a signal says otherwise.
func (r *runner) atLeisure(cause foster.Cause) bool {
	for len(r.signals) > 0 {
		switch <-r.signals {
		case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
			r.asked = stopByPlan
		}
	}
	byItself := []foster.Cause{foster.CauseEnded, foster.CauseLeaderEnded, foster.CauseLeaderLost, foster.CauseLeaderLostFail}
	return r.asked == notAsked && slices.Contains(byItself, cause)
}

// interruptSelf ends foster by the SIGINT that has ended the application: a shell
// script that runs foster is interrupted by Ctrl-C only if it sees that. The status
// is 130 either way.
func interruptSelf() {
	if signal.Ignored(syscall.SIGINT) {
		return
	}
	signal.Reset(syscall.SIGINT)
	_ = sys.Kill(os.Getpid(), syscall.SIGINT) // this process
	<-time.After(time.Second)                 // it is on its way, by another thread
}

// takenHint says what to do about a tree that has the name of another: one that nobody
// answers for may be held by a process that is stopped.
func takenHint(id string) string {
	if found, err := find(id); err == nil && found.State == journal.Living {
		if held := newHeldError(found); held.by.Stopped() {
			return held.Error() + "; " + held.by.Remedy()
		}
	}
	return "foster ls lists the living trees"
}

// startError adds what could be done about it.
func startError(c *foster.Cmd, err error) error {
	start, ok := errors.AsType[*foster.StartError](err)
	if !ok {
		return err
	}
	switch start.Stage {
	case foster.StageLookup:
		if c.Path == "" {
			start.Err = fmt.Errorf("exec: \"\": %w", fs.ErrNotExist)
			return hinted{start, "is the variable empty that should name the command?"}
		}
	case foster.StageRlimit:
		return hinted{err, "foster must run as root to raise a hard limit, and nofile no further than to fs.nr_open"}
	case foster.StageCredential:
		return hinted{err, "foster must run as root to run a command as another user or group"}
	case foster.StageJournal:
		if errors.Is(err, foster.ErrTaken) {
			return hinted{fmt.Errorf("--id: %w", start.Err), takenHint(c.ID)}
		}
		if errors.Is(err, journal.ErrLost) {
			return hinted{fmt.Errorf("--id: %q: foster and the shim of the tree that had this name were killed", c.ID), "foster recover ends what is left of it, and names what it can't prove to be of it"}
		}
		if errors.Is(err, journal.ErrForeign) {
			return hinted{fmt.Errorf("--id: %w", start.Err), foreignHint(c.ID)}
		}
		return start.Err // it says what to set
	case foster.StageConfig:
		if c.Owner != 0 {
			why := start.Err
			if inner := errors.Unwrap(why); inner != nil {
				why = inner // it names the flag, too
			}
			return usageError{flagError("owner", why)}
		}
	case foster.StageContainment:
		if c.Limits != (foster.Limits{}) {
			return err // it says what would help
		}
		return hinted{err, "--contain auto takes the strongest that can be had"}
	case foster.StageDir:
		return flagError("dir", fmt.Errorf("%s: %w", c.Dir, start.Err))
	case foster.StageExec:
		if hint := supervise.ExecHint(start.Path, c.Dir); hint != "" {
			return hinted{err, hint}
		}
		if supervise.StartStatus(err) == exitCannotRun {
			return hinted{err, "may this user execute it, and look into its folders?"}
		}
	}
	return err
}
