package contain

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// Cgroup is a cgroup of version 2 that belongs to one tree (cgroups(7)). The
// owner's side makes it, so that it knows of it also where the shim dies; both
// can empty and remove it.
type Cgroup struct {
	Path   string
	Dir    *os.File // for a clone into it
	Groups []string // of version 1, which Limit has made: they are removed with it
}

// ErrNoCgroup says that this system has no cgroups as they're needed here, which
// trying again won't change.
var ErrNoCgroup = errors.New("no cgroup of version 2")

// canKill says that cgroup.kill was seen: what a kernel has, it has for all cgroups.
var canKill atomic.Bool

// NewCgroup makes a cgroup below the one that this process is in: whoever ends
// that one, a service manager say, ends the tree with it. The error says what is
// missing and what would help.
func NewCgroup(name string) (*Cgroup, error) {
	own, err := OwnCgroup()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(own, name)
	if err := sys.Mkdir(path); err != nil {
		return nil, withAdvice(err)
	}
	c := &Cgroup{Path: path}
	ownCgroups.Store(name, true)
	// Linux 5.14 has cgroup.kill; without it a tree that forks couldn't be ended
	// in one go, which is what a cgroup is for.
	if !canKill.Load() {
		if _, err := os.Stat(c.file("cgroup.kill")); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: this kernel has no cgroup.kill: Linux 5.14 or newer is needed", ErrNoCgroup), c.Remove())
		}
		if err := c.holdable(); err != nil {
			return nil, errors.Join(err, c.Remove())
		}
		canKill.Store(true)
	}
	dir, err := sys.OpenDir(path)
	if err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	c.Dir = dir
	return c, nil
}

// ownCgroups has the names of those that this process has made and not removed.
var ownCgroups sync.Map

// inOwnCgroup says whether a process is in a cgroup that this process has made for a tree,
// and so is that tree's.
func inOwnCgroup(pid int) bool {
	for part := range strings.SplitSeq(procfs.Cgroup(pid), "/") {
		if _, own := ownCgroups.Load(part); own {
			return true
		}
	}
	return false
}

// holdable makes the cgroup one that can hold processes. It can't where the one above has
// a process, and gives controllers all the same, as an earlier foster may have had it do.
func (c *Cgroup) holdable() error {
	b, err := os.ReadFile(c.file("cgroup.type"))
	if err != nil || string(b) != "domain invalid\n" {
		return nil // before Linux 4.14 there was no other
	}
	if err := stepAside(filepath.Dir(c.Path)); err != nil {
		return fmt.Errorf("%w that can hold a tree: %w", ErrNoCgroup, err)
	}
	return nil
}

// OwnCgroup finds the folder of the cgroup below which those of trees are made: the one
// that this process is in, or was in before it stepped aside.
func OwnCgroup() (string, error) {
	own, err := ownFolder()
	if filepath.Base(own) == ownLeaf {
		own = filepath.Dir(own)
	}
	return own, err
}

// ownFolder finds the folder of the cgroup that this process is in.
func ownFolder() (string, error) {
	var buf [4096]byte
	n, err := sys.ReadInto("/proc/self/cgroup", buf[:])
	if err != nil {
		return "", err
	}
	path, ok := parseOwn(buf[:n])
	if !ok {
		return "", fmt.Errorf("%w: this process is in none: boot with the unified or the hybrid hierarchy", ErrNoCgroup)
	}
	if m := mounted.Load(); m != nil && m.path == path {
		return m.dir, nil
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	dir, ok := parseCgroupMount(b, path)
	if !ok {
		return "", fmt.Errorf("%w: no mount shows the cgroup %q: mount -t cgroup2 none /sys/fs/cgroup", ErrNoCgroup, path)
	}
	mounted.Store(&mount{path, dir})
	return dir, nil
}

// mount is the folder of a cgroup, which is asked for at each start. Where it was
// mounted anew elsewhere since, making a cgroup in it fails.
type mount struct{ path, dir string }

var mounted atomic.Pointer[mount]

// parseOwn finds the path of version 2 in the content of /proc/self/cgroup.
func parseOwn(b []byte) (string, bool) {
	for line := range bytes.Lines(b) {
		if path, ok := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\n")), []byte("0::")); ok {
			p := string(path)
			// Outside of the cgroup namespace, or removed: nothing to build below.
			return p, !strings.HasPrefix(p, "/..") && !strings.HasSuffix(p, " (deleted)")
		}
	}
	return "", false
}

// parseCgroupMount finds where the cgroup with that path is mounted, in the
// content of /proc/self/mountinfo (proc(5)).
func parseCgroupMount(b []byte, path string) (string, bool) {
	return parseMount(b, path, func(kind string) bool { return strings.HasPrefix(kind, "cgroup2 ") })
}

// parseMount finds where a path of a file system is mounted; kind is asked with the type,
// the source and the options of a mount.
func parseMount(b []byte, path string, kind func(string) bool) (string, bool) {
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		f := strings.Split(before, " ")
		if !ok || len(f) < 5 || strings.HasPrefix(f[3], "/..") || !kind(after) {
			continue
		}
		root, mount := unescapeMount(f[3]), unescapeMount(f[4])
		rel, err := filepath.Rel(root, path)
		if err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return filepath.Join(mount, rel), true
		}
	}
	return "", false
}

// unescapeMount undoes the octal escapes of mountinfo.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// Inode is the number of its folder, by which it's told from a later one of that name;
// 0 where it isn't known.
func (c *Cgroup) Inode() uint64 {
	info, err := os.Stat(c.Path)
	if err != nil {
		return 0
	}
	return sys.Inode(info)
}

func (c *Cgroup) file(name string) string { return filepath.Join(c.Path, name) }

// Kill sends SIGKILL to all members, those included that are being forked.
func (c *Cgroup) Kill() error {
	_, err := c.kill()
	return err
}

// kill is Kill. The kernel's cgroup.kill doesn't reach a process whose first thread has ended
// while others run: those are signalled one by one, and are what comes back. What they fork
// meanwhile is for the next call.
func (c *Cgroup) kill() (Sent, error) {
	err := os.WriteFile(c.file("cgroup.kill"), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return Sent{}, nil // removed: it was empty
	}
	if err != nil {
		return Sent{}, err
	}
	root, err := os.OpenRoot(c.Path)
	if isGone(err) {
		return Sent{}, nil
	}
	if err != nil {
		return Sent{}, err
	}
	defer root.Close()
	missed, full := heldIn(root, func(pid int) bool {
		s, err := procfs.Read(pid)
		return err == nil && !s.FirstEnded
	})
	defer release(missed)
	sent := signal(missed, syscall.SIGKILL, nil)
	sent.Again = len(sent.Reached) > 0
	if !full {
		return sent, syscall.EMFILE
	}
	return sent, nil
}

// Populated says whether the cgroup, or one below it, has a living member.
func (c *Cgroup) Populated() (bool, error) {
	f, err := os.Open(c.file("cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return populated(f)
}

func populated(f *os.File) (bool, error) {
	var buf [256]byte
	n, err := f.ReadAt(buf[:], 0)
	if n == 0 {
		if errors.Is(err, unix.ENODEV) {
			return false, nil // removed while open
		}
		return false, err
	}
	return !bytes.Contains(buf[:n], []byte("populated 0\n")), nil
}

// End kills all members and waits for their end. It returns whom it has ended, as far as
// they were seen before, and who is left when the time is over: who waits in the kernel
// (state D), or is frozen.
func (c *Cgroup) End(bound time.Duration) (killed, left []procfs.Stat, err error) {
	killed, _ = c.members() // unseen: killed all the same
	over := time.Now().Add(bound)
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		sent, kerr := c.kill()
		if kerr != nil && kerr != syscall.EMFILE { // whom no handle was left for is tried again
			return nil, nil, kerr
		}
		if len(sent.Reached) > 0 {
			wait = firstLook
		}
		next := time.Now().Add(wait)
		if next.After(over) {
			next = over
		}
		err = c.awaitEmpty(next)
		if !errors.Is(err, os.ErrDeadlineExceeded) || next.Equal(over) {
			break
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		left, err = c.members()
		if err == nil && len(left) == 0 {
			err = fmt.Errorf("%s has members that this process can't see", c.Path)
		}
	}
	return endedOf(killed, left), left, err
}

// AwaitEmpty waits until the cgroup has no living member.
func (c *Cgroup) AwaitEmpty() error { return c.awaitEmpty(time.Time{}) }

func (c *Cgroup) awaitEmpty(deadline time.Time) error {
	f, err := os.Open(c.file("cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if err := f.SetReadDeadline(deadline); err != nil {
		return err
	}
	// The file has news when it changed since it was read.
	var perr error
	err = raw.Read(func(uintptr) bool {
		var p bool
		p, perr = populated(f)
		return perr != nil || !p
	})
	return errors.Join(err, perr)
}

// Remove removes the cgroup and those that its members made below it. It must be
// empty.
func (c *Cgroup) Remove() error {
	if c.Dir != nil {
		c.Dir.Close()
		c.Dir = nil
	}
	ownCgroups.Delete(filepath.Base(c.Path))
	err := removeCgroup(c.Path)
	for _, g := range c.Groups {
		err = errors.Join(err, removeCgroup(g))
	}
	return err
}

func removeCgroup(path string) error {
	err := sys.Rmdir(path)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	entries, rerr := os.ReadDir(path)
	if rerr != nil {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := sys.Rmdir(path); err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}

// procs lists the members of the cgroup itself; one that this PID namespace doesn't show
// is 0.
func (c *Cgroup) procs() []int {
	b, err := os.ReadFile(c.file("cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for line := range strings.Lines(string(b)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid >= 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cgroup is a subreaper whose tree is in a cgroup of its own, too: what was moved
// out of the cgroup is still found as a descendant, and what forks faster than it
// can be found is still ended in one go.
type cgroup struct {
	subreaper
	dir    *Cgroup
	fd     int // of the folder, until the leader was started
	killed bool
}

// NewCgroupTree holds a tree in a cgroup; fd is a handle on its folder.
func NewCgroupTree(path string, fd int) (Tree, error) {
	t, err := NewSubreaper()
	if err != nil {
		return nil, err
	}
	return &cgroup{subreaper: t.(subreaper), dir: &Cgroup{Path: path}, fd: fd}, nil
}

func (t *cgroup) Prepare(attr *syscall.SysProcAttr) {
	attr.UseCgroupFD = true
	attr.CgroupFD = t.fd
}

// Kill kills the cgroup; called again, since something was left, also what has
// left the cgroup.
func (t *cgroup) Kill() (Sent, error) {
	var members []procfs.Stat
	for _, pid := range t.dir.procs() {
		if s, err := procfs.Read(pid); err == nil && !s.Ended() {
			members = append(members, s)
		}
	}
	sent, err := t.dir.kill()
	sent.addOthers(Sent{Reached: members})
	if !t.killed {
		t.killed = true
		return sent, err
	}
	rest, serr := t.subreaper.Kill()
	sent.addOthers(rest)
	sent.Again = true
	return sent, errors.Join(err, serr)
}

func (t *cgroup) Empty() (bool, error) {
	p, err := t.dir.Populated()
	return !p && err == nil, err
}

func (t *cgroup) AwaitEmpty() error { return t.dir.AwaitEmpty() }

// Release moves the members to the cgroup above, where they would be without
// foster.
func (t *cgroup) Release() error {
	above := t.above()
	for i, from := range append(slices.Clone(t.dir.Groups), t.dir.Path) {
		if err := moveAll(from, above[i]); err != nil {
			return err
		}
	}
	return nil
}

// moveAll moves the members of one cgroup, and of those below it, to another.
func moveAll(from, to string) error {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer root.Close()
	for range 100 { // members may fork meanwhile
		pids := allProcs(root)
		if len(pids) == 0 {
			break
		}
		for pid := range pids {
			err := os.WriteFile(filepath.Join(to, enterFile), []byte(strconv.Itoa(pid)), 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

func (t *cgroup) Close() error { return t.dir.Remove() }
