package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
)

// The tests of the commands about a host have one of their own: a PID namespace, with
// its own journal. Nothing of the machine's can be reached from there, and orphans
// are adopted by its first process, not by the test.

// forever is for a role that is ended by a signal.
func forever() { time.Sleep(time.Hour) }

// neglectRole is "neglect COMMAND…" or "neglect N": it starts a command, or N that end
// at once, and never waits. "neglect ignore" has a zombie, and then ignores SIGCHLD.
func neglectRole() {
	if os.Args[1] == "ignore" {
		makeZombie()
		signal.Ignore(syscall.SIGCHLD)
		writePID("neglect.pid")
		forever()
	}
	n, err := strconv.Atoi(os.Args[1])
	args := []string{"true"}
	if err != nil {
		n, args = 1, os.Args[1:]
	}
	for range n {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	writePID("neglect.pid")
	forever()
}

// writePID tells the script that the role is ready.
func writePID(file string) {
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		os.Exit(1)
	}
}

// makeZombie starts a child, and waits until it has ended and its signal has come: that
// is sent a moment after the child is seen as a zombie.
func makeZombie() chan os.Signal {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGCHLD)
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		os.Exit(1)
	}
	<-told
	return told
}

// heedRole has a zombie, and reaps when it is told once more.
func heedRole() {
	told := makeZombie()
	writePID("heed.pid")
	for range told {
		_, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	}
}

// listenRole listens at a port.
func listenRole() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := os.WriteFile("port", []byte(port), 0o644); err != nil {
		os.Exit(1)
	}
	forever()
}

// firstRole is a first process that runs a script, and reaps nobody else.
func firstRole() {
	cmd := exec.Command("sh", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// prelude is what the scripts begin with: until_ waits for a condition, status runs a
// command and prints how it ended, and alive says whether a process is there and no zombie:
// which state a living process is in is chance, but where nothing can wake it.
const prelude = `
until_() { n=0; until eval "$1" 2>/dev/null; do n=$((n+1)); [ $n -lt 2000 ] || { echo "never: $1"; exit 99; }; sleep 0.01; done; }
runs() { [ "$(cat /proc/$1/comm)" = "$2" ]; }
status() { "$@" 2>&1 </dev/null; echo "status $?"; }
alive() { case "$(state $1)" in ''|Z|X) return 1; esac; }
state() { sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null; }
orphaned() { for d in /proc/[0-9]*; do
	[ "$(sed 's/.*) . //; s/ .*//' $d/stat 2>/dev/null)" = 1 ] && tr '\0' ' ' <$d/cmdline 2>/dev/null | grep -q -- "$1" && echo ${d#/proc/} && return
done; return 1; }
`

// ownHost runs a script as it would run on a host of its own, and gives what it wrote.
// first is what the first process is: a shell, which reaps, or another.
func ownHost(t *testing.T, script string, first ...string) string {
	t.Helper()
	leaktest.Check(t)
	dir := t.TempDir()
	for _, folder := range []string{"state", "run"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(prelude+script+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 {
		// A shell that is not replaced by its last command, and in a session as seen
		// from within.
		first = []string{"setsid", "sh", "-c", "sh ./script; exit $?"}
	}
	line := slices.Concat([]string{"60"}, namespace(t), first)
	cmd := exec.Command("timeout", line...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "EXAMPLES="+examples, "PWD="+dir,
		"XDG_STATE_HOME="+filepath.Join(dir, "state"), "XDG_RUNTIME_DIR="+filepath.Join(dir, "run"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); !ok {
			t.Fatal(err)
		}
		t.Errorf("%v", err)
	}
	t.Log(out.String())
	return strings.ReplaceAll(out.String(), dir, "DIR")
}

// startAndKill is the mission's scene: the script is started from a shell's session,
// and killed. Once sub.sh has started sleep, which runs that program by now, it waits for
// it, and nothing changes any more.
const startAndKill = `
mkdir scene
printf '#!/bin/sh\necho "start.sh: pid $$"\n./sub.sh\n:\n' >scene/start.sh
printf '#!/bin/sh\necho "sub.sh: pid $$"\nsleep 1000\n:\n' >scene/sub.sh
chmod +x scene/*.sh
setsid sh -c 'cd scene; exec ./start.sh' >log 2>&1 &
until_ 'grep -q "^sub.sh: pid" log'
start=$(sed -n 's/start.sh: pid \([0-9]*\).*/\1/p' log)
sub=$(sed -n 's/sub.sh: pid \([0-9]*\).*/\1/p' log)
until_ 'ps -o args= --ppid $sub | grep -q "^sleep 1000"'
until_ '[ "$(state $sub)" = S ]'
kill -9 $start
until_ 'orphaned sub.sh >/dev/null'
`

var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:]+(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ms|s)\b`), "AGE"},
	{regexp.MustCompile(`\b\d+(\.\d+)? [KMG]iB`), "SIZE"},
	{regexp.MustCompile(`(user: +)\S+`), "${1}USER"},
	{regexp.MustCompile(`(directory: +)\S+`), "${1}FOLDER"},
	{regexp.MustCompile(`\b\d+\b`), "N"},
}

// masked takes out what differs from run to run.
func masked(s string) string {
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return s
}

// wants wants each of the patterns in the output, in turn.
func wants(t *testing.T, out string, patterns ...string) {
	t.Helper()
	rest := out
	for _, p := range patterns {
		at := regexp.MustCompile(`(?m)` + p).FindStringIndex(rest)
		if at == nil {
			t.Errorf("there is no %q, or not in this order, in\n%s", p, out)
			return
		}
		rest = rest[at[1]:]
	}
}

// jsonOf reads the JSON that stands between two lines.
func jsonOf(t *testing.T, out string, v any) {
	t.Helper()
	_, after, ok1 := strings.Cut(out, "BEGIN\n")
	text, _, ok2 := strings.Cut(after, "END\n")
	if !ok1 || !ok2 {
		t.Fatalf("no JSON in %s", out)
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
