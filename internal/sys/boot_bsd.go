//go:build darwin || freebsd

package sys

import "time"

// PIDNamespace is the same for all: there are none here.
func PIDNamespace() (uint64, error) { return 0, nil }

// BootOffset is nothing: there are no time namespaces here.
func BootOffset() (time.Duration, error) { return 0, nil }

// MachineID isn't read here: "" is unknown.
func MachineID() string { return "" }
