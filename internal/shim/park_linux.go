//go:build amd64 || arm64

package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/stub"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// A shim is parked as long as there is nothing to do for it but to reap: it is a stub then
// (package stub), and this executable only when it's awake. What a start needs beside the
// program's descriptors stands behind them in an order that the Start tells, so that both
// forms know which is which.

// CanPark says whether a stub can start this program. As an ordinary user's first process of a
// PID namespace it can't: born in a user namespace, it may not open its own file.
func CanPark(m *wire.Start, level wire.Containment) bool {
	a := m.Attr
	return !sys.IsSecure() && (level != wire.PIDNS || os.Geteuid() == 0) && len(m.Credential.Groups) <= stub.MaxGroups && len(m.Rlimits) <= stub.MaxLimits && len(m.Writes) <= stub.MaxWrites &&
		a.Cloneflags == 0 && a.Unshareflags == 0 && !slices.ContainsFunc(a.AmbientCaps, func(n uint64) bool { return n > 63 })
}

// Files are the descriptors of a start.
type Files struct {
	Program           []*os.File // from 0 on; nil: closed
	Cgroup, Terminal  *os.File   // nil: none, as with those that follow
	Listener, Journal *os.File
	Owner             int // a pidfd; -1: none
	Outputs, Kept     []*os.File
}

// places are the numbers of the descriptors in a shim that was parked; -1: there is none.
type places struct {
	socket, exe, cgroup, terminal, listener, journal, owner, notify int
	outputs, kept, writes                                           []int
	end                                                             int
}

func placesOf(m *wire.Start) (p places) {
	p.end = m.Files + len(m.Closed)
	one := func(wanted bool) int {
		if !wanted {
			return -1
		}
		p.end++
		return p.end - 1
	}
	some := func(n int) (list []int) {
		for range n {
			list = append(list, one(true))
		}
		return list
	}
	p.socket, p.exe = one(true), one(true)
	p.listener, p.journal, p.owner = one(m.Listen), one(m.Journal), one(m.OwnerNamed)
	p.notify = one(m.Notify != "")
	p.outputs, p.kept = some(len(m.Outputs)), some(len(m.Kept))
	// The leader's start needs these, and nobody after it.
	p.cgroup, p.terminal = one(m.Containment == wire.Cgroup), one(m.Foreground && !m.Session)
	p.writes = some(len(m.Writes))
	return p
}

// LaunchParked starts a program with a shim that is parked. What comes of the start is the
// first message, Started or Failed.
func LaunchParked(m *wire.Start, f Files) (*Process, error) {
	path, err := stub.Path()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoStub, err)
	}
	exe, err := sys.OpenExecutable()
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	var notify *os.File
	if m.Notify != "" {
		if notify, err = sys.ListenNotify(m.Notify); err != nil {
			return nil, fmt.Errorf("notify socket: %w", err)
		}
		defer notify.Close()
	}
	writes, fail := openWrites(m.Writes)
	defer writes.close()
	if fail != nil {
		return nil, fail.err
	}
	if err := sys.RoomForFiles(ownFiles); err != nil {
		return nil, err
	}
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p := placesOf(m)
	files := make([]uintptr, p.end)
	for i := range files[:p.socket] {
		files[i] = ^uintptr(0)
		if f.Program[i] != nil {
			files[i] = f.Program[i].Fd()
		}
	}
	put := func(place int, file *os.File) {
		if place >= 0 {
			files[place] = uintptr(sys.Descriptor(file))
		}
	}
	put(p.socket, theirs)
	put(p.exe, exe)
	put(p.listener, f.Listener)
	put(p.journal, f.Journal)
	if p.owner >= 0 {
		files[p.owner] = uintptr(f.Owner)
	}
	put(p.notify, notify)
	put(p.cgroup, f.Cgroup)
	put(p.terminal, f.Terminal)
	for i, n := range p.outputs {
		put(n, f.Outputs[i])
	}
	for i, n := range p.kept {
		put(n, f.Kept[i])
	}
	for i, n := range p.writes {
		put(n, writes.files[i])
	}
	conf, env := parkedConfig(m, p)
	terms := *m
	terms.Args, terms.Env = nil, nil
	blob, err := wire.Encode(&terms)
	if err == nil && len(blob) > stub.MaxTerms {
		err = fmt.Errorf("%w: %d bytes of terms", ErrNoStub, len(blob))
	}
	conn := wire.NewConn(mine)
	if err == nil {
		err = conn.SendBytes(conf.Bytes(blob))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	argv := []string{argv0Shim, strconv.Itoa(p.socket), m.Path}
	if m.Attr.Chroot != "" {
		argv = append(argv, m.Attr.Chroot)
	}
	if m.Dir != "" {
		argv = append(argv, m.Dir)
	}
	attrs := []*syscall.SysProcAttr{{Setpgid: true}}
	if m.Containment == wire.PIDNS {
		attrs = pidnsAttrs()
	}
	process, err := startShim(attrs, func(attr *syscall.SysProcAttr) (*os.Process, error) {
		return sys.StartChild(path, append(argv, m.Args...), &syscall.ProcAttr{Env: env, Files: files, Sys: attr})
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Process{Conn: conn, PID: process.Pid, process: process, parked: &parked{start: m}}, nil
}

// ErrNoStub says that there can be no stub here; a shim that is awake can do all that it does.
var ErrNoStub = errors.New("a shim can't be parked here")

// StubFault has tests let a stage of a stub's start fail, with an errno.
var StubFault struct{ At, With int32 }

func parkedConfig(m *wire.Start, p places) (*stub.Config, []string) {
	c := stub.NewConfig()
	c.FailAt, c.FailWith = StubFault.At, StubFault.With
	c.Files, c.Passed = int32(p.socket), int32(p.end)
	c.Socket, c.Exe, c.Cgroup = int32(p.socket), int32(p.exe), int32(p.cgroup)
	for i, fd := range []int{p.listener, p.owner, p.notify} {
		c.Polled[i] = int32(fd)
	}
	flag := func(on bool, flag uint32) {
		if on {
			c.Flags |= flag
		}
	}
	flag(m.Containment != wire.Group, stub.Subreaper)
	flag(m.Containment == wire.Group, stub.Anchor|stub.DieWith)
	flag(m.Containment == wire.PIDNS, stub.Init)
	flag(m.Session, stub.Setsid)
	flag(!m.Session, stub.Setpgid)
	flag(m.Attr.Noctty, stub.Noctty)
	if m.Foreground && m.Session {
		c.Flags, c.TTY = c.Flags|stub.Ctty, int32(m.Attr.Ctty)
	} else if m.Foreground {
		c.Flags, c.TTY = c.Flags|stub.Foreground, int32(p.terminal)
	}
	flag(m.Attr.Chroot != "", stub.Chroot)
	flag(m.Dir != "", stub.Chdir)
	flag(m.Keep || m.Confirm || m.Grace > 0 || len(m.Outputs) > 0 || m.OwnerNamed, stub.KeepEnd)
	if u := m.Credential; u.Set {
		c.Flags, c.UID, c.GID = c.Flags|stub.User, u.UID, u.GID
		if !u.NoSetGroups {
			c.Groups = int32(copy(c.Group[:], u.Groups))
		}
	}
	if m.SetUmask {
		c.Umask = uint32(m.Umask)
	}
	for _, n := range m.Attr.AmbientCaps {
		c.Caps |= 1 << n
	}
	for i, r := range m.Rlimits {
		c.Limit[i] = stub.Limit{Resource: uint32(r.Resource), Soft: r.Soft, Hard: r.Hard}
		c.Limits++
	}
	for i, fd := range p.writes {
		c.Writes[i] = int32(fd)
	}
	env := m.Env
	if m.ListenPID {
		env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "LISTEN_PID=") })
		c.ListenPID = int32(len(env))
		env = append(env, "LISTEN_PID=0000000000")
	}
	c.Clock = sys.ClockID(m.Lease.Suspend)
	if l := newLease(m.Lease, 0); l.exists() {
		c.Alarm = uint64(max(l.next(), 1))
	}
	if w := uint64(m.Watchdog); w > 0 && (c.Alarm == 0 || w < c.Alarm) {
		c.Alarm = w
	}
	return c, env
}

// parked is what is known of a shim that was parked, to tell what it says in the words of one
// that is awake.
type parked struct {
	start   *wire.Start
	last    stub.State
	started bool
	woken   atomic.Bool // it has said something that a stub can't
	next    []wire.Message
	orphans []wire.Orphan
}

// Receive waits for the next message of the shim.
func (p *Process) Receive() (wire.Message, error) {
	k := p.parked
	for {
		if k != nil && len(k.next) > 0 {
			m := k.next[0]
			k.next = k.next[1:]
			return m, nil
		}
		m, err := p.Conn.Receive()
		if err != nil || k == nil {
			return m, err
		}
		switch m := m.(type) {
		case *wire.Parked:
			s, err := stub.ParseState(m.State)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", wire.ErrProtocol, err)
			}
			k.tell(s)
		case *wire.Ended:
			k.woken.Store(true)
			m.Orphans = append(k.orphans, m.Orphans...)
			return m, nil
		default:
			k.woken.Store(true)
			return m, nil
		}
	}
}

// IsParked says whether the shim was parked when it said something last.
func (p *Process) IsParked() bool { return p.parked != nil && !p.parked.woken.Load() }

// tell puts a state into the words of a shim that is awake.
func (k *parked) tell(s stub.State) {
	at := time.Unix(0, int64(s.At))
	say := func(m wire.Message) { k.next = append(k.next, m) }
	switch s.Kind {
	case stub.KindFailed:
		say(k.failed(s).message())
		return
	case stub.KindOrphan:
		name, _, _ := strings.Cut(string(s.Name[:]), "\x00")
		k.orphans = append(k.orphans, wire.Orphan{PID: int(s.Orphan), Name: name, Status: syscall.WaitStatus(s.OrphanStatus), At: at})
		return
	}
	if !k.started {
		k.started = true
		m := &wire.Started{PID: int(s.Leader), At: at}
		say(m)
	}
	was := k.last
	k.last = s
	status := syscall.WaitStatus(s.Status)
	switch {
	case s.Flags&stub.Paused != 0 && (was.Flags&stub.Paused == 0 || was.Status != s.Status):
		say(&wire.Paused{At: at, Signal: status.StopSignal()})
	case was.Flags&stub.Paused != 0 && s.Flags&(stub.Paused|stub.Ended) == 0:
		say(&wire.Paused{At: at})
	}
	if s.Flags&stub.Ended != 0 && was.Flags&stub.Ended == 0 {
		say(leaderEnd(s))
	}
	if s.Flags&stub.Empty != 0 {
		m := &wire.Ended{At: at, Usage: treeUsage(s), Reaped: int(s.Reaped), Adopted: int(s.Adopted), Orphans: k.orphans}
		say(m)
	}
}

func leaderEnd(s stub.State) *wire.LeaderEnded {
	return &wire.LeaderEnded{
		Status: syscall.WaitStatus(s.Status), At: time.Unix(0, int64(s.At)),
		Usage: stubUsage(s.LeaderUser, s.LeaderSystem, s.LeaderRSS),
	}
}

func treeUsage(s stub.State) wire.Usage { return stubUsage(s.User, s.System, s.RSS) }

func stubUsage(user, system, rss uint64) wire.Usage {
	return wire.Usage{
		User: time.Duration(user) * time.Microsecond, System: time.Duration(system) * time.Microsecond,
		MaxRSS: int64(rss) << 10,
	}
}

// failed is a start that failed at a stage of the stub's.
func (k *parked) failed(s stub.State) *failure {
	var err error = syscall.Errno(s.Error)
	m, which := k.start, int(s.Stage>>8)
	uid := os.Getuid()
	if m.Credential.Set {
		uid = int(m.Credential.UID)
	}
	switch s.Stage & 0xff {
	case stub.AtMount:
		return &failure{StageContainment, os.NewSyscallError("mount", err)}
	case stub.AtFork:
		return &failure{StageFork, sys.ForkError(err, uid)}
	case stub.AtCgroup:
		if which > 0 {
			w := m.Writes[which-1]
			return &failure{StageLimits, fmt.Errorf("write %q to %s: %w", w.Text, w.Path, err)}
		}
		return &failure{StageContainment, err}
	case stub.AtLimit:
		r := m.Rlimits[which]
		return &failure{StageRlimit, fmt.Errorf("%s: %w", units.FormatRlimit(r.Resource, r.Soft, r.Hard), err)}
	case stub.AtUser:
		return &failure{StageCredential, err}
	case stub.AtDir:
		return &failure{StageDir, err}
	case stub.AtSession, stub.AtTerminal, stub.AtRoot, stub.AtCaps:
		return &failure{StageAttr, err}
	}
	if s.Error == int32(syscall.EAGAIN) { // it became a user who has too many (execve(2))
		return &failure{StageFork, sys.ForkError(err, uid)}
	}
	return &failure{StageExec, err}
}

// readParked reads what a stub passes on: the terms of the start, its state, and what is left of
// a frame that it has sent in part.
func readParked(file, text string) (m *wire.Start, state stub.State, rest []byte, err error) {
	fd, err := strconv.Atoi(file)
	if err != nil {
		return nil, state, nil, err
	}
	f := os.NewFile(uintptr(fd), "terms")
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, state, nil, err
	}
	if state, err = stub.ParseHex(text); err != nil {
		return nil, state, nil, err
	}
	n := int(state.At)
	if n > len(b) || n < 5 {
		return nil, state, nil, io.ErrUnexpectedEOF
	}
	msg, err := wire.Decode(b[4:n])
	m, ok := msg.(*wire.Start)
	if err == nil && !ok {
		err = fmt.Errorf("%T in the place of its terms", msg)
	}
	return m, state, b[n:], err
}

// goOn takes over the tree that the stub has held.
func (s *server) goOn(m *wire.Start, state stub.State) {
	m.Began = time.Duration(state.Began)
	p := placesOf(m)
	f := &forker{
		msg: m, cwd: -1, cgroup: -1, terminal: -1, listener: p.listener, journal: p.journal, owner: p.owner,
		notify: p.notify, outputs: p.outputs, kept: p.kept, pid: int(state.Leader), pidfd: -1,
	}
	h, fail := hold(m, -1, false)
	if fail != nil {
		deny(fail.err.Error())
	}
	t, fail := s.agree(m, f)
	if fail != nil {
		deny(fail.err.Error())
	}
	h.leader, h.reaped, h.adopted, h.usage = f.pid, int(state.Reaped), int(state.Adopted), treeUsage(state)
	h.tree.Started(f.pid)
	s.held = h
	if state.Kind == stub.KindState { // there was no time to tell it
		s.give(s.side, nil, &wire.Parked{State: state.Without(stub.Ended | stub.Empty).Bytes()})
	}
	leader := wire.Member{PID: f.pid, Name: filepath.Base(m.Path)}
	if stat, err := procfs.Read(f.pid); err == nil {
		leader.Start, leader.Group, leader.Session = stat.Start, stat.PGID, stat.Session
	}
	s.machine.Grace, s.machine.Confirm = m.Grace, m.Confirm && !m.OwnerNamed
	s.step(Started, m.OwnerGone)
	s.begin(t, leader)
	if state.Flags&stub.Ended != 0 && !h.anchored {
		h.leaderEnd = leaderEnd(state)
		go s.post(s.reap)
		return
	}
	s.lookAgain()
}

// setUpAwake is what a shim does first that was parked: it has its descriptors, and no others.
func setUpAwake(p places) {
	keep := slices.Concat([]int{p.socket, p.exe, p.listener, p.journal, p.owner, p.notify}, p.outputs, p.kept)
	for _, fd := range sys.Inherited() {
		if !slices.Contains(keep, fd) {
			sys.Close(fd)
		}
	}
	for _, fd := range keep {
		if fd >= 0 {
			sys.CloseOnExec(fd)
		}
	}
	sys.Close(p.exe)
	signal.Notify(make(chan os.Signal, 1), ignored...)
	_ = sys.ReserveThreads(ownThreads) // without room, it may be lucky all the same
	if err := sys.ClearSignalMask(); err != nil {
		deny(err.Error())
	}
}

// awake goes on where a stub has left off, in its process.
func awake(socket, file, text string) int {
	fd, err := strconv.Atoi(socket)
	if err != nil || sys.IsSecure() || !sys.IsSocket(fd) {
		deny("it isn't a shim that was parked")
	}
	sock, err := sys.AdoptSocket(fd)
	if err != nil {
		deny(err.Error())
	}
	m, state, rest, err := readParked(file, text)
	if err != nil {
		deny(err.Error())
	}
	sys.SetName(argv0Shim)
	conn := wire.NewConn(sock)
	setUpAwake(placesOf(m))
	if len(rest) > 0 {
		_ = conn.SendBytes(rest) // that nobody reads, the loop finds out
	}
	s := newServer(newLoop(), conn, os.Getppid())
	s.look = make(chan int, 1)
	go s.watch()
	s.goOn(m, state)
	s.run()
	return 0
}
