package foster

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/foster-init/foster/internal/wire"
)

// Containment is how the processes of a tree are held together.
type Containment string

const (
	// Auto is Cgroup where it can be had, else Subreaper, and Group on systems
	// that have neither. It is never PIDNS. The zero value means Auto.
	Auto Containment = "auto"

	// Group is the process group that the leader leads. It loses what leaves the
	// group, and while the rest of a group outlives its leader, the leader stays a
	// zombie: that is what keeps the group's number from being given to another.
	// Linux, macOS, FreeBSD.
	Group Containment = "group"

	// Subreaper holds all descendants: an orphan among them becomes the child of
	// the shim (PR_SET_CHILD_SUBREAPER in prctl(2)). Linux 5.3, with /proc.
	Subreaper Containment = "subreaper"

	// Cgroup is Subreaper with a cgroup of version 2 for each tree, below the one
	// that this program is in; SIGKILL then reaches all members in one go, those
	// of other users and those that are being forked included. Linux 5.14, and the
	// right to make a cgroup there: root, or a delegated one.
	Cgroup Containment = "cgroup"

	// PIDNS is a PID namespace with the shim as its first process: the kernel ends
	// all of it when the shim ends. The program sees only its own tree in /proc,
	// and other PIDs than the rest of the system. Without privilege it is also a
	// user namespace, in which only the own user exists, so setuid programs don't
	// work. Linux, where user namespaces are allowed or as root.
	PIDNS Containment = "pidns"
)

// level is the containment's number on the wire; false for Auto.
func (c Containment) level() (wire.Containment, bool, error) {
	switch c {
	case Auto, "":
		return 0, false, nil
	case Group:
		return wire.Group, true, nil
	case Subreaper:
		return wire.Subreaper, true, nil
	case Cgroup:
		return wire.Cgroup, true, nil
	case PIDNS:
		return wire.PIDNS, true, nil
	}
	return 0, false, fmt.Errorf("unknown containment %q: use auto, group, subreaper, cgroup or pidns", string(c))
}

// Until says what ends a run.
type Until string

const (
	// UntilTree: the run lasts as long as any process of the tree. The zero value
	// means UntilTree.
	UntilTree Until = "tree"
	// UntilLeader: the run lasts as long as its leader; what is left then is
	// stopped.
	UntilLeader Until = "leader"
)

func (u Until) valid() error {
	switch u {
	case "", UntilTree, UntilLeader:
		return nil
	}
	return fmt.Errorf("unknown end of a run %q: use tree or leader", string(u))
}

// LossPolicy says what to do when the leader, a start script say, has ended or
// was killed while others of its tree live on.
type LossPolicy string

const (
	// LossContinue: the rest goes on, and the run with it. The zero value means
	// LossContinue.
	LossContinue LossPolicy = "continue"
	// LossStop: the rest is stopped.
	LossStop LossPolicy = "stop"
	// LossFail: the rest is stopped, and the run has failed with ErrLeaderLost,
	// whatever the leader's status was.
	LossFail LossPolicy = "fail"
)

func (p LossPolicy) valid() error {
	switch p {
	case "", LossContinue, LossStop, LossFail:
		return nil
	}
	return fmt.Errorf("unknown policy for a lost leader %q: use continue, stop or fail", string(p))
}

// pidnsError says what would help.
func pidnsError(err error) error {
	if errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.ENOSYS) {
		return fmt.Errorf("no PID namespace: %w", err)
	}
	return fmt.Errorf("no PID namespace: %w: run as root, or allow user namespaces "+
		"(user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)", err)
}
