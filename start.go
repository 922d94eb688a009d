package foster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// Start starts the command and returns its tree. The error is a *StartError, or
// the context's where that is done already; then nothing of the attempt is left.
func (c *Cmd) Start() (*Tree, error) {
	if c.started {
		return nil, ErrStarted
	}
	c.started = true
	t, err := c.start()
	closeAll(c.childFiles)
	if err != nil {
		closeAll(c.ownPipes)
		return nil, err
	}
	return t, nil
}

func closeAll[C interface{ Close() error }](list []C) {
	for _, f := range list {
		_ = f.Close()
	}
}

func (c *Cmd) start() (*Tree, error) {
	if c.ctx == nil {
		c.ctx = context.Background()
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	if c.taken != nil && c.taken.ctx != nil && c.taken.ctx.Err() != nil {
		return nil, c.taken.ctx.Err()
	}
	s := starter{cmd: c, id: c.ID, owner: -1}
	if s.id == "" {
		s.id = newID()
	}
	if err := s.prepare(); err != nil {
		s.lent.close(0, false)
		return nil, err
	}
	defer s.closeOwner()
	if err := s.launch(); err != nil {
		s.abandon()
		s.lent.close(0, false)
		return nil, err
	}
	return s.tree(), nil
}

// starter is a start under way.
type starter struct {
	cmd      *Cmd
	id       string
	msg      *wire.Start
	level    wire.Containment
	named    bool // the containment was asked for by name
	cwd      *os.File
	files    []*os.File
	terminal *os.File
	cgroup   *contain.Cgroup
	shim     *shim.Process
	parks    bool        // by a shim that is parked
	roll     *shim.Roll  // nil: the shim writes to the journal by itself
	shared   *sharedShim // which shim is one of; nil: it holds this tree alone
	started  *wire.Started
	leader   int

	owner      int // pidfd of an owner with a name; -1: none
	listener   *os.File
	registered *registration
	lent       *lending // the terminal is this program's own; nil: it isn't
	unmet      []error  // limits that can't be had
}

func (s *starter) fail(stage Stage, err error) error {
	return &StartError{Stage: stage, Path: s.cmd.Path, Err: err, dir: s.cmd.Dir}
}

// prepare does what can fail before there is a process.
func (s *starter) prepare() (err error) {
	c := s.cmd
	switch {
	case c.unusable != nil:
		return s.fail(StageConfig, c.unusable)
	case c.Err != nil:
		return s.fail(StageLookup, c.Err)
	case c.Path == "":
		return s.fail(StageLookup, errors.New("foster: no command"))
	}
	if s.level, s.named, err = c.Containment.level(); err != nil {
		return s.fail(StageConfig, err)
	}
	if err := errors.Join(c.Until.valid(), c.OnLeaderLoss.valid(), c.Lease.valid(), c.validTerms(), c.validSockets(), c.validKeep(), c.validLimits()); err != nil {
		return s.fail(StageConfig, err)
	}
	plan, err := c.Stop.plan()
	if err != nil {
		return s.fail(StageConfig, fmt.Errorf("Stop: %w", err))
	}
	if err := errors.Join(c.validText(), c.validFiles()); err != nil {
		return s.fail(StageConfig, err)
	}
	files, closed, err := c.files()
	if err != nil {
		return s.fail(StageFiles, err)
	}
	s.files = files
	if s.terminal, err = c.terminal(files); err != nil {
		return s.fail(StageConfig, err)
	}
	if s.lent = c.lend(); s.lent != nil {
		s.terminal = s.lent.file
	}
	s.msg = c.message(len(files), plan)
	s.msg.Foreground = s.terminal != nil
	s.msg.Closed, s.msg.ID = closed, s.id
	for _, out := range c.kept {
		s.msg.Outputs = append(s.msg.Outputs, out.stream)
	}
	s.msg.Read, s.msg.Confirm = c.Pipes, c.ConfirmEnd
	for _, f := range c.Keep {
		s.msg.Kept = append(s.msg.Kept, f.Name())
	}
	if c.notifies() {
		s.msg.Notify = "foster-" + s.id + "-" + newID()
		s.msg.Env = c.notifyEnv(s.msg.Env, s.msg.Notify)
	}
	return s.nameOwner()
}

// message is what the shim is told of a command.
func (c *Cmd) message(files int, onOwnerGone wire.Plan) *wire.Start {
	m := &wire.Start{
		Path: c.Path, Args: c.Args, Env: c.listenEnv(c.Environ()), ListenPID: len(c.ListenNames) > 0, Dir: c.Dir, Files: files,
		Session: c.Setsid, OwnerGone: onOwnerGone, Attr: c.attr.Attr,
		Grace: c.Grace, AfterLeader: string(c.afterLeader()), Lease: wire.Lease(c.Lease), Watchdog: c.Watchdog,
	}
	m.Attr.Chroot = c.Chroot
	if c.Chroot != "" && c.Dir == "" {
		m.Dir = "/" // in it; else the program would begin outside
	}
	for _, n := range c.AmbientCaps {
		m.Attr.AmbientCaps = append(m.Attr.AmbientCaps, uint64(n))
	}
	if len(m.Args) == 0 {
		m.Args = []string{c.Path}
	}
	if c.Umask != nil {
		m.SetUmask, m.Umask = true, *c.Umask
	}
	if u := c.Credential; u != nil {
		m.Credential = wire.Credential{
			Set: true, UID: u.Uid, GID: u.Gid, Groups: u.Groups, NoSetGroups: u.NoSetGroups,
		}
	}
	for _, r := range c.Rlimits {
		m.Rlimits = append(m.Rlimits, wire.Rlimit(r))
	}
	return m
}

// cgroupUnusable remembers that Auto found no cgroup to be had, so that not every
// start tries.
var cgroupUnusable atomic.Bool

// launch gets a shim, and by it starts the program.
func (s *starter) launch() (err error) {
	if s.cwd, err = sys.OpenWorkingDir(); err != nil {
		return s.fail(StageFiles, fmt.Errorf("working directory: %w", err))
	}
	defer s.cwd.Close()
	if !s.named {
		s.level = autoLevel
	}
	if s.level == wire.Cgroup && sharing.wanted() {
		if err := s.contain(); err != nil {
			return err
		}
		if s.level == wire.Cgroup {
			return s.launchShared()
		}
	}
	if s.level == wire.Subreaper || s.level == wire.Cgroup {
		s.shim = ready.take()
	}
	if s.shim != nil {
		if err := s.contain(); err != nil {
			return err
		}
		if err := s.register(); err != nil {
			return err
		}
		err := s.request()
		if !errors.Is(err, errShimGone) {
			return err
		}
		if err := s.emptyAfterShim(err); err != nil {
			return err
		}
		// It was killed while it waited.
	}
	return s.launchNew()
}

// parkShims has the shims of this program be parked: see internal/stub. It is for tests as long
// as a shim at a limit of processes can't be sure to wake.
var parkShims = false

// launchNew starts a shim, and makes ready what it will need while it comes up.
func (s *starter) launchNew() (err error) {
	if parkShims && !shim.IsInside() && shim.CanPark(s.msg, s.level) {
		err := s.launchParked()
		if !errors.Is(err, shim.ErrNoStub) {
			return err
		}
		s.parks = false
		s.abandon()
	}
	stage, explain := StageShim, func(err error) error { return err }
	if s.level == wire.PIDNS {
		stage, explain = StageContainment, pidnsError
	}
	if s.shim, err = shim.Launch(s.level == wire.PIDNS); err != nil {
		return s.fail(stage, explain(err))
	}
	if err := s.contain(); err != nil {
		return err
	}
	if err := s.register(); err != nil {
		return err
	}
	if err := awaitHello(s.shim); err != nil {
		return s.fail(stage, explain(err))
	}
	err = s.request()
	if errors.Is(err, errShimGone) {
		if err := s.emptyAfterShim(err); err != nil {
			return err
		}
	}
	return err
}

// launchParked starts the program with a shim that is parked.
func (s *starter) launchParked() error {
	s.parks = true
	if err := s.contain(); err != nil {
		return err
	}
	if err := s.register(); err != nil {
		return err
	}
	err := s.request()
	if errors.Is(err, errShimGone) && s.shim != nil {
		if err := s.emptyAfterShim(err); err != nil {
			return err
		}
	}
	return err
}

// emptyAfterShim leaves nothing where the shim was killed before it answered, and may have
// started the program. It is an error where that isn't proven, and then no start is to be
// tried again: there could be two. Who is left then is left to Recover.
func (s *starter) emptyAfterShim(gone error) error {
	var left []procfs.Stat
	var err error
	s.shim.Conn.Close()
	s.shim.Kill() // whatever it said, or didn't, it must not go on
	switch {
	case !s.shim.ReapWithin(giveUp):
		err = contain.ErrShimLives
	case !errors.Is(gone, errCutOff): // nothing was started
	case s.cgroup != nil:
		_, left, err = s.cgroup.End(giveUp)
	case s.level == wire.PIDNS: // it has ended with the shim
	case contain.Adopts():
		_, left, err = endAdopted(giveUp)
	default:
		err = errUnseen
	}
	if len(left) > 0 {
		err = errors.Join(err, &SurvivorsError{leftOver(left)})
	}
	if err != nil {
		s.registered.end(true)
		s.registered = nil
		err = s.fail(StageShim, fmt.Errorf("%w, which may have started the program: %w", errCutOff, err))
	}
	s.unregister()
	s.removeCgroup()
	return err
}

// errUnseen says why it isn't known whether there is something to end.
var errUnseen = errors.New("what it has started was handed to the next subreaper or to init: look for it by foster ps")

// contain settles the level, and makes the cgroup where it's to be one.
func (s *starter) contain() (err error) {
	auto := !s.named && !s.cmd.Limits.required()
	if s.level == wire.Cgroup && (!auto || !cgroupUnusable.Load()) {
		s.cgroup, err = contain.NewCgroup(s.cgroupName())
		if err != nil && !auto {
			return s.fail(StageContainment, fmt.Errorf("no cgroup: %w", err))
		}
	}
	if s.level == wire.Cgroup && s.cgroup == nil {
		if err == nil || errors.Is(err, os.ErrPermission) || errors.Is(err, contain.ErrNoCgroup) {
			cgroupUnusable.Store(true) // this won't change by trying again
		}
		s.level = wire.Subreaper
	}
	return s.limit()
}

// cgroupName is of this tree alone: a name that was chosen may have been another's.
func (s *starter) cgroupName() string {
	if s.cmd.ID == "" {
		return "foster-" + s.id
	}
	return "foster-" + s.id + "-" + newID()
}

// errShimGone says that the shim ended before it answered, and errCutOff that it may have
// started the program before.
var (
	errShimGone = errors.New("the shim is gone")
	errCutOff   = fmt.Errorf("%w in the middle of the start", errShimGone)
)

// abandon leaves nothing of a start that failed. The shim, which has no tree, ends
// when its socket closes.
func (s *starter) abandon() {
	if s.shim != nil {
		s.shim.Close()
	}
	s.shared.leave()
	s.unregister()
	s.removeCgroup()
}

// closeOwner closes the handle on the owner: the shim has one of its own.
func (s *starter) closeOwner() {
	if s.owner >= 0 {
		sys.Close(s.owner)
	}
}

func (s *starter) removeCgroup() {
	if s.cgroup != nil {
		_ = s.cgroup.Remove() // by the shim already
		s.cgroup = nil
	}
}

func (s *starter) tree() *Tree {
	t := &Tree{
		id: s.id, containment: Containment(s.level.String()),
		leader: s.leader, shimPID: s.shim.PID, started: s.started.At,
		log: newEventLog(), requests: make(chan request), done: make(chan struct{}),
	}
	if s.cgroup != nil && s.cgroup.Dir != nil {
		s.cgroup.Dir.Close() // the shim has one of its own
		s.cgroup.Dir = nil
	}
	if s.listener != nil {
		s.listener.Close() // likewise
	}
	t.pipes = takePipes(s.cmd.pipes)
	o := newOwner(t, s.cmd)
	o.terminal = s.lent
	o.confirm = s.cmd.ConfirmEnd
	if t.pipes != nil {
		o.kept = nil // they are the caller's
	}
	o.shim, o.cgroup, o.start, o.registered = s.shim, s.cgroup, s.started.Start, s.registered
	if o.shared = s.shared; o.shared != nil {
		t.shared = s.cgroup.Path
	}
	if s.roll != nil && (s.level == wire.Group || s.level == wire.Subreaper) {
		o.roll, o.rollDue = s.roll, time.NewTimer(shim.FirstRoll)
	}
	t.log.add(Event{Time: t.started, Kind: EventStarted})
	if s.cmd.taken != nil {
		s.cmd.taken.handLeader(t.leader, s.started.Start)
	}
	s.tellUnmet(t)
	go o.run()
	return t
}

// newID makes a name that no other tree has: ten characters, some 51 random bits.
func newID() string {
	const low = 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36
	return strconv.FormatUint(low+rand.Uint64N(35*low), 36)
}
