package procfs

import (
	"os"
	"path/filepath"
	"strconv"
)

// WithOpen lists the processes that have a file open, as far as this user may look.
func WithOpen(path string) (pids []int) {
	file, err := os.Stat(path)
	if err != nil {
		return nil
	}
	folder := filepath.Base(filepath.Dir(path))
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is valid
	for _, fd := range fds {
		// By its folder first: a look at another file may hang, in a file system that is gone. Its
		// own name may be another by now.
		if link, err := os.Readlink(fd); err != nil || filepath.Base(filepath.Dir(link)) != folder {
			continue
		}
		open, err := os.Stat(fd)
		if err != nil || !os.SameFile(file, open) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(fd))))
		if err == nil && (len(pids) == 0 || pids[len(pids)-1] != pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}
