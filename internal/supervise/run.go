package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/activate"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// launch starts the tree of an instance, after its hook.
func (s *Supervisor) launch(i *instance) {
	ctx, cancel := context.WithCancel(context.Background())
	i.run++
	i.launches++
	i.starting, i.current, i.agreed = cancel, i.spec, planOf(&i.spec)
	i.plan, i.preparing, i.cutStop, i.owesHook = foster.StopPlan{}, nil, nil, false
	i.left, i.health, i.text, i.told, i.lineSeen, i.pid = nil, "", "", false, false, 0
	i.forked, i.leaderEnded, i.wasReady, i.fault = false, false, false, ""
	s.memory.forgetBegun(i.treeID)
	s.memory.shown(i.treeID, shownNote{})
	i.taken = time.Time{}
	if i.restarted {
		i.restarts++
	}
	s.noteTries(i, 0)
	run, spec := i.run, i.spec
	l := launching{slots: s.slots, id: i.treeID, spec: &spec, grace: s.project.Grace, sockets: &i.app.sockets}
	if spec.Terminal {
		l.terminal = newTerminal()
	}
	log := s.logs.Log(i.app.spec.Name, i.replica)
	log.SetPolicy(logPolicy(spec.Logs))
	s.helpers.Go(func() {
		defer cancel()
		log.EndLines()
		tree, err := l.start(ctx)
		s.post(func() {
			if err == nil {
				i.terminal = l.terminal
			}
			s.launched(i, run, tree, err)
		})
	})
}

// launching is a start under way.
type launching struct {
	slots    chan struct{}
	id       string
	spec     *config.App
	grace    time.Duration
	sockets  *activate.Set
	terminal *terminal // nil: none
}

// start runs the hook before a start, and the start. It is cut short when ctx is done. A
// hook may wait for another application: so it doesn't count among the starts at one time.
func (l *launching) start(ctx context.Context) (*foster.Tree, error) {
	spec := l.spec
	if err := runHook(ctx, spec, "pre_start", spec.Hooks.PreStart); err != nil {
		return nil, err
	}
	done, err := takeSlot(ctx, l.slots)
	if err != nil {
		return nil, err
	}
	defer done()
	tree, err := l.startTree()
	if errors.Is(err, journal.ErrLost) { // of a supervisor that was killed in the middle of a start
		lost, _, rerr := foster.Recover(ctx)
		if tree, err = l.startTree(); err == nil {
			return tree, nil
		}
		if left := leftOf(lost, l.id); left != nil {
			return nil, fmt.Errorf("%w: %w", err, left)
		}
		err = errors.Join(err, rerr)
	}
	return tree, err
}

// slowStart is after how long a start doesn't count among those at one time any more: it
// hangs, in a file system that is gone, say, and isn't to hold up the others.
const slowStart = 5 * time.Second

// takeSlot waits until there is room for another start, or ctx is done. The slot is given
// back by done, or when the start is slow.
func takeSlot(ctx context.Context, slots chan struct{}) (done func(), err error) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	giveBack := sync.OnceFunc(func() { <-slots })
	slow := time.AfterFunc(slowStart, giveBack)
	done = func() {
		slow.Stop()
		giveBack()
	}
	if err := ctx.Err(); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

func (l *launching) startTree() (*foster.Tree, error) {
	spec := l.spec
	cmd, err := command(spec)
	if err != nil {
		return nil, err
	}
	if err := listen(cmd, l.sockets, spec); err != nil {
		return nil, err
	}
	cmd.ID, cmd.Grace = l.id, l.grace
	cmd.ConfirmEnd = true
	keepOutput(cmd, spec)
	input, err := openInput(cmd, spec)
	if err != nil {
		return nil, err
	}
	if input != nil {
		defer input.Close()
	}
	var tree *foster.Tree
	if err = l.terminal.open(cmd, spec); err == nil {
		tree, err = cmd.Start()
	}
	l.terminal.started(err)
	return tree, withHint(spec, keyError(spec, err))
}

// openInput gives a command an input that stays open and empty, where its configuration wants
// that. Nobody has to hold it open: see sys.OpenInput.
func openInput(cmd *foster.Cmd, spec *config.App) (*os.File, error) {
	if spec.Stdin != config.StdinOpen || spec.Terminal {
		return nil, nil
	}
	input, err := sys.OpenInput()
	if err != nil {
		return nil, fmt.Errorf("stdin: %w", err)
	}
	if u := cmd.Credential; u != nil { // /dev/stdin can be opened by its name, too
		if err := input.Chown(int(u.Uid), -1); err != nil {
			input.Close()
			return nil, fmt.Errorf("stdin: %w", err)
		}
	}
	cmd.Stdin = input
	return input, nil
}

// keyError names the key that a start has failed by, and what it takes.
func keyError(spec *config.App, err error) error {
	start, ok := errors.AsType[*foster.StartError](err)
	switch {
	case !ok:
	case start.Stage == foster.StageDir:
		return fmt.Errorf("working_dir: %s: %w", spec.Dir, start.Err)
	case start.Stage == foster.StageCredential && errors.Is(err, syscall.EPERM):
		key := "supplementary_groups"
		if spec.User != "" {
			key = "user: " + spec.User
		} else if spec.Group != "" {
			key = "group: " + spec.Group
		}
		return fmt.Errorf("%s: foster must run as root for that: %w", key, start.Err)
	case start.Stage == foster.StageRlimit && errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: foster must run as root to raise a hard limit", start.Err)
	}
	return err
}

// command is the command of an application, as package foster has it.
func command(spec *config.App) (*foster.Cmd, error) {
	cmd := foster.Command(spec.Command[0], spec.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.Umask, cmd.Rlimits = spec.Dir, environment(spec), spec.Umask, spec.Rlimits
	cmd.Limits = foster.Limits(spec.Limits)
	cmd.KeepTerminal = true // it is the supervisor's
	cmd.Containment, cmd.Until = spec.Containment, spec.Until
	cmd.Lease, cmd.Watchdog, cmd.Notify = spec.Lease, spec.Watchdog, notifies(spec)
	switch spec.OnLeaderLoss {
	case config.LossStop, config.LossFail:
		cmd.OnLeaderLoss = foster.LossPolicy(spec.OnLeaderLoss)
	}
	cmd.Stop = planOf(spec)
	return cmd, become(cmd, spec)
}

// become has a command run as the user of its application. That user must not reach the
// terminal of the supervisor, which it could type into (TIOCSTI, ioctl_tty(2)): so the command
// leads a session of its own, which has none.
func become(cmd *foster.Cmd, spec *config.App) (err error) {
	cmd.Credential, err = units.Credential(spec.User, spec.Group, spec.Groups...)
	cmd.Setsid = cmd.Credential != nil
	return err
}

// launched takes the news of a start.
func (s *Supervisor) launched(i *instance, run uint64, tree *foster.Tree, err error) {
	if errors.Is(err, foster.ErrTaken) {
		s.step(i, CantBeAttached, fmt.Sprintf("can't be started now: %s, and somebody else has started it", units.ErrorText(err)), outcome{})
		return
	}
	if err != nil {
		i.facts.ran = !errors.Is(err, context.Canceled)
		why := units.ErrorText(err)
		if !i.facts.ran {
			why = "it was stopped before it ran"
		}
		i.exit = &client.Exit{Cause: notStartedWords + why, StartStatus: StartStatus(err), Started: time.Now(), Ended: time.Now()}
		if i.facts.ran {
			s.failedRun(i)
		}
		i.ends++ // nothing of it is left: who waits for that isn't to wait for the next
		o := i.judgeEnd(outcome{}, 0)
		s.step(i, NotLaunched, i.gaveUp(o, why), o)
		return
	}
	s.hold(i, tree)
	i.started = time.Now()
	i.totals.starts++
	s.beginRun(i, i.startedBy())
	s.follow(i, tree, s.capture(i, tree, true))
	s.step(i, Launched, i.launchCause(), outcome{})
	if i.m.State == client.Running {
		s.hook(i, "post_start", i.current.Hooks.PostStart)
	}
}

func (i *instance) launchCause() string {
	if i.by == "" {
		return i.withPID("started")
	}
	return i.withPID("started " + i.by)
}

// withPID adds the number of the leader, where there is one.
func (i *instance) withPID(text string) string {
	if i.pid <= 0 {
		return text
	}
	return fmt.Sprintf("%s (pid %d)", text, i.pid)
}

// hold makes a tree that of the instance.
func (s *Supervisor) hold(i *instance, tree *foster.Tree) {
	s.tidySoon()
	i.tree, i.pid, i.meter = tree, tree.Leader(), &meter{}
	i.current = i.current.TakeOver(i.spec) // an update may have come meanwhile
}

// follow tells the loop what happens to a tree, and when it has ended.
func (s *Supervisor) follow(i *instance, tree *foster.Tree, output captures) {
	run, term := i.run, i.terminal
	if term != nil {
		s.helpers.Go(term.run)
	}
	s.helpers.Go(func() {
		for e := range tree.Events(context.Background()) {
			if e.Kind != foster.EventEnded {
				s.post(func() { s.heard(i, run, e) })
			}
		}
		exit, err := tree.Wait()
		e := ending{exit: exit, err: err}
		last := unwritten{terminal: term, output: output}
		last.finish()
		soon := last.writtenSoon()
		if !soon {
			s.awaitsDisk(i, true)
		}
		var spec config.App
		_ = s.ask(func() { // who has left notes nothing: the next life is told
			spec = i.current
			s.noteEnd(i, run, &e)
		})
		// Until all is in the log, nothing is confirmed, and no other run begins: whoever kills
		// this process meanwhile has lost nothing, since the shim has the rest.
		over, forget := s.impatience()
		if last.written(over) {
			s.confirmEnd(tree)
		}
		forget()
		output.finish()
		if !soon {
			s.awaitsDisk(i, false)
		}
		s.conclude(i, run, &spec, e)
	})
}

// impatience is closed when an end is no longer waited for to be written: a moment after it,
// where all is stopped without delay.
func (s *Supervisor) impatience() (over <-chan struct{}, forget func() bool) {
	closed := make(chan struct{})
	return closed, context.AfterFunc(s.patient, func() { time.AfterFunc(slowDisk, func() { close(closed) }) })
}

// heard takes an event of a tree.
func (s *Supervisor) heard(i *instance, run uint64, e foster.Event) {
	if run != i.run {
		return
	}
	switch e.Kind {
	case foster.EventStarted:
		s.learnStart(i, e.Time)
	case foster.EventLeaderLost:
		s.lostLeader(i, e.Status)
	case foster.EventNotified:
		if e.Text != "" {
			i.text = e.Text
		}
		if e.Ready && !i.told {
			i.told = true
			s.shown(i)
		}
	case foster.EventLeaseEnding:
		s.event(i, "lease", "the lease ends in %s", e.Left.Round(time.Second))
	case foster.EventLeaseExtended:
		s.event(i, "lease", "the lease was extended: it ends in %s", e.Left.Round(time.Second))
	case foster.EventLeaseOver:
		s.event(i, "lease", "the lease is over: it is stopped")
	case foster.EventWatchdog:
		s.event(i, "watchdog", "it didn't call its watchdog in time: it is stopped")
	case foster.EventShimPaused:
		s.event(i, "problem", "the stop waits: %s", e.Text)
	case foster.EventKilled:
		s.event(i, "killed", "SIGKILL was sent to %d that hadn't ended in time", e.Count)
	case foster.EventLimitUnmet:
		s.event(i, "limits", "goes on without a limit, as it is optional: %s", e.Text)
	case foster.EventOutOfMemory:
		s.event(i, "limits", "out of memory: the kernel has killed %d at its limit", e.Count)
	}
}

// lostLeader takes the news that the leader has ended and others live on. For a daemon that
// goes into the background, that is its start.
func (s *Supervisor) lostLeader(i *instance, status foster.Status) {
	i.leaderEnded = true
	switch {
	case !i.current.Forking:
		s.step(i, LostLeader, "start script lost, application alive: its leader "+endWords(status), outcome{})
	case i.forked:
	case status.Known && succeededWith(&i.current, status):
		i.forked = true
		s.event(i, "forked", "its first process %s; its daemon runs on", endWords(status))
		s.readiness(i)
	case !s.ending: // it ends in its turn
		s.step(i, Unready, "its start has failed: its first process "+endWords(status), outcome{})
	}
}

// endWords is how a process has ended.
func endWords(s foster.Status) string {
	switch {
	case !s.Known:
		return "has ended, nobody knows how"
	case s.Signal == 0:
		return fmt.Sprintf("exited with status %d", s.Code)
	case s.Core:
		return fmt.Sprintf("was killed by %s (core dumped)", units.SignalName(s.Signal))
	}
	return "was killed by " + units.SignalName(s.Signal)
}

// confirmEnd has the shim forget how a tree has ended, once the history has it, and the
// log the tree's last words. A supervisor that is killed before is told again when the
// next attaches.
func (s *Supervisor) confirmEnd(tree *foster.Tree) {
	select {
	case <-s.done:
		if s.Left() {
			return // it is for the next supervisor to note
		}
	default:
	}
	over, forget := s.impatience()
	defer forget()
	if s.past.store.FlushUntil(over) {
		tree.ConfirmEnd()
	}
}

// pause sets the clock of the backoff.
func (s *Supervisor) pause(i *instance) {
	i.restarted, i.by = true, "again after it had ended"
	s.noteTries(i, 1)
	s.setClock(i, i.due, func() { s.step(i, BackoffOver, "the pause is over", outcome{}) })
}

// signalTree sends a signal to a tree. It isn't for the loop: a shim may hang.
func signalTree(tree *foster.Tree, sig syscall.Signal, scope foster.Scope) error {
	if err := tree.Signal(sig, scope); err != nil {
		return fmt.Errorf("%s: %w", units.SignalName(sig), err)
	}
	return nil
}
