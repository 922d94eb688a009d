package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// The stages of a start, as they are told to the owner's side.
const (
	StageProtocol    = "protocol"
	StageContainment = "containment"
	StageFork        = "fork"
	StageDir         = "chdir"
	StageRlimit      = "rlimit"
	StageCredential  = "credential"
	StageExec        = "exec"
	StageAttr        = "attributes"
	StageNotify      = "notify"
	StageLimits      = "limits"
	StageFiles       = "files"
)

// failure is a start that failed at a stage.
type failure struct {
	stage string
	err   error
}

func (f *failure) message() *wire.Failed {
	return &wire.Failed{Stage: f.stage, Errno: errno(f.err), Text: f.err.Error()}
}

// start starts a leader, or tells why not; then nothing of the attempt is left.
func (s *server) start(m *wire.Start) {
	if fail := s.tryStart(m); fail != nil {
		s.give(s.side, nil, fail.message())
	}
}

func (s *server) tryStart(m *wire.Start) *failure {
	if s.machine.State != Idle || s.outlived {
		return &failure{StageProtocol, syscall.EBUSY}
	}
	if s.many != nil {
		if fail := s.many.admitTree(m); fail != nil {
			return fail
		}
	}
	f, err := claim(s.side.conn, m)
	if err != nil {
		return &failure{StageProtocol, err}
	}
	defer f.close()
	h, fail := hold(m, f.cgroup, s.many != nil)
	if fail != nil {
		return fail
	}
	t, fail := s.agree(m, f)
	if fail == nil {
		f.tree = h.tree
		if fail = f.run(); fail != nil {
			t.close()
		}
	}
	if fail != nil {
		_ = h.tree.Close() // the owner's side, which made it, removes it too
		return fail
	}
	s.started(h, f, t)
	return nil
}

// claim takes the descriptors that came with a start.
func claim(conn *wire.Conn, m *wire.Start) (*forker, error) {
	f := &forker{msg: m, cwd: -1, cgroup: -1, terminal: -1, listener: -1, journal: -1, owner: -1, notify: -1}
	var errs []error
	one := func(wanted bool, fd *int) {
		if !wanted {
			return
		}
		fds, err := conn.Claim(1)
		if err == nil {
			*fd = fds[0]
		}
		errs = append(errs, err)
	}
	one(true, &f.cwd)
	one(m.Containment == wire.Cgroup, &f.cgroup)
	one(m.Foreground, &f.terminal)
	one(m.Listen, &f.listener)
	one(m.Journal, &f.journal)
	one(m.OwnerNamed, &f.owner)
	var err error
	f.outputs, err = conn.Claim(len(m.Outputs))
	errs = append(errs, err)
	f.kept, err = conn.Claim(len(m.Kept))
	errs = append(errs, err)
	f.files, err = conn.Claim(m.Files)
	if err := errors.Join(append(errs, err)...); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// hold makes the mechanism that a start asks for.
func hold(m *wire.Start, cgroup int, shared bool) (*holding, *failure) {
	h := &holding{anchored: m.Containment == wire.Group, killed: map[procfs.Identity]bool{}}
	var err error
	switch m.Containment {
	case wire.Group:
		h.tree, err = contain.NewGroup()
	case wire.Subreaper:
		h.tree, err = contain.NewSubreaper()
	case wire.Cgroup:
		newTree := contain.NewCgroupTree
		if shared {
			newTree = contain.NewSharedCgroupTree
		}
		h.tree, err = newTree(m.CgroupPath, cgroup)
	case wire.PIDNS:
		h.tree, err = contain.NewPIDNS()
	default:
		err = fmt.Errorf("containment %d: %w", m.Containment, syscall.EINVAL)
	}
	if err != nil {
		return nil, &failure{StageContainment, err}
	}
	limited(h.tree, m.Groups)
	return h, nil
}

// started takes note of a leader that runs.
func (s *server) started(h *holding, f *forker, t *terms) {
	h.leader = f.pid
	h.tree.Started(f.pid)
	s.held = h
	told := &wire.Started{PID: f.pid, At: time.Now()}
	leader := wire.Member{PID: f.pid, Name: filepath.Base(f.msg.Path)}
	if stat, err := procfs.Read(f.pid); err == nil {
		leader.Start, leader.Group, leader.Session = stat.Start, stat.PGID, stat.Session
	}
	told.Start = leader.Start
	var fds []int
	if f.pidfd >= 0 {
		fds = []int{f.pidfd}
		told.PIDFDs = 1
	}
	s.give(s.side, fds, told)
	s.machine.Grace, s.machine.Confirm = f.msg.Grace, f.msg.Confirm && !f.msg.OwnerNamed
	s.step(Started, f.msg.OwnerGone)
	t.start.Args, t.start.Env = nil, nil // they may be large, and have served
	s.begin(t, leader)
	if s.many != nil {
		s.many.hold(s)
	}
	s.lookAgain()
}

// forker starts one leader.
type forker struct {
	msg      *wire.Start
	cwd      int
	cgroup   int // -1: none, as with those that follow
	terminal int
	listener int
	journal  int
	owner    int
	notify   int // of a shim that was parked: else it's made here
	outputs  []int
	kept     []int
	files    []int
	tree     contain.Tree

	pid   int
	pidfd int // -1 where the system has none
}

// close closes what nobody has taken.
func (f *forker) close() {
	sys.CloseAll(f.files)
	sys.CloseAll(f.outputs)
	sys.CloseAll(f.kept)
	for _, fd := range []int{f.cwd, f.cgroup, f.terminal, f.listener, f.journal, f.owner, f.notify} {
		if fd >= 0 {
			sys.Close(fd)
		}
	}
}

// take takes one of the descriptors, to be waited on.
func (f *forker) take(fd *int, name string) (*os.File, error) {
	file, err := sys.OpenPassed(*fd, name)
	if err == nil {
		*fd = -1
	}
	return file, err
}

func (f *forker) run() *failure {
	if err := sys.Fchdir(f.cwd); err != nil {
		return &failure{StageDir, err}
	}
	defer os.Chdir("/") // what a shim holds on to is not its tree's
	if f.msg.Containment == wire.PIDNS {
		sys.EnterOwnMount()
	}
	if f.msg.SetUmask {
		defer sys.Umask(sys.Umask(f.msg.Umask))
	}
	if staged(f.msg) {
		return f.throughStage()
	}
	attr := f.attr()
	attr.Dir, attr.Sys.Chroot = f.msg.Dir, f.msg.Attr.Chroot
	setCaps(attr.Sys, f.msg.Attr.AmbientCaps)
	if c := f.msg.Credential; c.Set {
		attr.Sys.Credential = credential(c)
	}
	return f.fork(f.msg.Path, f.msg.Args, attr)
}

// attr is what the leader and the stage before it have in common.
func (f *forker) attr() *syscall.ProcAttr {
	attr := &syscall.ProcAttr{
		Env: f.msg.Env,
		Sys: &syscall.SysProcAttr{Setpgid: !f.msg.Session, Setsid: f.msg.Session},
	}
	for passed := f.files; len(passed) > 0; {
		if slices.Contains(f.msg.Closed, len(attr.Files)) {
			attr.Files = append(attr.Files, ^uintptr(0))
			continue
		}
		attr.Files = append(attr.Files, uintptr(passed[0]))
		passed = passed[1:]
	}
	switch {
	case f.terminal >= 0 && f.msg.Session:
		attr.Sys.Setctty, attr.Sys.Ctty = true, f.msg.Attr.Ctty // in the child
	case f.terminal >= 0:
		attr.Sys.Foreground, attr.Sys.Ctty = true, f.terminal
	}
	attr.Sys.Noctty = f.msg.Attr.Noctty
	setNamespaces(attr.Sys, f.msg.Attr)
	f.tree.Prepare(attr.Sys)
	f.pidfd = -1
	wantPidfd(attr.Sys, &f.pidfd)
	return attr
}

func (f *forker) fork(path string, args []string, attr *syscall.ProcAttr) *failure {
	// A child begins with the mask of the thread that forks it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := sys.ClearSignalMask(); err != nil {
		return &failure{StageFork, err}
	}
	pid, err := sys.ForkExec(path, args, attr)
	if err != nil {
		uid := os.Getuid()
		if attr.Sys.Credential != nil {
			uid = int(attr.Sys.Credential.Uid)
		}
		switch errno(err) {
		case syscall.EMFILE, syscall.ENFILE, syscall.EBADF: // the last from dup2(2): a number beyond the limit
			return &failure{StageFiles, fmt.Errorf("the limit of open files (ulimit -n) leaves no room for the descriptors that the program gets: raise it, or close what it isn't to have: %w", err)}
		}
		return &failure{guessStage(err, attr), sys.ForkError(err, uid)}
	}
	f.pid = pid
	return nil
}

// guessStage says which step between fork and exec failed. The child has told
// only the number of its error, so the steps that can be tried again without
// harm are.
func guessStage(err error, attr *syscall.ProcAttr) string {
	n, user := errno(err), attr.Sys.Credential
	switch {
	case n == syscall.EAGAIN, n == syscall.ENOMEM:
		return StageFork
	case attr.Sys.Chroot != "" && dirFails(attr.Sys.Chroot):
		return StageAttr
	case attr.Dir != "" && dirFails(filepath.Join(attr.Sys.Chroot, attr.Dir)):
		return StageDir
	case inCgroup(attr.Sys) && containmentErrno(n) && !canClone(attr.Sys):
		return StageContainment
	case special(attr.Sys) && !canHave(attr.Sys):
		return StageAttr
	case user != nil && !canBecome(user, ""):
		return StageCredential
	case user != nil && attr.Dir != "" && attr.Sys.Chroot == "" && !canBecome(user, attr.Dir):
		return StageDir // it's closed to that user
	}
	return StageExec
}

// canBecome proves by a child that it can become another user, and then enter a folder.
func canBecome(user *syscall.Credential, dir string) bool {
	err := sys.TryFork(&syscall.SysProcAttr{Credential: user}, dir)
	return errno(err) == syscall.ENOENT
}

func dirFails(dir string) bool {
	info, err := os.Stat(dir)
	return err != nil || !info.IsDir()
}

func credential(c wire.Credential) *syscall.Credential {
	return &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups, NoSetGroups: c.NoSetGroups}
}
