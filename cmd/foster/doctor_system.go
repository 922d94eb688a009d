package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/foster-init/foster/internal/contain"
)

// What doctor reads of the system. All of it is from files: nothing is tried.

// word reads a file of one line; "" where there is none.
func word(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func kernelRelease() string { return word("/proc/sys/kernel/osrelease") }

// cgroupMounts are the mounts of the two versions, by what mountinfo tells.
func cgroupMounts(mountinfo string) (unified []string, old []string) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		f := strings.Fields(before)
		if !ok || len(f) < 5 {
			continue
		}
		switch {
		case strings.HasPrefix(after, "cgroup2 "):
			unified = append(unified, f[4])
		case strings.HasPrefix(after, "cgroup "):
			old = append(old, f[4])
		}
	}
	return unified, old
}

// cgroupFindings tell of the layout, of the own cgroup, and of its controllers.
func cgroupFindings() []finding {
	unified, old := cgroupMounts(word("/proc/self/mountinfo"))
	layout := finding{Name: "cgroups", State: stateInfo}
	switch {
	case len(unified) > 0 && len(old) > 0:
		layout.Value = "hybrid: version 2 at " + unified[0] + fmt.Sprintf(", and %d hierarchies of version 1, which have the controllers", len(old))
	case len(unified) > 0:
		layout.Value = "unified: version 2 at " + unified[0]
	case len(old) > 0:
		layout.Value, layout.Hint = "version 1 only", "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 none /mnt"
	default:
		layout.Value, layout.Hint = "not mounted", "mount -t cgroup2 none /sys/fs/cgroup"
	}
	list := []finding{layout}
	own, err := contain.OwnCgroup()
	if err != nil {
		return append(list, finding{Name: "own cgroup", State: stateInfo, Why: err.Error()})
	}
	list = append(list, finding{Name: "own cgroup", State: stateInfo, Value: own})
	controllers := finding{
		Name: "controllers", State: stateInfo, Value: word(filepath.Join(own, "cgroup.controllers")),
	}
	if controllers.Value == "" {
		controllers.Value = "none in the own cgroup: what can be limited, and by which, stands below"
	}
	return append(list, controllers, delegation(own))
}

// delegation is whether this user may write where cgroups are made and entered.
func delegation(own string) finding {
	f := finding{Name: "delegated", State: stateInfo}
	dir, err := os.Stat(own)
	if err != nil {
		f.Why = err.Error()
		return f
	}
	procs, err := os.OpenFile(filepath.Join(own, "cgroup.procs"), os.O_WRONLY, 0)
	switch {
	case err == nil:
		procs.Close()
		f.Value = "yes: this user may write to cgroup.procs"
	default:
		f.Value = fmt.Sprintf("no: the folder has mode %04o, and cgroup.procs can't be written", dir.Mode().Perm())
	}
	return f
}

// limitFindings are the limits on the number of processes.
func limitFindings() []finding {
	var list []finding
	add := func(name, value string) {
		if value != "" {
			list = append(list, finding{Name: name, State: stateInfo, Value: value})
		}
	}
	add("pid_max", word("/proc/sys/kernel/pid_max"))
	add("threads-max", word("/proc/sys/kernel/threads-max"))
	add("RLIMIT_NPROC", processLimit(word("/proc/self/limits")))
	add("pids.max", pidsMax())
	return list
}

// processLimit finds the line "Max processes" of /proc/PID/limits.
func processLimit(limits string) string {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max processes"); ok {
			if f := strings.Fields(rest); len(f) >= 2 {
				return fmt.Sprintf("soft %s, hard %s", f[0], f[1])
			}
		}
	}
	return ""
}

// pidsMax finds the lowest limit of the cgroups that this process is in.
func pidsMax() string {
	for line := range strings.Lines(word("/proc/self/cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[1] != "" && f[1] != "pids" {
			continue
		}
		for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"} {
			if max := word(filepath.Join(root, f[2], "pids.max")); max != "" {
				return fmt.Sprintf("%s (%s now)", max, word(filepath.Join(root, f[2], "pids.current")))
			}
		}
	}
	return ""
}
