//go:build darwin || freebsd

package contain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// What stands here says that macOS and FreeBSD don't have it; the comments on the
// functions are in the files for Linux.

func notHere(what string) error {
	return fmt.Errorf("%s: %w on this system: only the process group is", what, errors.ErrUnsupported)
}

func NewSubreaper() (Tree, error) { return nil, notHere("subreaper") }

func NewCgroupTree(string, int) (Tree, error) { return nil, notHere("cgroup") }

func NewSharedCgroupTree(string, int) (Tree, error) { return nil, notHere("cgroup") }

func NewPIDNS() (Tree, error) { return nil, notHere("PID namespace") }

func SetUpPIDNS() error { return notHere("PID namespace") }

type Cgroup struct {
	Path   string
	Dir    *os.File
	Groups []string
}

var ErrNoCgroup = errors.New("no cgroup")

func OwnCgroup() (string, error) { return "", notHere("cgroup") }

func NewCgroup(string) (*Cgroup, error) { return nil, notHere("cgroup") }

func (*Cgroup) End(time.Duration) (killed, left []procfs.Stat, err error) {
	return nil, nil, notHere("cgroup")
}

func (*Cgroup) Remove() error { return nil }

func (*Cgroup) Limit(Limits) ([]wire.Write, []error) { return nil, []error{notHere("cgroup")} }

func (*Cgroup) OOMKills() int { return 0 }

func (*Cgroup) Inode() uint64 { return 0 }

func RemoveStale() {}

func StepBack() {}

func Adopt() error { return notHere("subreaper") }

func Adopts() bool { return false }

func ReapEnded([]procfs.Stat, func(int) bool) {}

func IsEarlier(procfs.Stat) bool { return false }

func EmptyAdopted(time.Duration, func(int) bool) (int, []procfs.Stat, error) {
	return 0, nil, notHere("subreaper")
}

// GroupNow doesn't look: no start time is known here.
func GroupNow(leader int, _ uint64) ([]wire.Member, error) { return []wire.Member{{PID: leader}}, nil }

// emptyLost ends a group whose shim was killed. The leader's start time isn't known here, so
// the group is signalled at once and once: its number was its own a moment ago.
func emptyLost(_ context.Context, l Lost, _ wire.Plan) (Emptied, error) {
	if l.Containment != wire.Group || len(l.Members) == 0 {
		return Emptied{}, notHere("recovery")
	}
	if err := sys.Kill(-l.Members[0].PID, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return Emptied{}, err
	}
	return Emptied{}, nil
}

func findLost(Lost) ([]procfs.Stat, []Unproven, error) { return nil, nil, notHere("recovery") }

func endLost(context.Context, Lost, wire.Plan) (Emptied, error) {
	return Emptied{}, notHere("recovery")
}
