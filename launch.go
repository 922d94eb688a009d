package foster

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// What a start says to the shim, and what the shim answers.

// request asks the shim for the program. Where Auto's cgroup turns out to be one
// that can't be cloned into, the subreaper holds the tree.
func (s *starter) request() error {
	answer, err := s.send()
	if err != nil {
		return s.fail(StageShim, err)
	}
	failed, ok := answer.(*wire.Failed)
	if ok && !s.named && s.level == wire.Cgroup && Stage(failed.Stage) == StageContainment {
		cgroupUnusable.Store(true)
		s.removeCgroup()
		s.level = wire.Subreaper
		s.unregister()
		if s.shared != nil {
			s.shim.Close()
			s.shared.leave()
			s.shared = nil
			return s.launchNew()
		}
		if err := s.limit(); err != nil {
			return err
		}
		if err := s.register(); err != nil {
			return err
		}
		if answer, err = s.send(); err != nil {
			return s.fail(StageShim, err)
		}
		failed, ok = answer.(*wire.Failed)
	}
	if ok {
		return s.fail(Stage(failed.Stage), failedError(failed))
	}
	if s.started, ok = answer.(*wire.Started); !ok {
		return s.fail(StageShim, fmt.Errorf("%w: %T in place of an answer to a start", wire.ErrProtocol, answer))
	}
	return s.nameLeader()
}

// failedError gives back the number where that says it all.
func failedError(f *wire.Failed) error {
	if f.Errno != 0 && (f.Text == "" || f.Text == f.Errno.Error() || f.Stage == string(StageExec)) {
		return f.Errno
	}
	return &remoteError{f.Text, f.Errno}
}

// remoteError is an error of the shim's, of which only text and number came.
type remoteError struct {
	text  string
	errno syscall.Errno
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.errno }

// send sends the start with its descriptors, and waits for the answer. The error is
// errShimGone or, where the program may have been started, errCutOff, unless nothing could be
// sent for another reason.
func (s *starter) send() (wire.Message, error) {
	s.msg.Containment = s.level
	if s.parks {
		return s.sendParked()
	}
	fds := []int{int(s.cwd.Fd())}
	s.msg.CgroupPath = ""
	if s.cgroup != nil {
		fds = append(fds, int(s.cgroup.Dir.Fd()))
		s.msg.CgroupPath = s.cgroup.Path
	}
	if s.terminal != nil {
		fds = append(fds, int(s.terminal.Fd()))
	}
	fds = append(fds, s.handles()...)
	for _, f := range s.files {
		fds = append(fds, int(f.Fd()))
	}
	for len(fds) > sys.MaxFiles {
		if err := s.shim.Conn.Send(fds[:sys.MaxFiles], &wire.Files{}); err != nil {
			return nil, unsent(err)
		}
		fds = fds[sys.MaxFiles:]
	}
	if err := s.shim.Conn.Send(fds, s.msg); err != nil {
		return nil, unsent(err)
	}
	answer, err := s.shim.Conn.Receive()
	if errors.Is(err, syscall.ECONNRESET) {
		return nil, unsent(err) // unix(7): it has ended with what was sent unread
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCutOff, err)
	}
	return answer, nil
}

// sendParked starts the program with a shim that is parked, and waits for the answer.
func (s *starter) sendParked() (wire.Message, error) {
	if s.shim != nil {
		s.shim.Close() // of a start that failed
		s.shim = nil
	}
	f := shim.Files{Terminal: s.terminal, Owner: s.owner, Listener: s.listener, Kept: s.cmd.Keep}
	files := s.files
	for i := range len(s.files) + len(s.msg.Closed) {
		if slices.Contains(s.msg.Closed, i) {
			f.Program = append(f.Program, nil)
			continue
		}
		f.Program, files = append(f.Program, files[0]), files[1:]
	}
	s.msg.CgroupPath = ""
	if s.cgroup != nil {
		f.Cgroup, s.msg.CgroupPath = s.cgroup.Dir, s.cgroup.Path
	}
	if s.listener != nil {
		f.Journal = s.registered.record.File()
	}
	for _, out := range s.cmd.kept {
		f.Outputs = append(f.Outputs, out.r)
	}
	p, err := shim.LaunchParked(s.msg, f)
	if err != nil {
		return nil, err
	}
	s.shim = p
	answer, err := p.Receive()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCutOff, err)
	}
	return answer, nil
}

// unsent tells a shim that is gone from a message that can't be sent, with a file that is
// closed, say.
func unsent(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errShimGone, err)
	}
	return err
}

// nameLeader finds the leader's number in this program's PID namespace.
func (s *starter) nameLeader() error {
	s.leader = s.started.PID
	fds, err := s.shim.Conn.Claim(s.started.PIDFDs)
	if err != nil {
		return s.fail(StageShim, err)
	}
	if s.level == wire.PIDNS && !s.shim.Inside() {
		s.leader = 0
		if len(fds) > 0 {
			s.leader, _ = sys.PidfdPid(fds[0]) // it has ended: unknown
		}
		if s.leader == 0 {
			s.leader = new(contain.Table).Outside(s.shim.PID)[s.started.PID].PID // likewise
		}
	}
	sys.CloseAll(fds)
	if s.parks {
		s.noteStart()
	}
	return nil
}

// noteStart finds out when the leader began, and writes down what a shim that is parked can't.
func (s *starter) noteStart() {
	leader := wire.Member{PID: s.started.PID, Name: filepath.Base(s.cmd.Path)}
	if stat, err := procfs.Read(s.leader); err == nil && stat.PPID == s.shim.PID {
		leader.Start, leader.Group, leader.Session = stat.Start, stat.PGID, stat.Session
	}
	s.started.Start = leader.Start
	if s.registered != nil {
		s.roll = shim.NewRoll(s.registered.record, wire.Member{PID: s.shim.PID, Start: startOf(s.shim.PID)}, leader)
	}
}

func receive[M wire.Message](conn *wire.Conn) (M, error) {
	var none M
	msg, err := conn.Receive()
	if err != nil {
		return none, fmt.Errorf("the shim said nothing: %w", err)
	}
	m, ok := msg.(M)
	if !ok {
		return none, fmt.Errorf("%w: got a %T", wire.ErrProtocol, msg)
	}
	return m, nil
}
