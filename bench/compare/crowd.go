package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster/proc"
	"github.com/prometheus/procfs"
)

// crowd is a Perl program that starts so many processes, each in a session of its own,
// and has every other one lose its parent. It writes a line when all are what they are to
// be: then the last copy of a pipe is closed.
const crowd = `
use POSIX; $| = 1;
pipe(my $r, my $w);
for my $i (1 .. $ARGV[0]) {
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		close $r; POSIX::setsid();
		POSIX::_exit(0) if $i % 2 && fork;
		exec "sleep", "` + marker + `";
	}
	waitpid($pid, 0) if $i % 2;
}
close $w; readline $r;
print "ready\n";
sleep ` + marker + `;
`

func startCrowd(t task) []string { return []string{"perl", "-e", crowd, strconv.Itoa(t.N)} }

// waitForCrowd starts a command, and waits until it says that it is ready.
func waitForCrowd(cmd *exec.Cmd) error {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = stdout.Read(make([]byte, 100))
	return err
}

// measureStop is from the request to end a tree until the kernel says that it's empty.
func measureStop(t task) ([]sample, error) {
	peer := t.Peers[0]
	if containment, ok := strings.CutPrefix(peer, "foster, "); ok {
		out, err := exec.Command("host", append([]string{"stop", containment}, startCrowd(t)...)...).Output()
		if err != nil {
			return nil, withStderr(err)
		}
		seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(out)), 64)
		return []sample{{"stop", peer, t.N, seconds}}, err
	}
	group, err := makeCgroup("kernel")
	if err != nil {
		return nil, err
	}
	defer group.remove()
	argv := startCrowd(t)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.dir.Fd())}
	if err := waitForCrowd(cmd); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := group.kill(); err != nil {
		return nil, err
	}
	return []sample{{"stop", peer, t.N, time.Since(begin).Seconds()}}, nil
}

// measureTable lists many processes, in turn with ps.
func measureTable(t task) ([]sample, error) {
	argv := startCrowd(t)
	if err := waitForCrowd(exec.Command(argv[0], argv[1:]...)); err != nil {
		return nil, err
	}
	const columns = "user,pid,ppid,pgid,sess,stat,tt,time,args"
	commands := map[string][]string{"ps": {"ps", "-eo", columns}, "foster ps": {"foster", "ps", "-a", "-o", columns}}
	cpu, wall := map[string][]float64{}, map[string][]float64{}
	for range 5 {
		for _, peer := range t.Peers {
			cmd := exec.Command(commands[peer][0], commands[peer][1:]...)
			var out bytes.Buffer
			cmd.Stdout = &out
			begin := time.Now()
			if err := cmd.Run(); err != nil {
				return nil, fmt.Errorf("%s: %w", peer, err)
			}
			wall[peer] = append(wall[peer], time.Since(begin).Seconds())
			cpu[peer] = append(cpu[peer], (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
			if lines := bytes.Count(out.Bytes(), []byte("\n")); lines < t.N {
				return nil, fmt.Errorf("%s lists %d processes of %d", peer, lines, t.N)
			}
		}
	}
	return append(medians("table-cpu", t, cpu), medians("table-time", t, wall)...), nil
}

// snapshots are ways to read the process table within a program.
var snapshots = map[string]func() error{
	"ps -e": func() error { return exec.Command("ps", "-e").Run() },
	"prometheus/procfs": func() error {
		list, err := procfs.AllProcs()
		for _, p := range list {
			if _, err := p.Stat(); err != nil {
				return err
			}
		}
		return err
	},
	"proc.Take(0)":            take(0),
	"proc.Take(Owner)":        take(proc.Owner),
	"proc.Take(Owner + Args)": take(proc.Owner | proc.Args),
	"proc.Take, all fields":   take(proc.Owner | proc.Args | proc.Exe | proc.Cgroup | proc.Signals | proc.Namespaces),
}

func take(fields proc.Fields) func() error {
	return func() error {
		_, err := proc.Take(fields)
		return err
	}
}

// measureSnapshot is the time of processors that a snapshot takes, in this program or in
// the one that it starts.
func measureSnapshot(t task) ([]sample, error) {
	argv := startCrowd(t)
	if err := waitForCrowd(exec.Command(argv[0], argv[1:]...)); err != nil {
		return nil, err
	}
	cpu := map[string][]float64{}
	for range 5 {
		for _, peer := range t.Peers {
			before := rusage(syscall.RUSAGE_SELF) + rusage(syscall.RUSAGE_CHILDREN)
			if err := snapshots[peer](); err != nil {
				return nil, fmt.Errorf("%s: %w", peer, err)
			}
			cpu[peer] = append(cpu[peer], (rusage(syscall.RUSAGE_SELF) + rusage(syscall.RUSAGE_CHILDREN) - before).Seconds())
		}
	}
	return medians("snapshot", t, cpu), nil
}

// zombies is a Perl program that makes orphans, which all end when it reads a line.
const zombies = `
use POSIX; $| = 1;
pipe(my $r, my $w);
for (1 .. $ARGV[0]) {
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		POSIX::_exit(0) if fork;
		close $w; readline $r; POSIX::_exit(0);
	}
	waitpid($pid, 0);
}
open my $out, ">", "$ARGV[1]/ready"; print $out "ready\n"; close $out;
open my $in, "<", "$ARGV[1]/go"; readline $in;
close $w;
sleep ` + marker + `;
`

// measureReap suspends an init, has its orphans end, and measures how fast it reaps them
// when it goes on: what the kernel needs for their end isn't in it.
func measureReap(t task) ([]sample, error) {
	peer := t.Peers[0]
	for _, name := range []string{"ready", "go"} {
		if err := syscall.Mkfifo(filepath.Join(t.Dir, name), 0o600); err != nil {
			return nil, err
		}
	}
	argv := append([]string{"--pid", "--fork", "--mount-proc", "--"}, wrappers[peer]...)
	argv = append(argv, "perl", "-e", zombies, strconv.Itoa(t.N), t.Dir)
	cmd := exec.Command("unshare", argv...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := os.ReadFile(filepath.Join(t.Dir, "ready")); err != nil {
		return nil, err
	}
	var suspended []int
	for _, p := range processes() {
		if p.exe != "perl" && p.exe != "unshare" && p.state != 'Z' {
			suspended = append(suspended, p.pid)
		}
	}
	send := func(signal syscall.Signal) error {
		var errs []error
		for _, pid := range suspended {
			errs = append(errs, syscall.Kill(pid, signal))
		}
		return errors.Join(errs...)
	}
	if err := send(syscall.SIGSTOP); err != nil {
		return nil, err
	}
	if !until(10*time.Second, func() bool { // a thread that runs stops a little later
		for _, p := range processes() {
			if slices.Contains(suspended, p.pid) && p.state != 'T' {
				return false
			}
		}
		return true
	}) {
		return nil, fmt.Errorf("%s can't be suspended", peer)
	}
	if err := os.WriteFile(filepath.Join(t.Dir, "go"), []byte("go\n"), 0); err != nil {
		return nil, err
	}
	count := func() (n int) {
		for _, p := range processes() {
			if p.state == 'Z' {
				n++
			}
		}
		return n
	}
	if !until(20*time.Second, func() bool { return count() >= t.N }) {
		return nil, fmt.Errorf("%s: %d zombies of %d", peer, count(), t.N)
	}
	left := len(pids()) - t.N
	begin := time.Now()
	if err := send(syscall.SIGCONT); err != nil {
		return nil, err
	}
	for end := begin.Add(20 * time.Second); len(pids()) > left; {
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s leaves %d zombies", peer, len(pids())-left)
		}
	}
	return []sample{{"reap", peer, t.N, float64(t.N) / time.Since(begin).Seconds()}}, nil
}

func withStderr(err error) error {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w: %s", err, lastLine(string(e.Stderr)))
	}
	return err
}
