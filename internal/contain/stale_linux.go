package contain

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// youngCgroup is how old a cgroup without a member is at least that nobody will start a
// tree in any more: between its making and that, there are some milliseconds.
const youngCgroup = time.Minute

// RemoveStale removes the cgroups beside this process's own trees that were made for a
// tree and have none: their maker was killed before the journal knew of them. The kernel
// removes no cgroup that has a member.
func RemoveStale() {
	own, err := OwnCgroup()
	if err != nil {
		return // there are none
	}
	entries, err := os.ReadDir(own)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || !strings.HasPrefix(e.Name(), cgroupPrefix) || time.Since(info.ModTime()) < youngCgroup {
			continue
		}
		_ = sys.Rmdir(filepath.Join(own, e.Name())) // it has a member: it's a living tree's
	}
}
