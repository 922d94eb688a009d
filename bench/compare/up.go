package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A project is applications below a supervisor. Each writes its PID into a FIFO, may say a
// line, and is sleep from then on.
type project struct {
	cmd   *exec.Cmd
	begun time.Time
	came  chan arrival
}

type arrival struct {
	pid  int
	when time.Time
}

const application = `echo $$ > %s/fifo
%s
exec sleep ` + marker + "\n"

// begin has a supervisor start n applications, which do something else when they are up.
func begin(t task, n int, then string) (*project, error) {
	s := supervisorsByName[t.Peers[0]]
	fifo := filepath.Join(t.Dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return nil, err
	}
	script := "app-" + marker + ".sh"
	if err := write(t.Dir, script, fmt.Sprintf(application, t.Dir, then)); err != nil {
		return nil, err
	}
	var apps []app
	for i := range n {
		name := fmt.Sprintf("a%04d", i)
		apps = append(apps, app{name, "/bin/sh " + filepath.Join(t.Dir, script) + " " + name})
	}
	argv, err := s.lay(t.Dir, apps)
	if err != nil {
		return nil, err
	}
	r, err := os.OpenFile(fifo, os.O_RDWR, 0) // also for writing: it never ends
	if err != nil {
		return nil, err
	}
	p := &project{came: make(chan arrival, 100_000)}
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			pid, _ := strconv.Atoi(lines.Text())
			p.came <- arrival{pid, time.Now()}
		}
	}()
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir = t.Dir
	if os.Getenv("FOSTER_COMPARE_DEBUG") != "" {
		p.cmd.Stderr = os.Stderr
	}
	p.begun = time.Now()
	return p, p.cmd.Start()
}

// next is when the next application came up.
func (p *project) next(limit time.Duration) (arrival, error) {
	select {
	case a := <-p.came:
		return a, nil
	case <-time.After(limit):
		return arrival{}, fmt.Errorf("no application came up in %s", limit)
	}
}

func (p *project) all(n int) (first, last time.Duration, err error) {
	for i := range n {
		a, err := p.next(60 * time.Second)
		if err != nil {
			return 0, 0, fmt.Errorf("%d of %d are up: %w", i, n, err)
		}
		if last = a.when.Sub(p.begun); i == 0 {
			first = last
		}
	}
	return first, last, nil
}

// measureStarted is from the start of a supervisor until its applications run.
func measureStarted(t task) ([]sample, error) {
	p, err := begin(t, t.N, "")
	if err != nil {
		return nil, err
	}
	first, last, err := p.all(t.N)
	if err != nil {
		return nil, err
	}
	peer := t.Peers[0]
	return []sample{{"started-first", peer, t.N, first.Seconds()}, {"started-all", peer, t.N, last.Seconds()}}, nil
}

// measureMemory is what all processes of a supervisor take, for each idle application.
func measureMemory(t task) ([]sample, error) {
	p, err := begin(t, t.N, "echo started")
	if err != nil {
		return nil, err
	}
	if _, _, err := p.all(t.N); err != nil {
		return nil, err
	}
	settle(t)
	list := supervisors()
	pss, private := memory(list)
	window := 5 * time.Second
	if t.Quick {
		window = 500 * time.Millisecond
	}
	before := wakeups(list)
	time.Sleep(window)
	woken := (wakeups(list) - before) * float64(time.Minute/window)
	peer, n := t.Peers[0], float64(t.N)
	return []sample{
		{"memory-pss", peer, t.N, pss / n}, {"memory-private", peer, t.N, private / n},
		{"memory-processes", peer, t.N, float64(len(list))}, {"wakeups", peer, t.N, woken},
	}, nil
}

// measureRestart kills an application, and measures until it runs again.
func measureRestart(t task) ([]sample, error) {
	p, err := begin(t, 1, "")
	if err != nil {
		return nil, err
	}
	times := 4
	if t.Quick {
		times = 1
	}
	var took []float64
	for range times {
		a, err := p.next(20 * time.Second)
		if err != nil {
			return nil, err
		}
		time.Sleep(1500 * time.Millisecond) // runit and s6 pause after a run of less than a second
		killed := time.Now()
		if err := syscall.Kill(a.pid, syscall.SIGKILL); err != nil {
			return nil, err
		}
		again, err := p.next(20 * time.Second)
		if err != nil {
			return nil, err
		}
		took = append(took, again.when.Sub(killed).Seconds())
		p.came <- again
	}
	return []sample{{"restart", t.Peers[0], 0, spread(took).Median}}, nil
}
