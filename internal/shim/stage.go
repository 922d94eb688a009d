package shim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// A leader with resource limits of its own, with listening sockets, or with a limited tree
// is started through a stage: limits can be set, its own number be known, and a cgroup of
// version 1 be entered, only by the process itself, between fork and exec, where Go's fork
// has no place for that. The stage is this executable once more; it sets the limits while
// it still has the right to raise them, becomes the user that the leader runs as, and is
// replaced by the leader, with the same pid.

// staged says whether a start needs the stage.
func staged(m *wire.Start) bool { return len(m.Rlimits) > 0 || m.ListenPID || len(m.Writes) > 0 }

// throughStage starts the stage in the leader's place, and waits until the leader
// has taken over.
func (f *forker) throughStage() *failure {
	exe, err := sys.Executable()
	if err != nil {
		return &failure{StageFork, err}
	}
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		return &failure{StageFork, err}
	}
	conn := wire.NewConn(mine)
	defer conn.Close()
	if what := beforeStage(f.msg.Attr); what != "" {
		return &failure{StageAttr, fmt.Errorf("%s doesn't go together with Rlimits, ListenNames or the limits of a cgroup of version 1: %w", what, syscall.EINVAL)}
	}
	attr := f.attr()
	fd := len(attr.Files)
	attr.Files = append(attr.Files, theirs.Fd())
	attr.Env = nil // the leader's environment isn't the stage's
	fail := f.fork(exe, []string{argv0Stage, strconv.Itoa(fd)}, attr)
	theirs.Close()
	if fail != nil {
		return fail
	}
	if err := conn.Send(nil, f.msg); err != nil {
		return f.failedStage(&failure{StageExec, err})
	}
	// The stage's socket is closed by a successful exec.
	switch m, err := conn.Receive(); m := m.(type) {
	case *wire.Failed:
		about := "" // what is told beside the number: which limit it was
		if m.Stage == StageRlimit || m.Stage == StageFork {
			if about = strings.TrimSuffix(m.Text, m.Errno.Error()); about == m.Text {
				about += ": "
			}
		}
		return f.failedStage(&failure{m.Stage, fmt.Errorf("%s%w", about, m.Errno)})
	default:
		_ = err
		return nil
	}
}

// failedStage takes the stage's end off the list of children.
func (f *forker) failedStage(fail *failure) *failure {
	_ = sys.Kill(f.pid, syscall.SIGKILL) // an unreaped child
	sys.WaitEnd(f.pid)
	if f.pidfd >= 0 {
		sys.CloseAll([]int{f.pidfd})
	}
	return fail
}

// stage is the other side of throughStage.
func stage(conn *wire.Conn) int {
	msg, err := conn.Receive()
	if err != nil {
		return 125
	}
	m, ok := msg.(*wire.Start)
	if !ok {
		return 125
	}
	fail := becomeLeader(m)
	_ = conn.Send(nil, fail.message()) // without a shim, nobody is left to be told
	return 125
}

// becomeLeader returns only where it fails.
func becomeLeader(m *wire.Start) *failure {
	if m.ListenPID {
		m.Env = append(m.Env, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	}
	w, fail := openWrites(m.Writes) // with the rights that it still has
	if fail == nil {
		fail = prepareLeader(m)
	}
	if fail == nil {
		fail = w.write()
	}
	if fail == nil {
		fail = &failure{StageExec, sys.Exec(m.Path, m.Args, m.Env)}
		if errors.Is(fail.err, syscall.EAGAIN) { // it became a user who has too many (execve(2))
			fail = &failure{StageFork, sys.ForkError(fail.err, os.Getuid())}
		}
	}
	return fail
}

func prepareLeader(m *wire.Start) *failure {
	for _, r := range m.Rlimits {
		if err := sys.Setrlimit(r.Resource, r.Soft, r.Hard); err != nil {
			return &failure{StageRlimit, fmt.Errorf("%s: %w", units.FormatRlimit(r.Resource, r.Soft, r.Hard), err)}
		}
	}
	if m.Attr.Chroot != "" {
		if err := sys.Chroot(m.Attr.Chroot); err != nil {
			return &failure{StageAttr, err}
		}
	}
	if m.Credential.Set {
		if err := sys.SetCredential(credential(m.Credential)); err != nil {
			return &failure{StageCredential, err}
		}
	}
	if m.Containment == wire.Group {
		// Another user's id has taken it away (prctl(2)).
		if err := sys.DieWithParent(syscall.SIGKILL); err != nil {
			return &failure{StageContainment, err}
		}
	}
	if m.Dir != "" {
		if err := os.Chdir(m.Dir); err != nil {
			return &failure{StageDir, err}
		}
	}
	return nil
}
