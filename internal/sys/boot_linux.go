package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// BootID names this boot of the machine: no other has the same.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// PIDNamespace names the PID namespace of this process: its numbers mean nothing in
// another. The name may be given again when the namespace is gone.
func PIDNamespace() (uint64, error) {
	info, err := os.Stat("/proc/self/ns/pid")
	if err != nil {
		return 0, err
	}
	return Inode(info), nil
}

// BootOffset is by how much CLOCK_BOOTTIME is ahead in the time namespace of this process
// (time_namespaces(7)): the start times that /proc shows are ahead by as much.
func BootOffset() (time.Duration, error) {
	own, err := os.Readlink("/proc/self/ns/time")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // this kernel has no time namespaces
	}
	children, cerr := os.Readlink("/proc/self/ns/time_for_children")
	b, rerr := os.ReadFile("/proc/self/timens_offsets") // those of the children
	if err := errors.Join(err, cerr, rerr); err != nil {
		return 0, err
	}
	if own != children {
		return 0, errors.New("the offset of this time namespace isn't known: it's not that of its children")
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "boottime" {
			continue
		}
		s, serr := strconv.ParseInt(f[1], 10, 64)
		ns, nerr := strconv.ParseInt(f[2], 10, 64)
		return time.Duration(s)*time.Second + time.Duration(ns), errors.Join(serr, nerr)
	}
	return 0, fmt.Errorf("/proc/self/timens_offsets: no boottime in %q", b)
}

// MachineID names this machine (machine-id(5)); "" where it has no name.
func MachineID() string {
	b, _ := os.ReadFile("/etc/machine-id") // a container often has none
	return strings.TrimSpace(string(b))
}
