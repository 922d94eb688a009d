package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/procfs"
)

// namespace is a command line that runs a program as the first process of a PID
// namespace, with mounts of its own: for an ordinary user by a user namespace.
func namespace(t *testing.T) []string {
	t.Helper()
	line := []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Getuid() != 0 {
		line = append(line, "--user", "--map-root-user")
	}
	leaktest.Need(t, "a PID namespace", exec.Command(line[0], append(line[1:], "true")...).Run())
	return line
}

// initialized is an init under way, as PID 1 of a namespace or as a subreaper.
type initialized struct {
	*process
	inside bool // it is the child of unshare, which is the process
}

// asPID1 starts an init as the first process of a PID namespace. first is a line
// that the application prints when it runs.
func asPID1(t *testing.T, first string, command ...string) *initialized {
	t.Helper()
	p := begin(t, "unshare", slices.Concat(namespace(t)[1:], command)...)
	p.out.next(first)
	return &initialized{p, true}
}

// gets sends a signal to the init.
func (p *initialized) gets(s syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.pid(), s); err != nil {
		p.t.Fatal(err)
	}
}

// pid is the init's, as the test counts.
func (p *initialized) pid() int {
	p.t.Helper()
	own := p.cmd.Process.Pid
	if !p.inside {
		return own
	}
	all, err := procfs.Snapshot()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range procfs.Below(all, own) {
		if s.PPID == own {
			return s.PID
		}
	}
	p.t.Fatal("there is no init")
	return 0
}

// asEach runs a test with an init as PID 1, and as a subreaper.
func asEach(t *testing.T, test func(t *testing.T, begin func(first string, command ...string) *initialized)) {
	t.Run("PID 1", func(t *testing.T) {
		leaktest.Check(t)
		test(t, func(first string, command ...string) *initialized { return asPID1(t, first, command...) })
	})
	t.Run("subreaper", func(t *testing.T) {
		leaktest.Check(t)
		test(t, func(first string, command ...string) *initialized {
			p := begin(t, command[0], command[1:]...)
			p.out.next(first)
			return &initialized{p, false}
		})
	})
}

func initOf(script string, flags ...string) []string {
	return slices.Concat([]string{"foster", "init"}, flags, []string{"--", "bash", "-c", script})
}

func TestInitIsTheParentAndAlone(t *testing.T) {
	leaktest.Check(t)
	line := slices.Concat(namespace(t), initOf(`echo parent $PPID, I am $$; exec ls /proc`))
	said := output(t, line...)
	app := regexp.MustCompile(`^parent 1, I am (\d+)$`).FindStringSubmatch(said[0])
	if app == nil {
		t.Fatalf("it said %q", said[0])
	}
	var processes []string
	for _, name := range said[1:] {
		if _, err := strconv.Atoi(name); err == nil {
			processes = append(processes, name)
		}
	}
	slices.Sort(processes)
	if want := []string{"1", app[1]}; !slices.Equal(processes, want) {
		t.Errorf("there are the processes %v, want %v", processes, want)
	}
}

func TestInitExitStatus(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(notExecutable, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		status  int
		command []string
	}{
		{0, initOf("true")},
		{3, initOf("exit 3")},
		{128 + 15, initOf("kill -TERM $$")},
		{128 + 9, initOf("kill -KILL $$")},
		{0, initOf("exit 3", "--exit-zero-on", "3")},
		{0, initOf("kill -TERM $$", "-e", "143")},
		{exitNotFound, []string{"foster", "init", "--", "/nosuch"}},
		{exitCannotRun, []string{"foster", "init", "--", notExecutable}},
		{exitCannotRun, []string{"foster", "init", "--", "/"}},
		{exitUsage, []string{"foster", "init"}},
		{exitUsage, []string{"foster", "init", "--nope", "--", "true"}},
	} {
		t.Run(strings.Join(tt.command[2:], " "), func(t *testing.T) {
			leaktest.Check(t)
			pid1 := namespace(t)
			begin(t, tt.command[0], tt.command[1:]...).ends(tt.status)
			begin(t, pid1[0], slices.Concat(pid1[1:], tt.command)...).ends(tt.status)
		})
	}
}

func TestInitReapsOrphans(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^started$`, initOf(`
for i in {1..50}; do (setsid true &) ; done
echo started
while ps -eo ppid=,stat= | grep -q "^ *$PPID Z"; do sleep 0.01; done
echo clean`)...)
		p.out.next(`^clean$`)
		p.ends(0)
		nothingIsLeft(t)
	})
}

// family is an application with a daemon in a session of its own. Each tells when it
// is told to end.
const family = `
trap 'echo told; exit 4' TERM
setsid bash -c 'trap "echo daemon told; exit" TERM; echo daemon runs; while :; do sleep 0.01 & wait $!; done' &
while :; do sleep 0.01 & wait $!; done`

func TestInitStopsInOrder(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^daemon runs$`, initOf(family, "--stop-timeout", "1h")...)
		p.gets(syscall.SIGTERM)
		p.out.next(`^told$`)
		p.out.next(`^daemon told$`)
		p.ends(4)
		nothingIsLeft(t)
	})
}

func TestInitEndsWhoIgnoresTheStop(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^daemon$`, initOf(trapping, "--stop-timeout", "100ms")...)
		p.gets(syscall.SIGTERM)
		p.err.next(`^foster: had to be ended by SIGKILL: `)
		p.ends(128 + 9)
		nothingIsLeft(t)
	})
}

func TestInitEndsWhatTheCommandLeaves(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^daemon$`, initOf(`
(trap '' TERM; exec setsid bash -c 'echo daemon; exec sleep 1000') &
until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.01; done
exit 5`, "--stop-timeout", "100ms")...)
		p.err.next(`^foster: had to be ended by SIGKILL: sleep \(pid \d+\)$`)
		p.ends(5)
		nothingIsLeft(t)
	})
}

func TestInitUntilTreeWaitsForAll(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^daemon \d+ alone$`, initOf(`
(exec setsid bash -c '
	trap "echo daemon got USR1; exit" USR1
	while [ -d /proc/$0 ]; do sleep 0.01; done
	echo daemon $$ alone
	while :; do sleep 0.01; done' $$) & exit 5`, "--until", "tree")...)
		p.gets(syscall.SIGUSR1)
		p.out.next(`^daemon got USR1$`)
		p.ends(5)
		nothingIsLeft(t)
	})
}

func TestInitUntilTreeStopsTheRest(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^daemon alone$`, initOf(`
(exec setsid bash -c '
	trap "" TERM
	while [ -d /proc/$0 ]; do sleep 0.01; done
	echo daemon alone
	exec sleep 1000' $$) & exit 5`, "--until", "tree", "--stop-timeout", "100ms")...)
		p.gets(syscall.SIGTERM)
		p.err.next(`^foster: had to be ended by SIGKILL: \w+ \(pid \d+\)$`)
		p.ends(5)
		nothingIsLeft(t)
	})
}

// TestInitUntilTreeTerminatesBeforeItKills: who ignores the stop signal, as what a shell runs in
// the background ignores SIGINT, is sent SIGTERM before SIGKILL.
func TestInitUntilTreeTerminatesBeforeItKills(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^daemon alone$`, initOf(`
(exec setsid bash -c '
	trap "" INT
	trap "echo daemon got TERM; exit" TERM
	while [ -d /proc/$0 ]; do sleep 0.01; done
	echo daemon alone
	while :; do sleep 0.01; done' $$) & exit 5`, "--until", "tree", "--stop-signal", "INT", "--stop-timeout", "2s")...)
		p.gets(syscall.SIGINT)
		p.out.next(`^daemon got TERM$`)
		p.ends(5)
		nothingIsLeft(t)
	})
}

// telltale tells of each signal that can be trapped, and ends by SIGTERM. It's for
// sh, which often is dash: bash loses a signal now and then, one that comes while it
// runs a trap or starts a command.
const telltale = `
exec sh -c '
s=35; realtime=; while [ $s -le 64 ]; do realtime="$realtime $s"; s=$((s+1)); done
for s in 1 2 3 10 12 14 18 20 21 22 23 24 25 26 28 29 30 $realtime; do trap "echo got $s." $s; done
echo ready
while :; do sleep 0.01 & wait $!; done'`

func TestInitForwardsSignals(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^ready$`, initOf(telltale)...)
		for s := syscall.Signal(1); s <= 64; s++ {
			switch s {
			case 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 19, 23, 27, 31, 32, 33, 34:
				continue // below, or none that could be forwarded
			}
			p.gets(s)
			p.out.next(fmt.Sprintf(`^got %d\.$`, s))
		}
		p.gets(syscall.SIGTERM)
		p.ends(128 + 15)
		nothingIsLeft(t)
	})
}

// TestInitKeepsWhatIsItsOwn: these signals neither end the init nor reach the
// application.
func TestInitKeepsWhatIsItsOwn(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^ready$`, initOf(telltale)...)
		// Each time another: a shell may drop a signal that comes while it runs the
		// trap of the same one.
		for _, forwarded := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGALRM} {
			for _, s := range []syscall.Signal{
				syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV,
				syscall.SIGPIPE, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPROF, syscall.SIGSYS, 16,
			} {
				p.gets(s)
			}
			p.gets(forwarded)
			p.out.next(fmt.Sprintf(`^got %d\.$`, forwarded))
		}
		p.gets(syscall.SIGTERM)
		p.ends(128 + 15)
		if rest := p.out.rest(); slices.Contains(rest, "got 23.") {
			t.Errorf("the application got SIGURG: %q", rest)
		}
	})
}

func TestInitRewritesSignals(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^ready$`, initOf(telltale, "-r", "HUP:USR2", "-r", "INT:0", "-r", "QUIT:KILL")...)
		p.gets(syscall.SIGINT)
		p.gets(syscall.SIGHUP)
		if got := p.out.next(`^got (\d+)`); got[1] != "12" {
			t.Errorf("got %s first, want 12", got[1])
		}
		p.gets(syscall.SIGQUIT)
		p.ends(128 + 9)
	})
}

var storm = []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP}

func TestInitInASignalStormHearsTERM(t *testing.T) {
	asEach(t, func(t *testing.T, begin func(string, ...string) *initialized) {
		p := begin(`^ready$`, initOf(`trap '' USR1 USR2 HUP; echo ready; exec sleep 1000`)...)
		pid := p.pid()
		for i := range 9000 {
			if err := syscall.Kill(pid, storm[i%len(storm)]); err != nil {
				t.Fatal(err)
			}
		}
		p.gets(syscall.SIGTERM)
		p.ends(128 + 15)
		nothingIsLeft(t)
	})
}

func TestInitSignalsTheLeaderOrItsGroup(t *testing.T) {
	leaktest.Check(t)
	const script = `
trap "echo leader got it" USR1
bash -c 'trap "echo member got it" USR1; echo ready; while :; do sleep 0.01 & wait $!; done' &
while :; do sleep 0.01 & wait $!; done`
	for flag, want := range map[string][]string{"--": {"leader got it"}, "-g": {"leader got it", "member got it"}} {
		p := begin(t, "foster", "init", flag, "bash", "-c", script)
		p.out.next(`^ready$`)
		p.signal(syscall.SIGUSR1)
		var got []string
		for range want {
			got = append(got, p.out.next(`got it$`)[0], "")
		}
		p.signal(syscall.SIGTERM)
		p.ends(128 + 15)
		if got = append(got, p.out.rest()...); len(got) != 2*len(want) {
			t.Errorf("%s: got %q, want %q", flag, got, want)
		}
	}
}

func TestInitBeginsClean(t *testing.T) {
	before := map[string][]string{
		"ignored": {"bash", "-c", `trap '' HUP INT QUIT TERM USR1 USR2 PIPE CHLD TSTP TTIN TTOU URG PROF SEGV; exec "$@"`, "bash"},
		"blocked": {"env", "--block-signal=HUP,INT,TERM,USR1,CHLD,TSTP,URG,RTMAX"},
	}
	leaktest.Need(t, "env --block-signal", exec.Command("env", "--block-signal=HUP", "true").Run())
	for name, prefix := range before {
		for _, init := range [][]string{{"foster", "init", "--"}, {"tini", "-s"}, {"dumb-init"}} {
			for _, where := range [][]string{nil, namespace(t)} {
				t.Run(fmt.Sprintf("%s %s %v", name, init[0], where != nil), func(t *testing.T) {
					leaktest.Check(t)
					command := slices.Concat(where, prefix, init)
					status := output(t, append(command, "cat", "/proc/self/status")...)
					for _, mask := range []string{"SigBlk", "SigIgn", "SigCgt"} {
						if want := mask + ":\t0000000000000000"; !slices.Contains(status, want) {
							t.Errorf("want %q in\n%s", want, strings.Join(status, "\n"))
						}
					}
				})
			}
		}
	}
}

func TestInitPassesDescriptorsAndFolderOn(t *testing.T) {
	leaktest.Check(t)
	for _, init := range []string{"foster init --", "tini -s --", "dumb-init"} {
		// The last is that with which ls reads them.
		script := `cd /usr && exec 7</dev/null && exec ` + init + ` sh -c 'pwd; exec ls /proc/self/fd'`
		if seen, want := output(t, "bash", "-c", script), []string{"/usr", "0", "1", "2", "3", "7"}; !slices.Equal(seen, want) {
			t.Errorf("%s: %v, want %v", init, seen, want)
		}
	}
}

func TestInitHoldsNoDescriptorOfTheCommand(t *testing.T) {
	leaktest.Check(t)
	p := begin(t, "bash", "-c", `exec foster init -- bash -c '
[ -c /dev/fd/7 ] && echo 7 is open
while ls -l /proc/$PPID/fd | grep -q /dev/zero; do sleep 0.01; done' 7</dev/zero`)
	p.out.next(`^7 is open$`)
	p.ends(0)
}

func TestInitWithoutReadersGoesOn(t *testing.T) {
	for name, script := range map[string]string{
		"closed":  `exec "$@" >&- 2>&- <&-`,
		"no pipe": `exec "$@" > >(exec true) 2> >(exec true)`,
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			app := `trap '' USR1; kill -PIPE $PPID; (setsid sleep 0 &); kill -USR1 $PPID; exit 6`
			p := begin(t, "bash", append([]string{"-c", script, "bash"}, initOf(app, "-vv")...)...)
			p.ends(6)
		})
	}
}

func TestInitWithFewDescriptors(t *testing.T) {
	leaktest.Check(t)
	p := begin(t, "bash", append([]string{"-c", `ulimit -n 32; exec "$@"`, "bash"}, initOf(family)...)...)
	p.out.next(`^daemon runs$`)
	p.signal(syscall.SIGTERM)
	p.out.next(`^daemon told$`)
	p.ends(4)
	nothingIsLeft(t)
}

// lean builds the init alone, as a container would have it, once.
var lean = sync.OnceValues(func() (string, error) {
	foster, err := exec.LookPath("foster")
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(foster), "foster-init")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "../foster-init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// bareRoot is a script that runs the command after it as PID 1 on a root that is
// read-only, without /proc, /sys, /dev or a folder to write in. Its mounts are those of
// a namespace, and end with it.
const bareRoot = `set -e
mount -t tmpfs -o size=1m none "$1"
cd "$1"; shift
mkdir -p usr tmp
for d in bin sbin lib lib64; do
	if [ -L "/$d" ]; then cp -P "/$d" "$d"; elif [ -d "/$d" ]; then mkdir "$d"; mount --rbind "/$d" "$d"; fi
done
mount --rbind /usr usr
touch init; mount --bind "$1" init; shift
mount -o remount,bind,ro . || mount -o remount,ro .
exec chroot . /init "$@" 7</`

func TestInitOnABareReadOnlyRoot(t *testing.T) {
	init, err := lean()
	if err != nil {
		t.Fatal(err)
	}
	command := func(t *testing.T, args []string) []string {
		return append([]string{"sh", "-c", bareRoot, "sh", t.TempDir(), init}, args...)
	}
	bare := func(t *testing.T, args ...string) *process {
		t.Helper()
		leaktest.Check(t)
		line := slices.Concat(namespace(t), command(t, args))
		return begin(t, line[0], line[1:]...)
	}
	run := func(t *testing.T, first string, args ...string) *initialized {
		t.Helper()
		leaktest.Check(t)
		return asPID1(t, first, command(t, args)...)
	}
	t.Run("what is there", func(t *testing.T) {
		p := bare(t, "--", "bash", "-c", `
echo parent $PPID
: <&7 && echo 7 is open
for d in /proc/self /sys/kernel /dev/null; do [ ! -e $d ] || echo there is $d; done
for d in / /tmp; do (: >$d/file) 2>&- && echo $d can be written; done
kill -KILL $$`)
		p.ends(128 + 9)
		if said := p.out.rest(); !slices.Equal(said, []string{"parent 1", "7 is open"}) {
			t.Errorf("it says %q", said)
		}
	})
	t.Run("stops in order", func(t *testing.T) {
		p := run(t, `^daemon runs$`, append([]string{"--stop-timeout", "1h", "--"}, "bash", "-c", family)...)
		p.gets(syscall.SIGTERM)
		p.out.next(`^told$`)
		p.out.next(`^daemon told$`)
		p.ends(4)
	})
	t.Run("ends who ignores it", func(t *testing.T) {
		p := run(t, `^daemon$`, append([]string{"--stop-timeout", "100ms", "--"}, "bash", "-c", trapping)...)
		p.gets(syscall.SIGTERM)
		p.ends(128 + 9)
	})
	t.Run("waits for all", func(t *testing.T) {
		p := run(t, `^daemon runs$`, "--until", "tree", "--", "bash", "-c", `
setsid bash -c 'trap "echo bye; exit" USR1; echo daemon runs; while :; do sleep 0.01; done' &
exit 5`)
		p.gets(syscall.SIGUSR1)
		p.out.next(`^bye$`)
		p.ends(5)
	})
	t.Run("not found", func(t *testing.T) {
		p := bare(t, "nosuch")
		p.err.next(`^foster: exec nosuch: no such file or directory$`)
		p.ends(exitNotFound)
	})
	t.Run("not as PID 1", func(t *testing.T) {
		p := bare(t, "--", "bash", "-c", "exec /init -- bash -c 'echo started'")
		p.err.next(`^foster: start .*: containment: /proc isn't mounted`)
		p.ends(exitFoster)
		if rest := p.out.rest(); len(rest) > 0 {
			t.Error(rest)
		}
	})
}
