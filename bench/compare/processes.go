package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A process is one of a namespace, without process 1 and this program.
type process struct {
	pid   int
	state byte
	comm  string // what it calls itself; a zombie has nothing else
	exe   string // its file's name
	args  string
}

// processes lists those of this namespace. Read by hand, not by foster: what measures
// must not be what is measured.
func processes() (list []process) {
	for _, pid := range pids() {
		if pid == 1 || pid == os.Getpid() {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		begin, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if err != nil || begin < 0 || len(stat) < end+3 {
			continue // it has ended
		}
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		list = append(list, process{pid, stat[end+2], string(stat[begin+1 : end]), filepath.Base(exe), strings.ReplaceAll(string(args), "\x00", " ")})
	}
	return list
}

func pids() (list []int) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// application says whether a process belongs to what is supervised: all of those have
// this number in their command line.
func (p process) application() bool { return strings.Contains(p.args, marker) }

const marker = "31337"

// supervisors are all processes but the applications.
func supervisors() (list []process) {
	for _, p := range processes() {
		if !p.application() && p.state != 'Z' {
			list = append(list, p)
		}
	}
	return list
}

// memory is the proportional and the private part of what processes take, in KiB.
func memory(list []process) (pss, private float64) {
	for _, p := range list {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			n, _ := strconv.ParseFloat(fields[1], 64)
			switch fields[0] {
			case "Pss:":
				pss += n
			case "Private_Clean:", "Private_Dirty:":
				private += n
			}
		}
	}
	return pss, private
}

// wakeups counts how often the threads of processes gave up a processor: each time, they
// were woken before.
func wakeups(list []process) (n float64) {
	for _, p := range list {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.pid))
		for _, thread := range threads {
			b, _ := os.ReadFile(thread)
			for line := range strings.Lines(string(b)) {
				if count, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
					more, _ := strconv.ParseFloat(strings.TrimSpace(count), 64)
					n += more
				}
			}
		}
	}
	return n
}

// until waits for a condition, and says whether it was met in time.
func until(limit time.Duration, met func() bool) bool {
	for end := time.Now().Add(limit); ; {
		if met() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
}
