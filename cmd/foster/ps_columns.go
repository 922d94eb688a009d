package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foster-init/foster/proc"
)

// psColumn is a column of foster ps. A value that isn't known is ? or -, never 0.
type psColumn struct {
	names []string // as procps has them, the one that is shown in the help first
	head  string
	right bool
	needs proc.Fields // beside those of every view
	text  func(r *psRow) string
	// key is what a number is sorted by; without it the text is.
	key func(r *psRow) (float64, bool)
}

// exact makes memory exact: without it, Linux tells it about.
const exact = proc.Locked

// number is a column of whole numbers that are known where the fields are.
func number(needs proc.Fields, unknown string, head string, get func(r *psRow) int64, names ...string) psColumn {
	return psColumn{
		names: names, head: head, right: true, needs: needs,
		text: func(r *psRow) string {
			if !r.Knows(needs) {
				return unknown
			}
			return strconv.FormatInt(get(r), 10)
		},
		key: func(r *psRow) (float64, bool) { return float64(get(r)), r.Knows(needs) },
	}
}

// words is a column of text that is known where the fields are.
func words(needs proc.Fields, unknown string, head string, get func(r *psRow) string, names ...string) psColumn {
	return psColumn{names: names, head: head, needs: needs, text: func(r *psRow) string {
		if r.Knows(needs) {
			if s := get(r); s != "" {
				return s
			}
		}
		return unknown
	}}
}

// sortedBy gives a column of text a number to be sorted by.
func (c psColumn) sortedBy(right bool, key func(r *psRow) float64) psColumn {
	c.right = right
	c.key = func(r *psRow) (float64, bool) { return key(r), r.Knows(c.needs) }
	return c
}

// psColumns are all columns that -o knows.
var psColumns = []psColumn{
	number(0, "?", "PID", func(r *psRow) int64 { return int64(r.PID) }, "pid", "tgid"),
	number(proc.Parent, "?", "PPID", func(r *psRow) int64 { return int64(r.PPID) }, "ppid"),
	number(proc.Group, "?", "PGID", func(r *psRow) int64 { return int64(r.PGID) }, "pgid", "pgrp"),
	number(proc.Session, "?", "SESS", func(r *psRow) int64 { return int64(r.Session) }, "sess", "sid", "session"),
	number(proc.Terminal, "?", "TPGID", func(r *psRow) int64 { return int64(r.Foreground) }, "tpgid"),
	{names: []string{"jobc"}, head: "JOBC", right: true, text: jobText, key: jobKey},
	words(proc.Owner, "?", "USER", func(r *psRow) string { return nameOfUser(r.UID) }, "user", "euser", "uname"),
	number(proc.Owner, "?", "UID", func(r *psRow) int64 { return int64(r.UID) }, "uid", "euid"),
	number(proc.Owner, "?", "GID", func(r *psRow) int64 { return int64(r.GID) }, "gid", "egid"),
	words(proc.Signals, "?", "RUSER", func(r *psRow) string { return nameOfUser(r.RealUID) }, "ruser"),
	number(proc.Signals, "?", "RUID", func(r *psRow) int64 { return int64(r.RealUID) }, "ruid"),
	{names: []string{"stat"}, head: "STAT", needs: proc.Locked, text: func(r *psRow) string { return r.Stat() }},
	words(proc.Status, "?", "S", func(r *psRow) string { return r.State.String() }, "s", "state"),
	words(proc.Status, "?", "STATE", func(r *psRow) string { return r.State.Words() }, "words"),
	words(proc.Terminal, "?", "TT", terminalText, "tt"),
	words(proc.Terminal, "?", "TTY", terminalText, "tty", "tname"),
	words(proc.Times, "?", "TIME", func(r *psRow) string { return clock(r.User + r.System) }, "time", "cputime").
		sortedBy(true, func(r *psRow) float64 { return float64(r.User + r.System) }),
	words(proc.Name, "?", "COMMAND", func(r *psRow) string { return r.branch + proc.Printable(r.Name) }, "comm", "ucmd", "ucomm"),
	{names: []string{"args", "command", "cmd"}, head: "COMMAND", text: func(r *psRow) string { return r.branch + command(r.Process) }},
	words(proc.Exe, "?", "EXE", func(r *psRow) string { return proc.Printable(r.Exe) }, "exe"),
	words(proc.Cgroup, "?", "CGROUP", func(r *psRow) string { return proc.Printable(r.Cgroup) }, "cgroup"),
	words(proc.Status, "?", "F", flagText, "f", "flag", "flags").
		sortedBy(true, func(r *psRow) float64 { return float64(r.Flags) }),
	number(proc.Times|proc.Start, "?", "C", func(r *psRow) int64 { return min(99, int64(share(r)/10)) }, "c"),
	words(proc.Times|proc.Start, "?", "%CPU", func(r *psRow) string { return strconv.FormatFloat(float64(share(r))/10, 'f', 1, 64) }, "pcpu", "%cpu").
		sortedBy(true, func(r *psRow) float64 { return float64(share(r)) }),
	number(proc.Priority, "?", "PRI", func(r *psRow) int64 { return priority(r, 39, -1) }, "pri"),
	number(proc.Priority, "?", "PRI", func(r *psRow) int64 { return priority(r, 60, 1) }, "opri", "intpri"),
	niceColumn,
	words(0, "-", "ADDR", func(*psRow) string { return "" }, "addr"), // no system tells it any more
	number(proc.Memory, "?", "SZ", func(r *psRow) int64 { return int64(r.VirtualSize) / int64(os.Getpagesize()) }, "sz"),
	number(proc.Memory, "?", "VSZ", func(r *psRow) int64 { return int64(r.VirtualSize / 1024) }, "vsz", "vsize"),
	number(proc.Memory|exact, "?", "RSS", func(r *psRow) int64 { return int64(r.Resident / 1024) }, "rss", "rssize", "rsz"),
	words(proc.Memory|exact, "?", "MEM", memoryText, "mem").
		sortedBy(true, func(r *psRow) float64 { return float64(r.Resident) }),
	waitColumn,
	number(proc.Threads, "?", "NLWP", func(r *psRow) int64 { return int64(r.Threads) }, "nlwp", "thcount"),
	words(proc.Start, "?", "ELAPSED", func(r *psRow) string { return elapsed(r.Age()) }, "etime").
		sortedBy(true, func(r *psRow) float64 { return float64(r.Age()) }),
	number(proc.Start, "?", "ELAPSED", func(r *psRow) int64 { return int64(r.Age() / time.Second) }, "etimes"),
	words(proc.Start, "?", "AGE", func(r *psRow) string { return short(r.Age()) }, "age").
		sortedBy(true, func(r *psRow) float64 { return float64(r.Age()) }),
	words(proc.Start, "?", "START", func(r *psRow) string { return timeText(r, "2006-01-02T15:04:05Z07:00") }, "start").
		sortedBy(false, func(r *psRow) float64 { return -float64(r.Age()) }),
	words(proc.Start, "?", "STARTED", func(r *psRow) string { return timeText(r, "Mon Jan _2 15:04:05 2006") }, "lstart").
		sortedBy(true, func(r *psRow) float64 { return -float64(r.Age()) }),
	words(0, "-", "MARK", func(r *psRow) string { return r.view.marks(r.Process) }, "mark"),
	words(0, "?", "ORPHAN", func(r *psRow) string { return r.view.orphan(r.PID).Verdict.String() }, "orphan").
		sortedBy(false, func(r *psRow) float64 { return float64(r.view.orphan(r.PID).Verdict) }),
	{names: []string{"ports"}, head: "PORTS", text: portsText},
	words(0, "-", "TREE", func(r *psRow) string { return proc.Printable(r.view.tree(r.PID)) }, "tree"),
}

// niceColumn is as procps shows it: what is scheduled in real time, by which Linux
// tells a priority below 0, has no use for it.
var niceColumn = words(proc.Priority, "-", "NI", func(r *psRow) string {
	if onLinux && r.Priority < 0 {
		return "-"
	}
	return strconv.Itoa(r.Nice)
}, "ni", "nice").sortedBy(true, func(r *psRow) float64 { return float64(r.Nice) })

const onLinux = runtime.GOOS == "linux"

// priority is the kernel's on the scale that ps(1) of Linux shows; elsewhere it is
// shown as it is.
func priority(r *psRow, base, sign int) int64 {
	if !onLinux {
		return int64(r.Priority)
	}
	return int64(base + sign*r.Priority)
}

// flagText are the kernel's flags: on Linux the two that ps(1) shows, 1 for a process
// that hasn't executed a program, 4 for one that had root's rights.
func flagText(r *psRow) string {
	if !onLinux {
		return strconv.FormatUint(r.Flags, 16)
	}
	return strconv.FormatUint(r.Flags>>6&7, 8)
}

// waitColumn is as procps shows it: without the underlines before the name.
var waitColumn = words(proc.Wait, "?", "WCHAN", func(r *psRow) string {
	if name := strings.TrimLeft(strings.TrimPrefix(r.WaitsIn, "."), "_"); name != "" {
		return proc.Printable(name)
	}
	return "-"
}, "wchan")

func jobText(r *psRow) string {
	if n, ok := r.view.job(r.Process); ok {
		return strconv.Itoa(n)
	}
	return "-"
}

func jobKey(r *psRow) (float64, bool) {
	n, ok := r.view.job(r.Process)
	return float64(n), ok
}

func terminalText(r *psRow) string { return proc.TTYName(r.TTY) }

// memoryText is nothing where a process has no memory of its own: a zombie, one that
// is just ending, or a thread of the kernel.
func memoryText(r *psRow) string {
	if r.Resident == 0 {
		return "-"
	}
	return sized(r.Resident)
}

func timeText(r *psRow, layout string) string {
	if t := r.Started(); !t.IsZero() {
		return t.Local().Format(layout)
	}
	return ""
}

// share is how much of one processor it used over its life, in thousandths.
func share(r *psRow) int64 {
	if age := int64(r.Age() / time.Millisecond); age > 0 {
		return int64((r.User+r.System)/time.Millisecond) * 1000 / age
	}
	return 0
}

func portsText(r *psRow) string {
	list, known := r.view.ports(r.PID)
	switch {
	case !known:
		return "?"
	case len(list) == 0:
		return "-"
	}
	return portText(list)
}

// The lists of columns that have a name.
var (
	psPeople = []string{"pid", "ppid", "user", "stat", "age", "mem", "mark", "args"}
	psJobs   = []string{"user", "pid", "ppid", "pgid", "sess", "jobc", "stat", "tt", "time", "args"}
	psLong   = []string{"f", "s", "uid", "pid", "ppid", "c", "opri", "ni", "addr", "sz", "wchan", "tty", "time", "comm=CMD"}
)

// findColumns finds columns by their names; NAME=HEADING gives one another heading.
func findColumns(names []string) ([]psColumn, error) {
	var list []psColumn
	for _, text := range names {
		name, head, renamed := strings.Cut(text, "=")
		c, err := findColumn(name)
		if err != nil {
			return nil, err
		}
		if renamed {
			c.head = proc.Printable(head)
		}
		list = append(list, c)
	}
	return list, nil
}

func findColumn(name string) (psColumn, error) {
	for _, c := range psColumns {
		if slices.Contains(c.names, strings.ToLower(name)) {
			return c, nil
		}
	}
	return psColumn{}, fmt.Errorf("%q is no column: want some of %s", name, strings.Join(columnNames(), ", "))
}

func columnNames() (names []string) {
	for _, c := range psColumns {
		names = append(names, c.names[0])
	}
	slices.Sort(names)
	return names
}

// compare orders two rows by a column; what isn't known comes last, whatever the
// direction.
func (c psColumn) compare(a, b *psRow, descending bool) int {
	sign := 1
	if descending {
		sign = -1
	}
	if c.key == nil {
		return sign * cmp.Compare(c.text(a), c.text(b))
	}
	x, ok1 := c.key(a)
	y, ok2 := c.key(b)
	switch {
	case ok1 && ok2:
		return sign * cmp.Compare(x, y)
	case ok1:
		return -1
	case ok2:
		return 1
	}
	return 0
}
