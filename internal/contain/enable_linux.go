package contain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// A cgroup of version 2 gives its controllers to those below it only while it has no
// process itself (cgroups(7), "no internal processes"; the root is exempt). So where
// limits are wanted, and nobody but this program and its children are in the own cgroup,
// they move to a leaf below it, beside the trees. The kernel refuses only the controller
// of memory where a process is in the way. Those of processes and of the CPU it gives even
// so, and takes it that the cgroups below are to hold threads: none could hold a tree. So
// the way is made first, without waiting for a refusal.

// ownLeaf is the name of that leaf.
const ownLeaf = "self.foster"

// enable has a cgroup give a controller to those below it.
func enable(home, name string) error {
	if !isRoot(home) {
		if err := stepAside(home); err != nil {
			return err
		}
	}
	file := filepath.Join(home, "cgroup.subtree_control")
	if listed(file, name) {
		return nil
	}
	return sys.WriteControl(file, "+"+name)
}

// isRoot says whether a cgroup is the host's first: that alone has no type.
func isRoot(path string) bool {
	_, err := os.Stat(filepath.Join(path, "cgroup.type"))
	return errors.Is(err, os.ErrNotExist)
}

// stepAside moves this program, and what it has started there, to the leaf.
func stepAside(home string) error {
	all := &Cgroup{Path: home}
	leaf := filepath.Join(home, ownLeaf)
	for range 100 { // shims may be forked meanwhile
		pids := all.procs()
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if pid == 0 {
				return inTheWay(home, "one outside of this PID namespace")
			}
			if !ours(pid) {
				return inTheWay(home, nameOf(pid))
			}
		}
		if err := sys.Mkdir(leaf); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		for _, pid := range pids {
			err := sys.WriteControl(filepath.Join(leaf, enterFile), strconv.Itoa(pid))
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			if pid == os.Getpid() {
				aside.Store(true)
			}
		}
	}
	return fmt.Errorf("%s: processes turn up again and again", home)
}

// nameOf is what messages call a process.
func nameOf(pid int) string {
	s, err := procfs.Read(pid)
	if err != nil {
		return fmt.Sprintf("pid %d", pid)
	}
	return fmt.Sprintf("%q (pid %d)", s.Comm, pid)
}

func inTheWay(home, who string) error {
	user := ""
	if os.Geteuid() != 0 {
		user = "--user "
	}
	return fmt.Errorf("%s has other processes than foster's, as %s, so the kernel gives no controllers to "+
		"the cgroups below it: start foster in one of its own (systemd-run %s--scope -p Delegate=yes foster …)", home, who, user)
}

// aside says that this process has moved to the leaf.
var aside atomic.Bool

// StepBack undoes that at the end of this program, as far as nobody else needs it: while
// the controllers are given, no other process can be started in the cgroup, and who has
// made it couldn't remove it.
func StepBack() {
	home, err := OwnCgroup()
	if err != nil || !aside.Load() {
		return
	}
	leaf := &Cgroup{Path: filepath.Join(home, ownLeaf)}
	if !leaf.awaitAlone(lastShims) || !holdsOnly(home, ownLeaf) {
		return
	}
	file := filepath.Join(home, "cgroup.subtree_control")
	given, _ := os.ReadFile(file) // nothing is taken back from a file that can't be read
	for _, name := range strings.Fields(string(given)) {
		if sys.WriteControl(file, "-"+name) != nil {
			return
		}
	}
	if sys.WriteControl(filepath.Join(home, enterFile), "0") == nil { // 0 is who writes
		_ = sys.Rmdir(leaf.Path)
		aside.Store(false)
	}
}

// lastShims is how long those of the last trees have to end, by themselves.
const lastShims = time.Second

// awaitAlone waits until this process is the only one in the cgroup, as long as the
// others are its own, that is.
func (c *Cgroup) awaitAlone(most time.Duration) bool {
	for deadline := time.Now().Add(most); ; time.Sleep(5 * time.Millisecond) {
		pids := c.procs()
		if slices.Equal(pids, []int{os.Getpid()}) {
			return true
		}
		if !slices.Contains(pids, os.Getpid()) || slices.ContainsFunc(pids, stranger) || time.Now().After(deadline) {
			return false
		}
	}
}

func stranger(pid int) bool { return pid == 0 || !ours(pid) }

// holdsOnly says whether a cgroup has one below it, and no other.
func holdsOnly(path, name string) bool {
	entries, err := os.ReadDir(path)
	return err == nil && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.IsDir() && e.Name() != name })
}

// ours says whether a process is this one, or descends from it; or is the same program as
// this one, and has started it, as foster run --detach does.
func ours(pid int) bool {
	if pid == os.Getppid() && sameProgram(pid) {
		return true
	}
	for range 1000 { // parents may change meanwhile
		if pid == os.Getpid() {
			return true
		}
		s, err := procfs.Read(pid)
		if err != nil || s.Ended() {
			return err == nil || isGone(err) // it has ended; its parent can't be told then
		}
		if pid = s.PPID; pid <= 1 {
			return pid == os.Getpid()
		}
	}
	return false
}

func sameProgram(pid int) bool {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	other, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && os.SameFile(own, other)
}
