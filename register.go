package foster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// registration is what others find a tree by: an entry in the journal, whose lock says
// that it lives, and the socket of its shim.
type registration struct {
	folder string
	id     string
	record *journal.Record
	socket string
	keep   bool
}

// needsRegistration says whether somebody else has to find the tree.
func (c *Cmd) needsRegistration() bool {
	return c.ID != "" || c.Grace > 0 || c.KeepExit || c.KeepOutput
}

// register makes the entry and the socket. Where nobody asked for what needs them, a
// system that has no place for them is no reason not to start.
func (s *starter) register() error {
	if shim.IsInside() && !s.cmd.needsRegistration() {
		return nil // an init has nobody who could find its tree, and may have no folder
	}
	listener, err := s.makeRegistration()
	if err != nil {
		s.unregister()
		if s.cmd.needsRegistration() {
			return s.fail(StageJournal, err)
		}
		return nil
	}
	s.listener = listener
	s.msg.Listen, s.msg.SocketPath = true, s.registered.socket
	s.msg.Journal, s.msg.JournalPath, s.msg.Keep = true, journal.Path(s.registered.folder, s.id), s.cmd.KeepExit
	return nil
}

func (s *starter) makeRegistration() (listener *os.File, err error) {
	for range 2 {
		if listener, err = s.tryRegistration(); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		known.Store(nil) // somebody has removed a folder since
		s.unregister()
	}
	if errors.Is(err, journal.ErrTaken) {
		err = fmt.Errorf("%q: %w", s.id, ErrTaken)
	}
	return listener, err
}

func (s *starter) tryRegistration() (*os.File, error) {
	state, runtime, err := folders()
	if err != nil {
		return nil, err
	}
	e := &wire.Entry{
		ID: s.id, At: time.Now(), Containment: s.level, Owner: s.msg.Owner, Command: s.msg.Args,
		SocketPath: journal.SocketPath(runtime, s.id), Stop: s.msg.OwnerGone, Keep: s.cmd.KeepExit,
		Shim: s.shimMember(), ShimSelf: s.level == wire.PIDNS,
		Many: s.shared != nil,
	}
	if s.cgroup != nil {
		e.CgroupPath, e.CgroupInode, e.Groups = s.cgroup.Path, s.cgroup.Inode(), s.cgroup.Groups
	}
	record, err := journal.Create(state, e)
	if err != nil {
		return nil, err
	}
	s.registered = &registration{folder: state, id: s.id, record: record, socket: e.SocketPath, keep: e.Keep}
	listener, err := sys.Listen(e.SocketPath)
	if errors.Is(err, syscall.EADDRINUSE) {
		_ = os.Remove(e.SocketPath) // the name is ours: what is there has no tree
		listener, err = sys.Listen(e.SocketPath)
	}
	return listener, err
}

// shimMember is the shim, where there is one yet.
func (s *starter) shimMember() wire.Member {
	if s.shim == nil {
		return wire.Member{}
	}
	return wire.Member{PID: s.shim.PID, Start: s.shimStart()}
}

// shimStart is when the shim was started, by which it is told from a later process of its
// number; 0: it isn't known.
func (s *starter) shimStart() uint64 {
	if s.shared != nil {
		return s.shared.start
	}
	return startOf(s.shim.PID)
}

func startOf(pid int) uint64 {
	stat, err := procfs.Read(pid)
	if err != nil {
		return 0
	}
	return stat.Start
}

// places are the folders of the journal, as they were found for an environment.
type places struct{ stateHome, runtimeDir, home, state, runtime string }

var known atomic.Pointer[places]

// folders finds the folders of the journal, once for an environment: to prove at each
// start that they're this user's alone would cost as much as the rest of it.
func folders() (state, runtime string, err error) {
	now := places{stateHome: os.Getenv("XDG_STATE_HOME"), runtimeDir: os.Getenv("XDG_RUNTIME_DIR"), home: os.Getenv("HOME")}
	if k := known.Load(); k != nil && k.stateHome == now.stateHome && k.runtimeDir == now.runtimeDir && k.home == now.home {
		return k.state, k.runtime, nil
	}
	if now.state, now.runtime, err = journal.Folders(); err != nil {
		return "", "", err
	}
	known.Store(&now)
	return now.state, now.runtime, nil
}

// unregister removes what register made, where nothing was started.
func (s *starter) unregister() {
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	if s.registered != nil {
		s.registered.forget()
		s.registered.end(false)
		s.registered = nil
	}
	s.msg.Listen, s.msg.Journal = false, false
}

// forget keeps nothing for others: there is no end that could be told.
func (r *registration) forget() {
	if r != nil {
		r.keep = false
	}
}

// end removes the entry, but where others are to read it. Where the shim goes on
// holding survivors, it removes it.
func (r *registration) end(held bool) {
	if r == nil {
		return
	}
	defer r.close()
	if held || !r.record.At(journal.Path(r.folder, r.id)) {
		return // it is the shim's yet, or the name, and with it the socket, another tree's
	}
	_ = os.Remove(r.socket) // whoever connects from now on finds nothing
	if !r.keep {
		_ = r.record.Remove(r.folder) // else it's pruned
	}
}

func (r *registration) close() { r.record.Close() }

// handles are the descriptors that a start passes for others than the program.
func (s *starter) handles() (fds []int) {
	if s.listener != nil {
		fds = append(fds, sys.Descriptor(s.listener), sys.Descriptor(s.registered.record.File()))
	}
	if s.owner >= 0 {
		fds = append(fds, s.owner)
	}
	for _, out := range s.cmd.kept {
		fds = append(fds, sys.Descriptor(out.r))
	}
	for _, f := range s.cmd.Keep {
		fds = append(fds, sys.Descriptor(f))
	}
	return fds
}

// nameOwner finds the process for which the tree is to run, and holds it.
func (s *starter) nameOwner() error {
	s.owner = -1
	if s.cmd.Owner == 0 {
		s.msg.Owner = self()
		return nil
	}
	owner, fd, err := procfs.Hold(s.cmd.Owner)
	if err != nil {
		return s.fail(StageConfig, fmt.Errorf("owner: %w", err))
	}
	s.owner, s.msg.OwnerNamed = fd, true
	s.msg.Owner = wire.Member{PID: owner.PID, Start: owner.Start, Name: owner.Comm}
	return nil
}

// self is this process, which stays the same but for its name; that is of the first look.
var self = sync.OnceValue(func() wire.Member {
	m := wire.Member{PID: os.Getpid()}
	if stat, err := procfs.Read(m.PID); err == nil {
		m.Start, m.Name = stat.Start, stat.Comm
	}
	return m
})
