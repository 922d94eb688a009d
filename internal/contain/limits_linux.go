package contain

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// What limits a tree are controllers. On a unified host, the tree's own cgroup has
// them. On a hybrid one they are in hierarchies of version 1, each with a tree of groups
// of its own: there the tree gets a group in each, which its leader enters before it runs.

// controller is how one resource is limited.
type controller struct {
	name string
	v2   setting
	v1   []setting
	// late: its limit in version 2 is written by the leader itself, the last before it is
	// the program. What starts it has more threads, and needs more time of the CPU, than
	// the program may be allowed.
	late bool
}

// setting is what is written to a file of a cgroup.
type setting struct{ file, text string }

// cpuPeriod is the time in which the quota of a CPU is used up, in microseconds.
const cpuPeriod = 100_000

// controllers are in the order of the writes: who is limited in processes starts no more
// threads, and who is limited in time is slow from then on.
func (l Limits) controllers() (list []controller) {
	if l.Memory > 0 {
		n := strconv.FormatInt(l.Memory, 10)
		list = append(list, controller{
			name: "memory", v2: setting{"memory.max", n}, v1: []setting{{"memory.limit_in_bytes", n}},
		})
	}
	if l.PIDs > 0 {
		n := strconv.FormatInt(l.PIDs, 10)
		list = append(list, controller{name: "pids", v2: setting{"pids.max", n}, v1: []setting{{"pids.max", n}}, late: true})
	}
	if l.CPU > 0 {
		quota, period := strconv.FormatInt(int64(math.Round(l.CPU*cpuPeriod)), 10), strconv.Itoa(cpuPeriod)
		list = append(list, controller{
			name: "cpu", v2: setting{"cpu.max", quota + " " + period}, late: true,
			v1: []setting{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}},
		})
	}
	return list
}

// Limit limits who will be in the cgroup. What the leader has to write by itself, before
// it runs, is returned; and for each limit that can't be had, why not, and what to do.
// Groups of version 1 that are made for it are removed with the cgroup.
func (c *Cgroup) Limit(l Limits) (writes []wire.Write, failed []error) {
	for _, one := range l.controllers() {
		w, err := c.limit(one)
		if err != nil {
			failed = append(failed, fmt.Errorf("no limit of %s: %w", one.name, err))
			continue
		}
		writes = append(writes, w...)
	}
	return writes, failed
}

func (c *Cgroup) limit(one controller) ([]wire.Write, error) {
	home := filepath.Dir(c.Path)
	if listed(filepath.Join(home, "cgroup.controllers"), one.name) {
		return c.limitV2(home, one)
	}
	above, err := ownGroup(one.name)
	if err != nil {
		return nil, err
	}
	if above == "" {
		return nil, fmt.Errorf("%s doesn't list the controller, and no hierarchy of version 1 has it: "+
			"have it delegated (systemd: Delegate=yes), or boot a kernel with it (cgroup_enable=%s)",
			filepath.Join(home, "cgroup.controllers"), one.name)
	}
	return c.limitV1(above, one)
}

func (c *Cgroup) limitV2(home string, one controller) ([]wire.Write, error) {
	if err := enable(home, one.name); err != nil {
		return nil, withAdvice(err)
	}
	path := c.file(one.v2.file)
	if one.late {
		return []wire.Write{{Path: path, Text: one.v2.text}}, nil
	}
	return nil, withAdvice(sys.WriteControl(path, one.v2.text))
}

func (c *Cgroup) limitV1(above string, one controller) ([]wire.Write, error) {
	group := filepath.Join(above, filepath.Base(c.Path))
	known := slices.Contains(c.Groups, group) // of two controllers in one hierarchy
	if !known {
		if err := sys.Mkdir(group); err != nil {
			return nil, withAdvice(err)
		}
	}
	for _, s := range one.v1 {
		if err := sys.WriteControl(filepath.Join(group, s.file), s.text); err != nil {
			if !known {
				err = errors.Join(err, removeCgroup(group))
			}
			return nil, withAdvice(err)
		}
	}
	if known {
		return nil, nil
	}
	c.Groups = append(c.Groups, group)
	return []wire.Write{{Path: filepath.Join(group, enterFile), Text: "0"}}, nil // 0 is who writes
}

const enterFile = "cgroup.procs"

func withAdvice(err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: mount it read-write; a container needs a cgroup namespace of its own for that", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run as root, or in a cgroup that was delegated to you "+
			"(systemd-run --user --scope -p Delegate=yes …)", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: is it more than the cgroup above has?", err)
	}
	return err
}

// listed says whether a file, one line of words, has a word.
func listed(path, word string) bool {
	b, err := os.ReadFile(path)
	return err == nil && slices.Contains(strings.Fields(string(b)), word)
}

// ownGroup finds the group of version 1 that this process is in, of the hierarchy that
// has a controller; "" where none has it.
func ownGroup(name string) (string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	path, ok := parseOwnV1(b, name)
	if !ok {
		return "", nil
	}
	if b, err = os.ReadFile("/proc/self/mountinfo"); err != nil {
		return "", err
	}
	dir, ok := parseMountV1(b, name, path)
	if !ok {
		return "", fmt.Errorf("no mount shows the group %q of version 1: mount -t cgroup -o %s none /sys/fs/cgroup/%s", path, name, name)
	}
	return dir, nil
}

// parseOwnV1 finds the path of a controller in the content of /proc/self/cgroup.
func parseOwnV1(b []byte, name string) (string, bool) {
	for line := range bytes.Lines(b) {
		f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), name) {
			return f[2], !strings.HasPrefix(f[2], "/..")
		}
	}
	return "", false
}

// parseMountV1 finds where a group of version 1 is mounted: the options of its file
// system name its controllers.
func parseMountV1(b []byte, name, path string) (string, bool) {
	return parseMount(b, path, func(kind string) bool {
		f := strings.Fields(kind)
		return len(f) == 3 && f[0] == "cgroup" && slices.Contains(strings.Split(f[2], ","), name)
	})
}

// SetGroups names the groups of version 1 that are removed with the cgroup.
func (t *cgroup) SetGroups(paths []string) { t.dir.Groups = paths }

// OOMKills is how many of the tree the kernel has killed since it was out of memory.
func (t *cgroup) OOMKills() int { return t.dir.OOMKills() }

// OOMKills is how many of its members the kernel has killed since they had reached a
// limit of memory; 0 where it can't be known.
func (c *Cgroup) OOMKills() (kills int) {
	files := []string{c.file("memory.events")}
	for _, g := range c.Groups {
		files = append(files, filepath.Join(g, "memory.oom_control"))
	}
	for _, name := range files {
		b, _ := os.ReadFile(name) // not there: without that controller
		kills += parseOOMKills(b)
	}
	return kills
}

// parseOOMKills reads the same line in memory.events and in memory.oom_control.
func parseOOMKills(b []byte) int {
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(rest))
			if err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}
