package sys

import (
	"errors"

	"golang.org/x/sys/unix"
)

// HasACL says whether more than a file's mode decides who may write it. Where that can't be
// known, it does.
func HasACL(path string) bool {
	_, err := unix.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil || !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP)
}
