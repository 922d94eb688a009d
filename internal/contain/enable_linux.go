package contain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// A cgroup of version 2 gives its controllers to those below it only while it has no
// process itself (cgroups(7), "no internal processes"; the root is exempt). So where
// limits are wanted, and nobody but this program and its children are in the own cgroup,
// they move to a leaf below it, beside the trees.

// ownLeaf is the name of that leaf.
const ownLeaf = "self.foster"

// enable has a cgroup give a controller to those below it.
func enable(home, name string) error {
	file := filepath.Join(home, "cgroup.subtree_control")
	if listed(file, name) {
		return nil
	}
	err := sys.WriteControl(file, "+"+name)
	if errors.Is(err, unix.EBUSY) {
		if err = stepAside(home); err == nil {
			err = sys.WriteControl(file, "+"+name)
		}
	}
	return err
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
			if !ours(pid) {
				return fmt.Errorf("%s has other processes than foster's (%d is one), so the kernel gives no controllers to "+
					"the cgroups below it: start foster in one of its own (systemd-run --scope -p Delegate=yes foster …)", home, pid)
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
		}
	}
	return fmt.Errorf("%s: processes turn up again and again", home)
}

// ours says whether a process is this one, or descends from it.
func ours(pid int) bool {
	for range 1000 { // parents may change meanwhile
		if pid == os.Getpid() {
			return true
		}
		s, err := procfs.Read(pid)
		if err != nil {
			return errors.Is(err, os.ErrNotExist) // it has ended
		}
		if pid = s.PPID; pid <= 1 {
			return pid == os.Getpid()
		}
	}
	return false
}
