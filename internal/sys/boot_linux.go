package sys

import (
	"os"
	"strings"
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
