//go:build darwin || freebsd

package sys

// HasACL says whether more than a file's mode decides who may write it. That isn't known
// here: it may.
func HasACL(string) bool { return true }
