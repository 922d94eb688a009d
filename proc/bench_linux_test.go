package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	prometheus "github.com/prometheus/procfs"
)

// measureRole fills its PID namespace with processes that sleep, and measures what
// it costs to list them: the processor time, that of the kernel included, of ps -e,
// of this package, and of prometheus/procfs.
func measureRole(args []string) {
	crowd, err := strconv.Atoi(args[0])
	fatal(err)
	rounds, err := strconv.Atoi(args[1])
	fatal(err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	fatal(err)
	for range crowd {
		_, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}})
		fatal(err)
	}
	seen := 0
	measure := func(what string, who int, f func()) {
		f() // what is read for the first time costs more
		before := used(who)
		for range rounds {
			f()
		}
		fmt.Println(what, float64((used(who)-before)/time.Duration(rounds))/1e6)
	}
	measure("ps", syscall.RUSAGE_CHILDREN, func() { fatal(exec.Command("ps", "-e").Run()) })
	for _, c := range []struct {
		name string
		want Fields
	}{{"foster", 0}, {"foster-owner", Owner}, {"foster-args", Owner | Args}, {"foster-all", Owner | Args | Exe | Cgroup | Signals | Namespaces}} {
		measure(c.name, syscall.RUSAGE_SELF, func() {
			table, err := Take(c.want)
			fatal(err)
			seen = len(table.Processes)
		})
	}
	measure("prometheus", syscall.RUSAGE_SELF, func() {
		procs, err := prometheus.AllProcs()
		fatal(err)
		for _, p := range procs {
			_, err := p.Stat()
			fatal(err)
		}
	})
	fmt.Println("allocs", testing.AllocsPerRun(3, func() { _, _ = Take(0) }))
	fmt.Println("processes", seen)
}

// used is the processor time of this process or of its children that were reaped.
func used(who int) time.Duration {
	var u syscall.Rusage
	fatal(syscall.Getrusage(who, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured is what measureRole says, in milliseconds.
func measured(t testing.TB, crowd, rounds int) map[string]float64 {
	t.Helper()
	out := inNamespace(t, 2*time.Minute, `exec "$0" role measure "$@"`, strconv.Itoa(crowd), strconv.Itoa(rounds))
	m := map[string]float64{}
	for rest := out; rest != ""; {
		var key string
		var value float64
		if n, err := fmt.Sscanln(rest, &key, &value); n != 2 || err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		m[key] = value
		for rest != "" && rest[0] != '\n' {
			rest = rest[1:]
		}
		rest = rest[min(1, len(rest)):]
	}
	if m["processes"] < float64(crowd) {
		t.Fatalf("%v", m)
	}
	return m
}

func TestASnapshotCostsLessThanHalfOfPs(t *testing.T) {
	if raceDetector {
		hosttest.Unless(t, hosttest.NotRaced, errors.New("this one has it"))
	}
	m := measured(t, 500, 5)
	if m["foster"] > m["ps"]/2 {
		t.Errorf("%.2f ms, and ps -e %.2f ms", m["foster"], m["ps"])
	}
	// The same for any number of processes: what grows is one list of numbers.
	if m["allocs"] > 40 {
		t.Errorf("%.0f allocations", m["allocs"])
	}
}

func BenchmarkTake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Take(0); err != nil {
			b.Fatal(err)
		}
	}
}
