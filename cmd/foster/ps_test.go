package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/proc"
)

// household is a process with what it has started, all in states that last.
type household struct {
	t                               *testing.T
	cmd                             *exec.Cmd
	out                             *lines
	parent, zombie, stopped, lowest int
	hold                            *os.File // while it is open the parent lives
	ended                           bool
}

// newHousehold starts a parent that doesn't wait: for a zombie, for a stopped process,
// and for one with a low priority.
func newHousehold(t *testing.T) *household {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout := newLines(t)
	// The shell becomes a program that knows nothing of the children.
	cmd := exec.Command("sh", "-c", `sleep 1000 & s=$!
nice -n 5 sleep 1000 & n=$!
sleep 1000 & z=$!
echo $z $s $n; exec cat`)
	cmd.Stdin, cmd.Stdout = r, stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	stdout.Close()
	f := &household{t: t, cmd: cmd, out: out, parent: cmd.Process.Pid, hold: w}
	m := out.next(`^(\d+) (\d+) (\d+)$`)
	for i, to := range []*int{&f.zombie, &f.stopped, &f.lowest} {
		*to, _ = strconv.Atoi(m[i+1])
	}
	t.Cleanup(func() { f.end() })
	is := func(pid int, name string, s proc.State) bool {
		p, err := proc.Read(pid, 0)
		return err == nil && p.State == s && (name == "" || p.Name == name)
	}
	// A shell would reap what ends before it is another program.
	leaktest.Eventually(t, "all are what they are to be", func() bool {
		return is(f.parent, "cat", proc.Sleeping) && is(f.stopped, "sleep", proc.Sleeping) && is(f.zombie, "sleep", proc.Sleeping)
	})
	if err := errors.Join(syscall.Kill(f.stopped, syscall.SIGSTOP), syscall.Kill(f.zombie, syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "the household is in its states", func() bool {
		return is(f.parent, "cat", proc.Sleeping) && is(f.zombie, "", proc.Defunct) &&
			is(f.stopped, "sleep", proc.Stopped) && is(f.lowest, "sleep", proc.Sleeping)
	})
	return f
}

// end ends what is left, and reaps what falls to the test, but for what it keeps.
func (f *household) end(keep ...int) {
	if f.ended {
		return
	}
	f.ended = true
	f.hold.Close()
	_ = syscall.Kill(f.zombie, syscall.SIGKILL)
	_ = syscall.Kill(f.stopped, syscall.SIGKILL)
	_ = syscall.Kill(f.lowest, syscall.SIGKILL)
	_ = f.cmd.Wait()
	leaktest.ReapOrphans(f.t, keep...)
}

// answer runs foster, which must succeed and say nothing but the answer.
func answer(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("foster", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("foster %q: %v\n%s%s", args, err, out, &stderr)
	}
	return string(out)
}

// table splits an answer into words, by the pid in the first column.
func table(out string) map[string]string {
	rows := map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
		if w := strings.Fields(l); len(w) > 0 {
			rows[w[0]] = strings.Join(w, " ")
		}
	}
	return rows
}

func TestPsAgreesWithProcps(t *testing.T) {
	leaktest.Check(t)
	out, err := exec.Command("ps", "--version").Output()
	if err == nil && !strings.Contains(string(out), "procps") {
		err = fmt.Errorf("%s", out)
	}
	leaktest.Need(t, "ps of procps", err)
	f := newHousehold(t)
	// foster's name of a column, and procps's with a width, where it would be cut. All of
	// the household is stopped, asleep or dead: what is compared here doesn't move.
	for _, c := range []string{
		"ppid", "pgid", "sess", "sid", "tpgid", "user:40", "uid", "gid", "ruser:40", "ruid", "stat", "s", "tt", "tty", "time",
		"comm:40", "args", "f", "pri", "opri", "ni", "addr", "sz", "vsz", "rss", "wchan:40", "nlwp",
	} {
		name, _, _ := strings.Cut(c, ":")
		ours, theirs := f.fosterSays(name), f.procpsSays(c)
		for pid, line := range theirs {
			if name == "comm" {
				line = strings.TrimSuffix(line, " <defunct>") // as procps 3 has it there
			}
			if ours[pid] != line {
				t.Errorf("%s: foster says %q, procps %q", name, ours[pid], line)
			}
		}
	}
	// The share of processor time falls with the age: it lies between the shares at the
	// moments before and after a program looked.
	for _, column := range []struct {
		name       string
		unit, most float64 // of its numbers, in thousandths
	}{{"pcpu", 1, 999}, {"c", 10, 99}} {
		for who, says := range map[string]func(string) map[string]string{"foster": f.fosterSays, "procps": f.procpsSays} {
			before := uptime(t)
			rows := says(column.name)
			after := uptime(t) + tick // it is cut to whole ticks
			for pid, row := range rows {
				most := shareAt(t, pid, before)
				least := shareAt(t, pid, after)
				if v := numberIn(t, row); v < min(math.Floor(least/column.unit), column.most) || v > math.Floor(most/column.unit) {
					t.Errorf("%s of %s: %s says %v, and it was from %v to %v thousandths", column.name, pid, who, v, least, most)
				}
			}
		}
	}
}

// tick is the unit of the times in /proc.
const tick = 10 * time.Millisecond

// uptime is how long the machine has been up.
func uptime(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	up, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	if err != nil {
		t.Fatal(err)
	}
	return up
}

// shareAt is the share of a processor that a process has used since its start, in
// thousandths, at a moment; what it has used doesn't grow.
func shareAt(t *testing.T, pid string, up time.Duration) float64 {
	t.Helper()
	number, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := proc.Read(number, proc.Times)
	if err != nil {
		t.Fatal(err)
	}
	used, age := p.User+p.System, up-time.Duration(p.ID().Start)*tick
	return math.Floor(float64(used.Milliseconds()) * 1000 / float64(max(age, tick).Milliseconds()))
}

// fosterSays is a column of foster ps for the household.
func (f *household) fosterSays(column string) map[string]string {
	f.t.Helper()
	return table(answer(f.t, "ps", "--tree", strconv.Itoa(f.parent), "-o", "pid,"+column))
}

// procpsSays is a column of ps(1) for the household.
func (f *household) procpsSays(column string) map[string]string {
	f.t.Helper()
	pids := fmt.Sprintf("%d,%d,%d,%d", f.parent, f.zombie, f.stopped, f.lowest)
	out, err := exec.Command("ps", "-p", pids, "-o", "pid,"+column).Output()
	if err != nil {
		f.t.Fatal(err)
	}
	rows := table(string(out))
	if len(rows) != 4 {
		f.t.Fatalf("%s: %s", column, out)
	}
	return rows
}

// numberIn reads a number that stands behind a pid. pcpu has tenths of a hundredth.
func numberIn(t *testing.T, row string) float64 {
	t.Helper()
	_, text, _ := strings.Cut(row, " ")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%q: %v", row, err)
	}
	if strings.Contains(text, ".") {
		v = math.Round(v * 10)
	}
	return v
}

// maskedFamily replaces what differs from run to run: numbers, times, sizes, names.
func maskedFamily(f *household, out string) string {
	for name, pid := range map[string]int{"PARENT": f.parent, "ZOMBIE": f.zombie, "STOPPED": f.stopped, "LOWEST": f.lowest} {
		out = regexp.MustCompile(fmt.Sprintf(`\b%d\b`, pid)).ReplaceAllString(out, name)
	}
	out = regexp.MustCompile(fmt.Sprintf(`\b%d\b`, os.Getpid())).ReplaceAllString(out, "TEST")
	out = regexp.MustCompile(` \d+(\.\d)?[KM] `).ReplaceAllString(out, " SIZE ")
	out = regexp.MustCompile(` [\d.]+(ms|s)\b`).ReplaceAllString(out, " AGE")
	out = strings.ReplaceAll(out, nameOfUser(os.Geteuid()), "USER")
	return regexp.MustCompile(` +`).ReplaceAllString(out, " ")
}

func (f *household) wants(got, want string) {
	f.t.Helper()
	got = strings.ReplaceAll(maskedFamily(f, got), "\n ", "\n")
	if raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil && raw < 20 { // the tests run by nice(1): all have the N
		lowered := regexp.MustCompile(` ([STZ])N`)
		got, want = lowered.ReplaceAllString(got, " $1"), lowered.ReplaceAllString(want, " $1")
	}
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		f.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPsForPeople(t *testing.T) {
	leaktest.Check(t)
	f := newHousehold(t)
	pid := strconv.Itoa(f.parent)
	f.wants(answer(t, "ps", "--tree", pid), `
PID PPID USER STAT AGE MEM MARK COMMAND
PARENT TEST USER Ss AGE SIZE - cat
STOPPED PARENT USER T AGE SIZE - sleep 1000
LOWEST PARENT USER SN AGE SIZE - sleep 1000
ZOMBIE PARENT USER Z AGE - zombie [sleep] <defunct>`)
	f.wants(answer(t, "ps", "-j", "--forest", "--sort", "-pid", "--tree", pid), `
USER PID PPID PGID SESS JOBC STAT TT TIME COMMAND
USER PARENT TEST PARENT PARENT 0 Ss ? 00:00:00 cat
USER ZOMBIE PARENT PARENT PARENT 0 Z ? 00:00:00 ├─ [sleep] <defunct>
USER LOWEST PARENT PARENT PARENT 0 SN ? 00:00:00 ├─ sleep 1000
USER STOPPED PARENT PARENT PARENT 0 T ? 00:00:00 └─ sleep 1000`)
	f.wants(answer(t, "ps", "--tree", pid, "--state", "zombie,T", "-o", "pid,orphan,words"), `
PID ORPHAN STATE
STOPPED no stopped by a signal
ZOMBIE no zombie: has ended and wasn't reaped`)
	f.wants(answer(t, "ps", "--tree", pid, "--name", "sl*p", "--user", strconv.Itoa(os.Geteuid()), "-o", "pid,ppid"), `
PID PPID
STOPPED PARENT
LOWEST PARENT
ZOMBIE PARENT`)
	f.wants(answer(t, "tree", pid), `
PARENT cat
├─ STOPPED sleep 1000
├─ LOWEST sleep 1000
└─ ZOMBIE (zombie) [sleep] <defunct>`)
}

func TestPsJSONLeavesOutWhatIsNotKnown(t *testing.T) {
	leaktest.Check(t)
	f := newHousehold(t)
	var roots []struct {
		PID      int `json:"pid"`
		Children []map[string]any
	}
	if err := json.Unmarshal([]byte(answer(t, "tree", "-o", "json", strconv.Itoa(f.parent))), &roots); err != nil {
		t.Fatal(err)
	}
	if len(roots) != 1 || roots[0].PID != f.parent || len(roots[0].Children) != 3 {
		t.Fatalf("%+v", roots)
	}
	z := roots[0].Children[2]
	if z["pid"] != float64(f.zombie) || z["zombie"] != true || z["state"] != "Z" || z["args"] != nil || z["tty"] != nil || z["ppid"] != float64(f.parent) {
		t.Errorf("%v", z)
	}
}

func TestPsMarksAnOrphan(t *testing.T) {
	leaktest.Check(t)
	out, stdout := newLines(t)
	// The parent, which leads its session, is gone when the shell between has ended.
	cmd := exec.Command("sh", "-c", "sleep 1000 >/dev/null & echo $!")
	cmd.Stdout = stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	stdout.Close()
	pid := out.pid(`^(\d+)$`)
	leaktest.Eventually(t, "sleep runs", func() bool { p, err := proc.Read(pid, 0); return err == nil && p.Name == "sleep" })
	got := answer(t, "ps", "--tree", strconv.Itoa(pid), "-o", "pid,mark,orphan")
	if !regexp.MustCompile(`\n *\d+ orphan\?? +(likely|certain)\n$`).MatchString(got) {
		t.Errorf("%s", got)
	}
	got = answer(t, "tree", strconv.Itoa(pid))
	if !regexp.MustCompile(`^\d+ \(orphan\??\) sleep 1000\n$`).MatchString(got) {
		t.Errorf("%s", got)
	}
	kill(t, pid)
	leaktest.ReapOrphans(t)
}

func TestNamesOfProcessesForgeNothing(t *testing.T) {
	leaktest.Check(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{") R 1 (", "a\n1 root x", "\x1b[31mred", "b\xffad", "[sh] 1 "} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(sleep, path); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "1000")
		cmd.Args[0] = name
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := strconv.Itoa(cmd.Process.Pid)
		leaktest.Eventually(t, "it has its name", func() bool { p, err := proc.Read(cmd.Process.Pid, 0); return err == nil && p.Name == name })
		shown := proc.Printable(name)
		want := fmt.Sprintf("%s %d S %s %s 1000", pid, os.Getpid(), shown, shown)
		if got := strings.Split(answer(t, "ps", "--tree", pid, "-o", "pid,ppid,s,comm,args"), "\n"); len(got) != 3 ||
			strings.Join(strings.Fields(got[1]), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		if got := answer(t, "tree", pid); got != pid+" "+shown+" 1000\n" {
			t.Errorf("%q: tree says %q", name, got)
		}
		if !strings.Contains(name, "[") { // which begins a pattern
			if _, ok := table(answer(t, "ps", "--name", name, "-o", "pid"))[pid]; !ok {
				t.Errorf("%q isn't found by its name", name)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func TestPsShowsTheTreeOfAProcess(t *testing.T) {
	leaktest.Check(t)
	p := start(t, "--", "sh", "-c", "echo here; exec sleep 1000")
	p.out.next("here")
	// It is a shell still when it says so.
	leaktest.Eventually(t, "sleep is shown with the name of its tree", func() bool {
		got := answer(t, "ps", "--name", "sleep", "-o", "tree,ports,args")
		return regexp.MustCompile(`\n\w[\w-]+ +- +sleep 1000\n`).MatchString(got)
	})
	p.signal(syscall.SIGTERM)
	p.ends(128 + 15)
}

func TestTimesAsPsShowsThem(t *testing.T) {
	for d, want := range map[time.Duration][2]string{
		0:                       {"00:00:00", "00:00"},
		59*time.Minute + 59e9:   {"00:59:59", "59:59"},
		time.Hour:               {"01:00:00", "01:00:00"},
		24*time.Hour - 1:        {"23:59:59", "23:59:59"},
		26*time.Hour + 5e9:      {"01-02:00:05", "01-02:00:05"},
		2400*time.Hour + 60*1e9: {"100-00:01:00", "100-00:01:00"},
	} {
		if got := [2]string{clock(d), elapsed(d)}; got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 10 << 10: "10K", 1023 << 10: "1.0M", 5 << 30: "5.0G", 1<<64 - 1: "16E"} {
		if got := sized(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
