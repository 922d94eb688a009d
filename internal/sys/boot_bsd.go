//go:build darwin || freebsd

package sys

// PIDNamespace is the same for all: there are none here.
func PIDNamespace() (uint64, error) { return 0, nil }
