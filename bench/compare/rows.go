package main

import "time"

// A row is work that all its peers do. Its figures are what is measured of it.
type row struct {
	figures  []figure
	peers    []string
	sizes    []int // the numbers for which it is measured
	quick    []int
	rounds   int
	together bool // all peers in one namespace, in turn; else each in one of its own
	timeout  time.Duration
	work     func(task) ([]sample, error)
}

// A figure is one column of results.
type figure struct {
	name   string
	title  string
	base   string // the peer that the others are compared with
	unit   string // what N is; "" without one
	shown  string // the unit in which the value itself is shown: memory, counts. Times are shown as ratios only
	higher bool   // more is better
	why    string // why foster isn't first
}

// numbers are the sizes, or 0 where there are none.
func (r row) numbers() []int {
	if len(r.sizes) == 0 {
		return []int{0}
	}
	return r.sizes
}

// times is how many rounds there are for a number: large ones take long, and vary little.
func (r row) times(n int) int {
	if n >= 1000 {
		return min(r.rounds, 3)
	}
	return r.rounds
}

// order is the order of the rows in the table.
var order = []string{"start", "library", "started", "restart", "notice", "memory", "tree", "stop", "reap", "table", "snapshot", "logs", "size"}

var rows map[string]row

func init() {
	supervised := []string{"s6", "s6, s6-log", "runit", "runit, svlogd", "daemontools", "daemontools, multilog", "supervisord", "pm2", "foster up"}
	rows = map[string]row{
		"start": {
			figures: []figure{{name: "start", title: "Start to exit of `true`, as a command", base: "tini -s",
				why: "foster run and foster init are Go programs: what they import is initialised first (foster version shows how long that takes), and a tree outside of foster's own process costs a second start of the program."}},
			peers:  []string{"tini -s", "true, alone", "dumb-init", "catatonit", "timeout -k", "bwrap", "an empty Go program", "foster version", "foster-init", "foster init", "foster run"},
			rounds: 20, together: true, timeout: time.Minute, work: measureStart,
		},
		"library": {
			figures: []figure{{name: "library", title: "Start to exit of `true`, from a Go program with a heap of so many MB", base: "os/exec", unit: "MB of heap",
				why: "os/exec starts nothing but the program. A shim is the whole program started once more, so custody costs a second start; kept ready or shared, it costs the way to it and back."}},
			peers: []string{"os/exec", "foster, no option set", "foster, group", "foster, subreaper", "foster, cgroup", "foster, pidns", "foster, KeepReady", "foster, Share"},
			sizes: []int{0, 1024}, quick: []int{0}, rounds: 10, together: true, timeout: time.Minute, work: measureLibrary,
		},
		"started": {
			figures: []figure{
				{name: "started-first", title: "A supervisor starts applications: until the first runs", base: "s6", unit: "applications",
					why: "Two Go programs come up before the first application does, and its journal is written first."},
				{name: "started-all", title: "A supervisor starts applications: until all run", base: "s6", unit: "applications",
					why: "With few applications, the start of two Go programs is most of the time. With many, each is entered into a journal before it is started, and gets pipes for its log."},
			},
			peers: supervised, sizes: []int{1, 10, 100, 1000}, quick: []int{1, 10}, rounds: 5, timeout: 90 * time.Second, work: measureStarted,
		},
		"restart": {
			figures: []figure{{name: "restart", title: "An application is killed: until it runs again", base: "runit",
				why: "Before a restart foster proves the old tree empty and writes the event down. s6 and supervisord wait a second first."}},
			peers: []string{"runit", "s6", "daemontools", "supervisord", "pm2", "foster up"}, rounds: 5, timeout: time.Minute, work: measureRestart,
		},
		"notice": {
			figures: []figure{{name: "notice", title: "An application is killed: until the command around it has ended", base: "tini -s",
				why: "foster proves the tree empty, removes its cgroup and its journal, and then ends two processes with several threads each."}},
			peers:  []string{"tini -s", "dumb-init", "catatonit", "timeout -k", "bwrap", "foster-init", "foster init", "foster run"},
			rounds: 10, together: true, timeout: time.Minute, work: measureNotice,
		},
		"memory": {
			figures: []figure{
				{name: "memory-pss", title: "Memory of a supervisor for each idle application (PSS)", base: "runit", unit: "applications", shown: "KiB",
					why: "The base of two Go programs is some megabytes, which few applications have to share. supervisord is one process that holds no tree: with many applications it takes less."},
				{name: "memory-private", title: "Memory of a supervisor for each idle application (private)", base: "runit", unit: "applications", shown: "KiB",
					why: "The same: the heap and the runtime of two Go programs; supervisord holds no tree."},
				{name: "memory-processes", title: "Processes of a supervisor", base: "runit", unit: "applications", shown: " ",
					why: "The shims are processes of their own, so that they outlive a supervisor that is killed. supervisord and pm2 have none, and lose their applications then."},
				{name: "wakeups", title: "Wake-ups of an idle supervisor in a minute", base: "runit", unit: "applications", shown: " ",
					why: "foster looks at clocks of its own: probes, schedules, and a runtime that collects garbage now and then."},
			},
			peers: supervised, sizes: []int{1, 10, 100, 1000}, quick: []int{1, 10}, rounds: 3, timeout: 2 * time.Minute, work: measureMemory,
		},
		"tree": {
			figures: []figure{
				{name: "tree", title: "Memory of each idle tree, where there are so many (PSS)", base: "tini -s", unit: "trees", shown: "KiB",
					why: "A shim is a Go program, with its heap, its runtime and its threads; tini has none of these."},
			},
			peers: []string{"tini -s", "dumb-init", "catatonit", "timeout -k", "bwrap", "foster-init", "foster init", "foster run",
				"library, group", "library, subreaper", "library, cgroup", "library, pidns", "library, shared"},
			sizes: []int{1, 10, 100}, quick: []int{5}, rounds: 3, timeout: time.Minute, work: measureTree,
		},
		"stop": {
			figures: []figure{{name: "stop", title: "A tree is ended, each of its processes in a session of its own, every other one without its parent", base: "cgroup.kill", unit: "processes",
				why: "cgroup.kill is one write, and proves the cgroup empty of what runs. foster also reaps each process, and reports it."}},
			peers: []string{"cgroup.kill", "foster, subreaper", "foster, cgroup", "foster, pidns"},
			sizes: []int{10, 100, 1000, 10000}, quick: []int{10, 100}, rounds: 5, timeout: 2 * time.Minute, work: measureStop,
		},
		"reap": {
			figures: []figure{{name: "reap", title: "Zombies reaped in a second, as process 1", base: "tini -s", higher: true, unit: "zombies",
				why: "foster notes of each who it was and how it ended, before it reaps."}},
			peers: []string{"tini -s", "dumb-init", "catatonit", "foster-init", "foster init", "foster run"},
			sizes: []int{2000}, quick: []int{200}, rounds: 10, timeout: 2 * time.Minute, work: measureReap,
		},
		"table": {
			figures: []figure{
				{name: "table-cpu", title: "The process table in the same columns: CPU", base: "ps", unit: "processes",
					why: "foster starts as a Go program, which is most of it where processes are few, and looks at each process for its marks."},
				{name: "table-time", title: "The process table in the same columns: time", base: "ps", unit: "processes",
					why: "The start of a Go program, where processes are few."},
			},
			peers: []string{"ps", "foster ps"}, sizes: []int{30, 300, 3000}, quick: []int{30, 300}, rounds: 10, together: true, timeout: time.Minute, work: measureTable,
		},
		"snapshot": {
			figures: []figure{{name: "snapshot", title: "The process table read by a program: CPU", base: "ps -e", unit: "processes",
				why: "Each further field is a further file to read of each process."}},
			peers: []string{"ps -e", "prometheus/procfs", "proc.Take(0)", "proc.Take(Owner)", "proc.Take(Owner + Args)", "proc.Take, all fields"},
			sizes: []int{50, 500, 3000}, quick: []int{50}, rounds: 5, together: true, timeout: 2 * time.Minute, work: measureSnapshot,
		},
		"logs": {
			figures: []figure{
				{name: "logs-throughput", title: "Logs: megabytes of lines of 100 bytes in a second", base: "s6-log", unit: "MB", higher: true,
					why: "Each byte goes through a file before it becomes a line, so that a kill loses none."},
				{name: "logs-cpu", title: "Logs: CPU for a gigabyte", base: "s6-log", unit: "MB",
					why: "Each byte goes through a file before it becomes a line, so that a kill loses none. What is shown is made safe for a terminal, and coloured."},
			},
			peers: []string{"s6-log", "svlogd", "multilog", "supervisord", "pm2", "foster up, in the background", "foster up, to /dev/null", "foster up, on a terminal"},
			sizes: []int{100}, quick: []int{10}, rounds: 5, timeout: 2 * time.Minute, work: measureLogs,
		},
		"size": {
			figures: []figure{{name: "size", title: "Size on disk", base: "tini", shown: "KiB",
				why: "One static binary has all commands, and Go's runtime. The others need libc, supervisord Python, and pm2 Node, which aren't counted."}},
			peers:  []string{"tini", "dumb-init", "catatonit", "runit", "s6", "daemontools", "bubblewrap", "supervisor", "pm2", "foster-init", "foster"},
			rounds: 1, together: true, timeout: time.Minute, work: measureSize,
		},
		"zoo": {work: func(t task) ([]sample, error) {
			fate, err := visit(t)
			return []sample{{Figure: fate}}, err
		}},
	}
}

// zooPeers are those that go through the scenes.
var zooPeers = []string{"foster run", "foster up", "foster init", "foster, library", "os/exec, group", "timeout -k", "tini -s -g", "dumb-init", "catatonit", "bwrap",
	"runit", "s6", "daemontools", "supervisord", "pm2"}

// needs are the tools of a peer.
func needs(peer string) string {
	if s, ok := supervisorsByName[peer]; ok {
		return s.tool
	}
	if w, ok := wrappers[peer]; ok {
		return w[0]
	}
	switch peer {
	case "s6-log", "s6":
		return "s6-svscan"
	case "svlogd":
		return "runsvdir"
	case "multilog":
		return "svscan"
	case "supervisor":
		return "supervisord"
	case "bubblewrap":
		return "bwrap"
	}
	return "" // foster, the library, and what Debian always has
}

// most is the largest number for which a peer is measured.
func (r row) most(peer string) int {
	if s, ok := supervisorsByName[peer]; ok && r.figures[0].unit == "applications" {
		return s.most
	}
	return 1 << 30
}
