package proc

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	prometheus "github.com/prometheus/procfs"

	"github.com/foster-init/foster/internal/leaktest"
)

// TestAnotherReaderSeesTheSame compares each column with what prometheus/procfs
// reads, of all processes that it reads the same before and after the snapshot.
func TestAnotherReaderSeesTheSame(t *testing.T) {
	leaktest.Check(t)
	r := start(t, "name", ") R 1 (")
	r.line(t)
	var before, after map[int]other
	var args, argsAfter map[int][]string
	var table *Table
	leaktest.Eventually(t, "one process at the least stays as it is", func() bool {
		before, args = others(t)
		table = taken(t, Args)
		after, argsAfter = others(t)
		was, ok := before[r.pid()]
		return ok && was == after[r.pid()]
	})
	compared := 0
	for pid, want := range before {
		if after[pid] != want {
			continue
		}
		compared++
		p := table.Get(pid)
		if p == nil {
			t.Errorf("%d isn't shown", pid)
			continue
		}
		got := asOther(p)
		// Others run and sleep many times between two looks.
		if pid != r.pid() && strings.Contains("RSDI", want.state) && strings.Contains("RSDI", got.state) {
			got.state = want.state
		}
		if p.FirstThreadEnded() { // the other reader goes by the first thread
			got.state, got.flags, got.priority, got.nice = want.state, want.flags, want.priority, want.nice
			got.vsize, got.resident = want.vsize, want.resident
		}
		if p.Kernel {
			got.name = want.name // a kworker's says what it works at
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if slices.Equal(args[pid], argsAfter[pid]) && len(args[pid]) > 0 && !slices.Equal(p.Args, args[pid]) {
			t.Errorf("%d: arguments %q, want %q", pid, p.Args, args[pid])
		}
	}
	if compared < 2 {
		t.Errorf("%d were compared", compared)
	}
}

// other is what both readers have.
type other struct {
	pid, ppid, pgid, session, tty, foreground int
	name, state                               string
	flags                                     uint64
	user, system, childUser, childSystem      time.Duration
	priority, nice, threads                   int
	start, vsize, resident                    uint64
}

func others(t *testing.T) (map[int]other, map[int][]string) {
	t.Helper()
	procs, err := prometheus.AllProcs()
	if err != nil {
		t.Fatal(err)
	}
	m, args := map[int]other{}, map[int][]string{}
	for _, p := range procs {
		s, err := p.Stat()
		if err != nil {
			continue // it has ended
		}
		args[s.PID], _ = p.CmdLine() // none for one that has ended
		m[s.PID] = other{
			s.PID, s.PPID, s.PGRP, s.Session, s.TTY, s.TPGID, s.Comm, s.State, uint64(s.Flags),
			time.Duration(s.UTime) * tick, time.Duration(s.STime) * tick, time.Duration(s.CUTime) * tick, time.Duration(s.CSTime) * tick,
			s.Priority, s.Nice, s.NumThreads, s.Starttime, uint64(s.VSize), uint64(s.RSS * os.Getpagesize()),
		}
	}
	return m, args
}

func asOther(p *Process) other {
	return other{
		p.PID, p.PPID, p.PGID, p.Session, int(int32(p.TTY)), p.Foreground, p.Name, p.State.String(), p.Flags,
		p.User, p.System, p.ChildUser, p.ChildSystem, p.Priority, p.Nice, p.Threads, p.start, p.VirtualSize, p.Resident,
	}
}
