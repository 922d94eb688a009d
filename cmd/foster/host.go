package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/wire"
	"github.com/foster-init/foster/proc"
)

// host is what the commands about the whole host look at: a snapshot of the process
// table, and who of it is in the custody of a foster.
type host struct {
	table   *proc.Table
	trees   map[int]string // the living trees of this user, by their processes
	above   map[int]bool   // this process, and those above it
	ports   map[int][]proc.Port
	noPorts map[int]bool // whose ports this user may not see

	network     uint64      // the network namespace of this command; 0: unknown
	held        []proc.Held // the sockets of the port that was asked for
	boundHidden error       // why those that are only bound aren't among them
}

// ownProc is an error where /proc shows another PID namespace: there, a number that is
// read means another process than the one that would be signalled.
func ownProc() error {
	if runtime.GOOS != "linux" {
		return nil
	}
	switch self, err := os.Readlink("/proc/self"); {
	case err == nil && self == strconv.Itoa(os.Getpid()):
		return nil
	case errors.Is(err, fs.ErrNotExist) && word("/proc/version") == "":
		return hinted{errors.New("/proc isn't mounted"), mountProc}
	}
	return hinted{errors.New("/proc shows another PID namespace"), mountProc}
}

const mountProc = "mount -t proc proc /proc"

// takeHost takes the snapshot.
func takeHost(want proc.Fields) (*host, error) {
	if err := ownProc(); err != nil {
		return nil, err
	}
	t, err := proc.Take(want)
	if err != nil {
		return nil, err
	}
	h := &host{table: t, trees: map[int]string{}, above: map[int]bool{os.Getpid(): true}, noPorts: map[int]bool{}}
	for _, p := range t.Ancestors(os.Getpid()) {
		h.above[p.PID] = true
	}
	h.findTrees()
	return h, nil
}

// findTrees fills in trees. Without a journal there are none of this user's.
func (h *host) findTrees() {
	state, _, err := journal.Folders()
	if err != nil {
		return
	}
	found, _, err := journal.Scan(state)
	if err != nil {
		return
	}
	var table contain.Table
	for _, f := range found {
		if f.State != journal.Living {
			continue
		}
		h.trees[f.Entry.Shim.PID] = f.Entry.ID
		if f.Entry.Many {
			members, _ := table.List(f.Entry.Containment, f.Entry.Shim.PID, 0, f.Entry.SharedCgroup())
			for _, m := range members { // without those that have ended meanwhile
				h.trees[m.PID] = f.Entry.ID
			}
			continue
		}
		list := h.table.Descendants(f.Entry.Shim.PID)
		if f.Entry.Containment == wire.Group && f.Life != nil {
			list = append(list, h.table.Group(f.Life.Leader.PID)...)
		}
		for _, p := range list {
			h.trees[p.PID] = f.Entry.ID
		}
	}
}

// readPorts fills in the ports, and who has one; 0: nobody is asked for.
func (h *host) readPorts(port uint16) error {
	sockets, err := h.table.Sockets(port)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	h.ports, h.network, h.held, h.boundHidden = sockets.Listening, sockets.Namespace, sockets.Held, sockets.BoundHidden
	for _, pid := range sockets.Unknown {
		h.noPorts[pid] = true
	}
	return nil
}

// custody is who holds a process.
type custody struct {
	Tree string `json:"tree,omitempty"`     // a living tree of this user
	Shim int    `json:"shim_pid,omitempty"` // a shim whose tree this user's journal doesn't have
}

// custody says who holds a process; nil: no foster. Of the trees of others there's no
// entry that could be read, and their shim is known by its name. That can be
// forged, to the end of being spared.
func (h *host) custody(pid int) *custody {
	if id, ok := h.trees[pid]; ok {
		return &custody{Tree: id}
	}
	p := h.table.Get(pid)
	if p == nil {
		return nil
	}
	for _, a := range append([]*proc.Process{p}, h.table.Ancestors(pid)...) {
		if a.Name == "foster-shim" {
			return &custody{Shim: a.PID}
		}
	}
	return nil
}

// held is the refusal to signal what is in custody.
func (c *custody) held(what string) error {
	if c.Tree != "" {
		return hinted{fmt.Errorf("%s is in the custody of tree %q", what, c.Tree), "foster stop " + c.Tree + " ends it"}
	}
	return hinted{
		fmt.Errorf("%s is in the custody of a foster that isn't yours: its shim is process %d", what, c.Shim),
		"foster ls and foster stop, as the user whose tree it is",
	}
}

// spared is why a process is never signalled by a command about the host; "": it isn't
// spared.
func (h *host) spared(p *proc.Process) string {
	switch {
	case p.Kernel:
		return "a thread of the kernel"
	case p.PID == 1:
		return "the first process, which all others depend on"
	case p.PID == os.Getpid():
		return "this command itself"
	case h.above[p.PID]:
		return "a process that this command runs below"
	}
	return ""
}

// allowed is the refusal where a process is another user's. Whose it is may be
// unknown; then the kernel decides.
func allowed(p *proc.Process) error {
	if me := os.Geteuid(); me != 0 && p.Knows(proc.Owner) && p.UID != me {
		return hinted{fmt.Errorf("%s is of user %s", called(p), nameOfUser(p.UID)), "run this as that user, or as root"}
	}
	return nil
}

// process finds a process by what was typed.
func (h *host) process(text string) (*proc.Process, error) {
	pid, err := parsePID(text)
	if err != nil {
		return nil, err
	}
	if p := h.table.Get(pid); p != nil {
		return p, nil
	}
	err = fmt.Errorf("there is no process %d", pid)
	if h.table.Hidden {
		return nil, refusalError{hinted{err, "this user isn't shown all processes (hidepid); root is"}}
	}
	return nil, refusalError{err}
}

func parsePID(text string) (int, error) {
	pid, err := strconv.ParseUint(text, 10, 31)
	if err != nil || pid == 0 {
		return 0, usageError{fmt.Errorf("%q is not the number of a process", text)}
	}
	return int(pid), nil
}

// called is a process's name and number.
func called(p *proc.Process) string { return fmt.Sprintf("%s (pid %d)", proc.Printable(p.Name), p.PID) }

// calledAll names processes, the first ones of many.
func calledAll(list []*proc.Process) string {
	const most = 5
	var names []string
	for _, p := range list[:min(len(list), most)] {
		names = append(names, called(p))
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func userOf(p *proc.Process) string {
	if !p.Knows(proc.Owner) {
		return "?"
	}
	return nameOfUser(p.UID)
}

// workingDir is the folder that a process is in; "" where this user may not know.
func workingDir(p *proc.Process) string {
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.Thread))
	if err != nil {
		return ""
	}
	return dir
}

// size writes a number of bytes for people.
func size(n uint64) string {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	switch {
	case n >= gib:
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	case n >= mib:
		return fmt.Sprintf("%.1f MiB", float64(n)/mib)
	}
	return fmt.Sprintf("%d KiB", n/kib)
}

// completeOrphans completes the numbers of orphans.
func completeOrphans(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	t, err := proc.Take(proc.ForOrphans)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []string
	for _, o := range t.Orphans() {
		if isFoster(o.Process) {
			continue
		}
		list = append(list, fmt.Sprintf("%d\t%s", o.Process.PID, printable(o.Process.Name)))
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
