//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one of the case's namespace, as /proc shows it.
type process struct {
	pid, ppid, pgid, sid int
	state                byte
	threads              int
	exiting              bool // runs no more, and isn't a zombie yet
	start                uint64
	comm, exe            string
}

type identity struct {
	pid   int
	start uint64
}

func (p process) id() identity { return identity{p.pid, p.start} }

// alive says that a thread of the process is there: its first may have ended.
func (p process) alive() bool { return p.state != 'Z' && p.state != 'X' || p.threads > 1 }

func (p process) String() string {
	return fmt.Sprintf("%s (pid %d, parent %d, group %d, session %d, state %c, %d threads)", p.comm, p.pid, p.ppid, p.pgid, p.sid, p.state, p.threads)
}

// snapshot lists all processes of the namespace, in the order of their numbers.
func snapshot() (list []process) {
	dir, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, d := range dir {
		if pid, err := strconv.Atoi(d.Name()); err == nil {
			if p, ok := readProcess(pid); ok {
				list = append(list, p)
			}
		}
	}
	sortByPID(list)
	return list
}

func readProcess(pid int) (p process, ok bool) {
	folder := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(folder + "/stat")
	text := string(line)
	open, closed := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if err != nil || open < 0 || closed < open {
		return p, false
	}
	fields := strings.Fields(text[closed+1:])
	if len(fields) < 20 {
		return p, false
	}
	number := func(i int) int { n, _ := strconv.Atoi(fields[i]); return n }
	p = process{pid: pid, comm: text[open+1 : closed], state: fields[0][0], ppid: number(1), pgid: number(2), sid: number(3), threads: number(17), exiting: number(6)&0x4 != 0} // PF_EXITING of the kernel's sched.h
	p.start, _ = strconv.ParseUint(fields[19], 10, 64)
	exe, _ := os.Readlink(folder + "/exe") // a zombie has none
	p.exe = strings.TrimSuffix(filepath.Base(exe), " (deleted)")
	return p, true
}

// status gives a field of /proc/PID/status.
func statusField(pid int, key string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // "": it is gone
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
