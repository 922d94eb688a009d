package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file have the real tini and dumb-init as oracles: what foster
// does under their names is what they do.

// inits are a program and foster in its place, which PATH has under its name.
func inits(t *testing.T, name string) map[string]string {
	t.Helper()
	original := "/usr/bin/" + name
	_, err := os.Stat(original)
	leaktest.Need(t, name, err)
	return map[string]string{original: "the original", name: "foster"}
}

// runInit runs a program to its end.
func runInit(t *testing.T, command ...string) (status int, out string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	b, err := cmd.Output()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return shellStatus(cmd.ProcessState), string(b)
}

// same checks that a command line has the same status and the same output under
// both, as PID 1 and elsewhere.
func same(t *testing.T, name string, args ...string) {
	t.Helper()
	t.Run(strings.Join(args, " "), func(t *testing.T) {
		leaktest.Check(t)
		original := inits(t, name)
		for where, line := range map[string][]string{"PID 1": namespace(t), "elsewhere": nil} {
			seen := map[string]string{}
			for program, who := range original {
				status, out := runInit(t, slices.Concat(line, []string{program}, args)...)
				seen[who] = fmt.Sprintf("%d: %s", status, out)
			}
			if seen["foster"] != seen["the original"] {
				t.Errorf("%s: %q", where, seen)
			}
		}
	})
}

func TestTiniExitStatus(t *testing.T) {
	t.Setenv("TINI_SUBREAPER", "")
	for _, line := range [][]string{
		{}, {"-s"}, {"-z", "true"}, {"-e"}, {"-e", "256", "true"}, {"-e", "x", "true"}, {"-p", "9", "true"}, {"-p"},
		{"true"}, {"--", "true"}, {"-s", "--", "sh", "-c", "exit 3"}, {"-sg", "--", "sh", "-c", "kill -TERM $$"},
		{"-e", "3", "--", "sh", "-c", "exit 3"}, {"-e143", "--", "sh", "-c", "kill -TERM $$"},
		{"-e", "1", "-e", "2", "--", "sh", "-c", "exit 2"}, {"-e", "1", "--", "sh", "-c", "exit 2"},
		{"-e", "0", "--", "false"}, {"-p", "SIGKILL", "--", "sh", "-c", "exit 5"}, {"-pSIGTERM", "true"},
		{"nosuch"}, {"-e", "127", "nosuch"}, {"/etc/passwd"}, {"/"}, {"/nosuch/program"},
		{"--", "echo", "-g", "-h"}, {"--", "--version"},
		{"-w", "--", "sh", "-c", "exit 6"}, {"--", "sh", "-c", "kill -KILL $$"},
	} {
		same(t, "tini", line...)
	}
}

func TestDumbInitExitStatus(t *testing.T) {
	for _, line := range [][]string{
		{}, {"-z", "true"}, {"--nope", "true"}, {"--ver"}, {"-V"}, {"-r", "99:1", "true"}, {"-r", "15", "true"}, {"-r"},
		{"--rewrite", "0:1", "true"}, {"true"}, {"--", "true"}, {"sh", "-c", "exit 3"}, {"-c", "sh", "-c", "kill -TERM $$"},
		{"sh", "-c", "kill -KILL $$"}, {"--single-child", "--", "sh", "-c", "exit 4"}, {"-r15:2", "sh", "-c", "exit 5"},
		{"--rew=15:0", "-c", "true"}, {"nosuch"}, {"/etc/passwd"}, {"/"}, {"echo", "-c", "-V"}, {"--", "echo", "--"},
	} {
		same(t, "dumb-init", line...)
	}
}

func TestFilesWithoutInterpreterAreForTheShell(t *testing.T) {
	script := t.TempDir() + "/script"
	if err := os.WriteFile(script, []byte("echo \"$0\" \"$@\"; exit 5\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	same(t, "tini", script, "a", "b")
	same(t, "dumb-init", script, "a", "b")
}

// whoAmI tells what an application can see of how it was started.
const whoAmI = `read -r _ _ _ parent group session _ </proc/self/stat
read -r pid _ </proc/self/stat
[ $group = $$ ] && echo leads a group
[ $session = $$ ] && echo leads a session
echo descriptors /proc/self/fd/*; pwd`

func TestApplicationsSeeTheSame(t *testing.T) {
	same(t, "tini", "--", "bash", "-c", whoAmI)
	same(t, "tini", "-g", "--", "bash", "-c", whoAmI)
	same(t, "dumb-init", "bash", "-c", whoAmI)
}

// couple tells who of a process group got which signal, until it gets SIGTERM. The
// member goes with the leader. It's for sh, as telltale is.
const couple = `
for s in 1 2 3 10 12 28 36 60; do trap "echo leader $s." $s; done
trap 'exit 9' TERM
sh -c 'trap "echo member 10" USR1; trap "" TERM HUP QUIT USR2 28 36 60; echo ready
	while [ -d /proc/$0 ]; do sleep 0.01 & wait $!; done' $$ &
while :; do sleep 0.01 & wait $!; done`

// TestSignalsReachTheSame sends the same signals to both and compares who got them.
func TestSignalsReachTheSame(t *testing.T) {
	for line, rewritten := range map[string]map[syscall.Signal]syscall.Signal{
		"tini -s --":                   nil,
		"tini -s -g --":                nil,
		"dumb-init":                    nil,
		"dumb-init -c":                 nil,
		"dumb-init -r 10:2 -r 1:0":     {10: 2, 1: 0},
		"dumb-init -c -r 2:12 -r 12:3": {2: 12, 12: 3},
	} {
		t.Run(line, func(t *testing.T) {
			leaktest.Check(t)
			words := strings.Fields(line)
			seen := map[string][]string{}
			for program, who := range inits(t, words[0]) {
				p := begin(t, program, slices.Concat(words[1:], []string{"sh", "-c", couple})...)
				p.out.next(`^ready$`)
				for _, s := range []syscall.Signal{1, 2, 3, 10, 12, 28, 36, 60} {
					p.signal(s)
					if to, ok := rewritten[s]; ok {
						s = to
					}
					if s != 0 {
						p.out.next(fmt.Sprintf(`^leader %d\.$`, s))
					}
				}
				p.signal(syscall.SIGTERM)
				p.ends(9)
				p.out.rest() // the member's last line was said
				seen[who] = slices.Sorted(slices.Values(p.out.all))
				leaktest.ReapOrphans(t)
			}
			if !slices.Equal(seen["foster"], seen["the original"]) {
				t.Errorf("%q", seen)
			}
		})
	}
}

func TestDumbInitStopsItselfWithItsChild(t *testing.T) {
	for program := range inits(t, "dumb-init") {
		t.Run(program, func(t *testing.T) {
			leaktest.Check(t)
			p := begin(t, program, "bash", "-c", `trap 'echo continued' CONT; echo $$ runs; while :; do sleep 0.01; done`)
			app := p.out.pid(`^(\d+) runs$`)
			p.signal(syscall.SIGTSTP)
			leaktest.Eventually(t, "both are stopped", func() bool { return state(t, app) == 'T' && state(t, p.cmd.Process.Pid) == 'T' })
			p.signal(syscall.SIGCONT)
			p.out.next(`^continued$`)
			p.signal(syscall.SIGTERM)
			p.ends(128 + 15)
			leaktest.ReapOrphans(t) // the original leaves what it has adopted
		})
	}
}

func TestTiniTellsOfItsParentsDeath(t *testing.T) {
	for program := range inits(t, "tini") {
		t.Run(program, func(t *testing.T) {
			leaktest.Check(t)
			p := begin(t, "bash", "-c", `"$0" -s -p SIGUSR1 -- bash -c '
trap "echo the parent died; exit" USR1; echo ready; while :; do sleep 0.01; done' & read line; wait`, program)
			p.out.next(`^ready$`)
			kill(t, p.cmd.Process.Pid)
			p.out.next(`^the parent died$`)
			p.ends(128 + 9)
			leaktest.ReapOrphans(t)
		})
	}
}

func TestTiniWarnsOfWhatItReaps(t *testing.T) {
	for program := range inits(t, "tini") {
		t.Run(program, func(t *testing.T) {
			leaktest.Check(t)
			// The orphan ends when its parent is gone: before, the parent could reap it.
			p := begin(t, program, "-s", "-w", "--", "bash", "-c", `
(parent=$BASHPID; bash -c 'while [ -d /proc/$0 ]; do :; done' $parent & echo orphan $!); exec sleep 1000`)
			orphan := p.out.pid(`^orphan (\d+)$`)
			p.err.next(fmt.Sprintf(`^\[WARN  tini \(%d\)\] Reaped zombie process with pid=%d$`, p.cmd.Process.Pid, orphan))
			p.signal(syscall.SIGTERM)
			p.ends(128 + 15)
		})
	}
}

// TestCompatHasNoTimeForTheLeader: the container's runtime has its own
// time, of minutes perhaps. Only what the leader leaves is ended.
func TestCompatHasNoTimeForTheLeader(t *testing.T) {
	for _, line := range []string{"tini -s", "dumb-init", "foster init --compat tini", "foster init --compat=dumb-init -c"} {
		t.Run(line, func(t *testing.T) {
			leaktest.Check(t)
			words := strings.Fields(line)
			p := begin(t, words[0], append(words[1:], "bash", "-c", `
trap 'echo drains' TERM
trap 'exit 7' USR1
setsid bash -c 'trap "echo daemon told; exit" TERM; echo ready; while :; do sleep 0.01; done' &
while :; do sleep 0.01; done`)...)
			p.out.next(`^ready$`)
			p.signal(syscall.SIGTERM)
			p.out.next(`^drains$`)
			p.signal(syscall.SIGUSR1)
			p.out.next(`^daemon told$`)
			p.ends(7)
			nothingIsLeft(t)
		})
	}
}

// relatives are what a leader leaves behind: a member of its group, one of a group of its
// own, one of a session of its own, and one that is stopped. Each says which signals it sees
// until a moment after SIGTERM. The leader ends as $0 says, when all of them are ready.
const relatives = `
member='for s in 1 2 3 10 12 18 28; do trap "echo $0 saw $s" $s; done
	trap "echo $0 saw 15; over=1" 15
	case $0 in stopped) trap "" 18; kill -STOP $$;; *) touch $0.ready;; esac
	while [ -z "$over" ]; do sleep 0.01 & wait $!; done; sleep 0.1'
sh -c "$member" same &
setsid sh -c "$member" session &
set -m; sh -c "$member" group & set +m
setsid sh -c 'echo $$ >stopped.pid; eval "$1"' stopped "$member" &
until [ -e same.ready ] && [ -e session.ready ] && [ -e group.ready ] && grep -q '^State:.T' /proc/$(cat stopped.pid)/status; do sleep 0.01; done 2>/dev/null
case $0 in waits) trap 'exit 3' TERM ;; deaf) trap '' TERM ;; esac
echo all are ready
case $0 in exits) exit 3 ;; killed) kill -9 $$ ;; deaf) exec sleep 1000 ;; esac
sleep 1000 & wait $!`

// TestTheRestSeesSIGTERMFirst: neither SIGKILL, as the originals have it as PID 1, nor
// SIGCONT, which only a stopped process needs.
func TestTheRestSeesSIGTERMFirst(t *testing.T) {
	status := map[string]int{"exits": 3, "waits": 3, "killed": 128 + 9, "deaf": 128 + 9}
	for line, ends := range map[string][]string{
		"tini -s --": {"exits", "killed", "waits"}, "tini -s -g --": {"exits"},
		"dumb-init": {"exits", "killed", "waits"}, "dumb-init -c": {"exits"},
		"foster init --": {"exits", "killed", "waits"}, "foster init --stop-timeout 2s --": {"deaf"},
	} {
		for _, end := range ends {
			t.Run(line+" "+end, func(t *testing.T) {
				asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
					t.Chdir(t.TempDir())
					p := begin(`^all are ready$`, slices.Concat(strings.Fields(line), []string{"bash", "-c", relatives, end})...)
					if end == "waits" || end == "deaf" {
						p.gets(syscall.SIGTERM)
					}
					p.ends(status[end])
					saw := slices.Compact(slices.Sorted(slices.Values(p.out.rest()))) // dumb-init sends it to the group, and then to all
					if want := []string{"group saw 15", "same saw 15", "session saw 15", "stopped saw 15"}; !slices.Equal(saw, want) {
						t.Errorf("%q, want %q", saw, want)
					}
					nothingIsLeft(t)
				})
			})
		}
	}
}
