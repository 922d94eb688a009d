package contain

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/foster-init/foster/internal/sys"
)

// cgroupPrefix begins the name of each cgroup that foster makes for a tree.
const cgroupPrefix = "foster-"

// openLostCgroup opens the cgroup of a lost tree. All that follows goes through the
// handle, so that it can't meet another that has the same path by then. It is nil
// where the cgroup is gone: the kernel removes none that has a member. That is so,
// too, where another cgroup has its path.
func openLostCgroup(name string, inode uint64) (*os.Root, error) {
	if inode == 0 || !filepath.IsAbs(name) || filepath.Clean(name) != name ||
		!strings.HasPrefix(filepath.Base(name), cgroupPrefix) {
		return nil, fmt.Errorf("cgroup %q (inode %d): %w", name, inode, ErrNotATree)
	}
	root, err := os.OpenRoot(name)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	same, err := isCgroup(root, inode)
	if err == nil && same {
		return root, nil
	}
	root.Close()
	if isGone(err) {
		return nil, nil
	}
	return nil, err
}

// isCgroup says whether a folder is the cgroup with that inode.
func isCgroup(root *os.Root, inode uint64) (bool, error) {
	dir, err := root.Open(".")
	if err != nil {
		return false, err
	}
	defer dir.Close()
	if !sys.IsCgroup2(dir) {
		return false, fmt.Errorf("%s isn't a cgroup of version 2: %w", root.Name(), ErrNotATree)
	}
	info, err := dir.Stat()
	if err != nil {
		return false, err
	}
	return sys.Inode(info) == inode, nil
}

// addCgroup adds the members of the cgroup and of those below it.
func (r *remains) addCgroup() {
	if r.cgroup == nil {
		return
	}
	found, full := heldIn(r.cgroup, func(pid int) bool { _, known := r.byPid[pid]; return known })
	r.full = r.full && full
	for _, h := range found {
		r.add(h)
	}
}

// cgroupEvents opens the file that tells whether the cgroup has members; nil where
// there is no cgroup.
func (r *remains) cgroupEvents() (*os.File, error) {
	if r.cgroup == nil {
		return nil, nil
	}
	f, err := r.cgroup.Open("cgroup.events")
	if isGone(err) {
		return nil, nil
	}
	return f, err
}

func (r *remains) killCgroup() error {
	if r.cgroup == nil {
		return nil
	}
	f, err := r.cgroup.OpenFile("cgroup.kill", os.O_WRONLY, 0)
	if err == nil {
		_, err = io.WriteString(f, "1")
		err = errors.Join(err, f.Close())
	}
	if isGone(err) {
		return nil
	}
	return err
}

// removeCgroup removes the cgroup, which is empty, unless it's another by now.
func (r *remains) removeCgroup() error {
	if r.cgroup == nil {
		return nil
	}
	now, err := openLostCgroup(r.lost.CgroupPath, r.lost.CgroupInode)
	if now == nil {
		return err
	}
	now.Close()
	return removeCgroup(r.lost.CgroupPath)
}

// removeGroups removes the groups of version 1 that were made for the limits of the tree:
// they have the name of its cgroup, which no other tree has had, and no process that is
// proven to be of the tree is left. One that has a process nevertheless, the kernel keeps.
func (r *remains) removeGroups() (err error) {
	for _, path := range r.lost.Groups {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || !strings.HasPrefix(filepath.Base(path), cgroupPrefix) ||
			filepath.Base(path) != filepath.Base(r.lost.CgroupPath) {
			return fmt.Errorf("group %q: %w", path, ErrNotATree)
		}
		err = errors.Join(err, removeCgroup(path))
	}
	return err
}
