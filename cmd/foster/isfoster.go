package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foster-init/foster/proc"
)

// fosterNames are the names that foster's own processes have: of the command, also where
// it takes the place of another init, and of its small form.
var fosterNames = []string{"foster", "foster-init", "tini", "dumb-init"}

// isFoster says whether a process is foster itself: a supervisor in the background, the
// monitor of a detached run, a shim. It goes by the program that the process runs, and by
// the name where this user may not know that. A name can be forged, to the end of being
// spared.
func isFoster(p *proc.Process) bool {
	if p.Name == "foster-shim" {
		return true // also of the program that uses the library
	}
	if p.Zombie() || !slices.Contains(fosterNames, p.Name) {
		return false
	}
	link := fmt.Sprintf("/proc/%d/exe", p.Thread)
	exe, err := os.Readlink(link)
	if err != nil {
		return strings.HasPrefix(p.Name, "foster")
	}
	if base := filepath.Base(strings.TrimSuffix(exe, " (deleted)")); base == "foster" || base == "foster-init" {
		return true
	}
	its, err1 := os.Stat(link)
	own, err2 := os.Stat("/proc/self/exe")
	return err1 == nil && err2 == nil && os.SameFile(its, own)
}

// orphanhood is [proc.Table.Orphan], but for foster's own processes: they go on without a
// parent on purpose, and watch.
func orphanhood(t *proc.Table, pid int) proc.Orphanhood {
	o := t.Orphan(pid)
	if o.Verdict > proc.No && isFoster(o.Process) {
		o.Verdict, o.AdoptedBy, o.Detached = proc.No, 0, false
		o.Reasons = []string{"it is foster itself, which goes on without a parent on purpose"}
	}
	return o
}

// fosterKept is the refusal to end foster itself as an orphan.
func (h *host) fosterKept(p *proc.Process) error {
	for _, d := range h.table.Descendants(p.PID) {
		if c := h.custody(d.PID); c != nil && c.Tree != "" {
			return c.held(fmt.Sprintf("%s, which belongs to %s,", called(d), called(p)))
		}
	}
	return hinted{fmt.Errorf("%s is foster itself: it is not ended", called(p)), "foster ls lists its trees; foster stop ID ends one, foster down a project"}
}
