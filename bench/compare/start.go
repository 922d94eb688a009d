package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// started are whole commands whose way from start to exit is measured.
var started = map[string][]string{
	"true, alone":         {"true"},
	"an empty Go program": {"empty"},
	"foster version":      {"foster", "version"},
}

// measureStart runs each command in turn, again and again.
func measureStart(t task) ([]sample, error) {
	times := 10
	if t.Quick {
		times = 2
	}
	took := map[string][]float64{}
	for range times {
		for _, peer := range t.Peers {
			argv := started[peer]
			if argv == nil {
				argv = append(wrappers[peer][:len(wrappers[peer]):len(wrappers[peer])], "true")
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			begin := time.Now()
			if err := cmd.Run(); err != nil {
				return nil, fmt.Errorf("%s: %w", peer, err)
			}
			took[peer] = append(took[peer], time.Since(begin).Seconds())
		}
	}
	return medians("start", t, took), nil
}

func medians(figure string, t task, took map[string][]float64) (samples []sample) {
	for _, peer := range t.Peers {
		if len(took[peer]) > 0 {
			samples = append(samples, sample{figure, peer, t.N, spread(took[peer]).Median})
		}
	}
	return samples
}

// idle starts a command around an application that sleeps, and waits for that.
func idle(peer string, already int) (*exec.Cmd, error) {
	argv := append(wrappers[peer][:len(wrappers[peer]):len(wrappers[peer])], "sleep", marker)
	cmd := exec.Command(argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if !until(10*time.Second, func() bool { return len(sleepers()) > already }) {
		return nil, fmt.Errorf("%s: no application came up", peer)
	}
	return cmd, nil
}

// sleepers are the applications: no wrapper that has them in its command line, too.
func sleepers() (list []process) {
	for _, p := range processes() {
		if strings.HasPrefix(p.args, "sleep "+marker) && p.state != 'Z' {
			list = append(list, p)
		}
	}
	return list
}

// measureNotice kills an application, and measures until the command around it ends.
func measureNotice(t task) ([]sample, error) {
	times := 10
	if t.Quick {
		times = 2
	}
	took := map[string][]float64{}
	for range times {
		for _, peer := range t.Peers {
			cmd, err := idle(peer, 0)
			if err != nil {
				return nil, err
			}
			time.Sleep(20 * time.Millisecond) // it has to be idle
			begin := time.Now()
			if err := syscall.Kill(sleepers()[0].pid, syscall.SIGKILL); err != nil {
				return nil, err
			}
			_ = cmd.Wait() // with 137 or 1
			took[peer] = append(took[peer], time.Since(begin).Seconds())
		}
	}
	return medians("notice", t, took), nil
}

// measureTree is what n idle trees take: of a command, each of its processes but the
// application; of the library, what comes on top of a program without a tree.
func measureTree(t task) ([]sample, error) {
	peer := t.Peers[0]
	var before float64
	if c, ok := strings.CutPrefix(peer, "library, "); ok {
		cmd := exec.Command("host", "trees", c, fmt.Sprint(t.N))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		settle(t)
		before, _ = memory(supervisors())
		if _, err := stdin.Write([]byte("\n")); err != nil {
			return nil, err
		}
		if _, err := stdout.Read(make([]byte, 100)); err != nil {
			return nil, err
		}
	} else {
		for i := range t.N {
			if _, err := idle(peer, i); err != nil {
				return nil, err
			}
		}
	}
	settle(t)
	var list []process
	for _, p := range processes() {
		if !strings.HasPrefix(p.args, "sleep "+marker) {
			list = append(list, p)
		}
	}
	pss, _ := memory(list)
	return []sample{{"tree", peer, t.N, (pss - before) / float64(t.N)}}, nil
}

// settle waits until what comes up has come to rest, and until a Go program has given
// back what its start took.
func settle(t task) {
	if t.Quick {
		time.Sleep(300 * time.Millisecond)
		return
	}
	time.Sleep(7 * time.Second)
}

// measureLibrary has a small program start true in each of the ways it can.
func measureLibrary(t task) ([]sample, error) {
	times := "10"
	if t.Quick {
		times = "2"
	}
	out, err := exec.Command("host", "start", fmt.Sprint(t.N), times).Output()
	if err != nil {
		return nil, withStderr(err)
	}
	took := map[string][]float64{}
	if err := json.Unmarshal(out, &took); err != nil {
		return nil, err
	}
	return medians("library", t, took), nil
}
