package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// measureLogs has an application write lines through a supervisor, or straight into a
// logger, and measures until the last one is in a file.
func measureLogs(t task) ([]sample, error) {
	peer := t.Peers[0]
	report, logs := filepath.Join(t.Dir, "report"), filepath.Join(t.Dir, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		return nil, err
	}
	writer, err := exec.LookPath("host")
	if err != nil {
		return nil, err
	}
	script := "write-" + marker + ".sh"
	if err := write(t.Dir, script, fmt.Sprintf("%s write %d %s\nexec sleep %s\n", writer, t.N, report, marker)); err != nil {
		return nil, err
	}
	command := "/bin/sh " + filepath.Join(t.Dir, script)
	var cmd *exec.Cmd
	var stop string
	terminal := false
	if logger, ok := loggers[peer]; ok {
		if err := write(logs, "config", "s10000000\nn5\n"); err != nil { // svlogd reads it
			return nil, err
		}
		cmd = exec.Command("/bin/sh", "-c", command+" | exec "+logger+" "+logs)
		stop = "kill $(pgrep -f 'sleep " + marker + "')"
	} else {
		name, shown, _ := strings.Cut(peer, ", ")
		s := supervisorsByName[name]
		argv, err := s.lay(t.Dir, []app{{"web", command}})
		if err != nil {
			return nil, err
		}
		logs, stop = t.Dir, s.stop
		if shown == "in the background" {
			argv, stop = append(argv, "--detach"), "foster down"
		}
		cmd, terminal = exec.Command(argv[0], argv[1:]...), shown == "on a terminal"
	}
	cmd.Dir = t.Dir
	if terminal {
		screen, err := pty.Start(cmd)
		if err != nil {
			return nil, err
		}
		go io.Copy(io.Discard, screen) // until the terminal is closed
	} else if err := cmd.Start(); err != nil {
		return nil, err
	}
	if !until(60*time.Second, func() bool { return written(logs, strings.HasPrefix(peer, "foster")) }) {
		return nil, fmt.Errorf("%s: the last line isn't in a file", peer)
	}
	end := time.Now()
	var began, wrote int64
	if !until(10*time.Second, func() bool {
		b, _ := os.ReadFile(report)
		n, _ := fmt.Sscan(string(b), &began, &wrote)
		return n == 2
	}) {
		return nil, fmt.Errorf("%s: the writer has said nothing", peer)
	}
	// What was used is known when all have ended.
	c := exec.Command("/bin/sh", "-c", stop)
	c.Dir, c.Env = t.Dir, append(os.Environ(), fmt.Sprint("PID=", cmd.Process.Pid))
	_ = c.Run()
	_ = cmd.Wait()
	until(5*time.Second, func() bool { return len(processes()) == 0 })
	cpu := usedCPU() - time.Duration(wrote)
	gigabytes := float64(t.N) / 1000
	return []sample{
		{"logs-throughput", peer, t.N, float64(t.N) / end.Sub(time.Unix(0, began)).Seconds()},
		{"logs-cpu", peer, t.N, cpu.Seconds() / gigabytes},
	}, nil
}

var loggers = map[string]string{
	"s6-log":   "s6-log T n5 s10000000",
	"svlogd":   "svlogd -tt",
	"multilog": "multilog t n5 s10000000",
}

// written says whether a file in a folder ends with the writer's last line. In a log that
// is stamped, other text stands before it; the file without is a buffer.
func written(dir string, stamped bool) bool {
	found := false
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || found || !d.Type().IsRegular() {
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return nil // rotated away
		}
		defer file.Close()
		const last = "the end\n"
		tail := make([]byte, len(last)+1)
		if size, err := file.Seek(0, io.SeekEnd); err == nil {
			n, _ := file.ReadAt(tail, max(0, size-int64(len(tail))))
			before, ended := strings.CutSuffix(string(tail[:n]), last)
			found = ended && !(stamped && before == "\n")
		}
		return nil
	})
	return found
}

// usedCPU is the time of processors that all took in this namespace that were waited for,
// here and by process 1, without this program's own.
func usedCPU() time.Duration {
	used := rusage(syscall.RUSAGE_CHILDREN)
	b, _ := os.ReadFile("/proc/1/stat")
	if fields := strings.Fields(string(b)); len(fields) > 16 {
		user, _ := strconv.Atoi(fields[15])
		system, _ := strconv.Atoi(fields[16])
		used += time.Duration(user+system) * 10 * time.Millisecond
	}
	return used
}

func rusage(who int) time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(who, &used) // fails for a wrong number only
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
