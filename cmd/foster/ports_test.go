package main

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/proc"
)

// socketRole is "socket USE PORT FILE": it has a port (0: a free one), by a socket that
// listens, with others or passed on to a program in another network namespace, that is only
// bound, or by a connection, and writes its number to a file.
func socketRole() {
	use, file := os.Args[1], os.Args[3]
	port, err := strconv.Atoi(os.Args[2])
	fd, err2 := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	const reusePort = 15 // SO_REUSEPORT
	err = errors.Join(err, err2, syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, reusePort, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Port: port}))
	switch use {
	case "listen", "pass":
		err = errors.Join(err, syscall.Listen(fd, 1))
	case "connect":
		other, err2 := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		err = errors.Join(err, err2, syscall.Listen(other, 1))
		name, err2 := syscall.Getsockname(other)
		err = errors.Join(err, err2, syscall.Connect(fd, name))
	}
	name, err2 := syscall.Getsockname(fd)
	if errors.Join(err, err2) != nil {
		os.Exit(1)
	}
	if use == "pass" {
		cmd := exec.Command("unshare", "--net", "sleep", "1000")
		cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "socket")}
		if cmd.Start() != nil {
			os.Exit(1)
		}
	}
	number := strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
	if os.WriteFile(file+".new", []byte(number), 0o644) != nil || os.Rename(file+".new", file) != nil {
		os.Exit(1)
	}
	if use == "pass" {
		os.Exit(0)
	}
	forever()
}

// headlessRole listens, and goes on without its first thread.
func headlessRole() {
	go listenRole()
	for {
		if _, err := os.Stat("port"); err == nil {
			break
		}
		runtime.Gosched()
	}
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

func init() {
	if filepath.Base(os.Args[0]) == "headless" {
		runtime.LockOSThread() // the role begins on the first thread
	}
}

func TestAPortBelongsToANetworkNamespace(t *testing.T) {
	out := ownHost(t, `
setsid socket listen 0 here & here=$!
until_ '[ -e here ]'; port=$(cat here)
unshare --net setsid socket listen $port there & there=$!
until_ '[ -e there ]'
echo here $here there $there
status foster explain :$port
echo BEGIN; foster explain -o json :$port; echo END
status foster explain $there
foster ps --tree $there -o ports,pid
foster ps --tree $here -o ports,pid
kill $here; wait $here
status foster explain :$port
status foster explain $port
kill $there; wait $there
status foster explain :$port
`)
	m := regexp.MustCompile(`(?m)^here (\d+) there (\d+)$`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal(out)
	}
	here, there := m[1], m[2]
	wants(t, out, `^socket \(pid `+here+`\) .* It listens at tcp \*:\d+\.$`, `^Who has port \d+:$`,
		`^  - socket \(pid `+here+`\) listens at tcp \*:\d+$`,
		`^  - socket \(pid `+there+`\) listens at tcp \*:\d+ in another network namespace \(netns \d+\)$`, `^status 0$`,
		`^socket \(pid `+there+`\) .* In another network namespace, it listens at tcp \*:\d+ \(netns \d+\)\.$`,
		`^listens at:  tcp \*:\d+ \(netns \d+\)$`, `^network:     another network namespace`, `^status 0$`,
		`^tcp:0.0.0.0:\d+@\d+ +`+there+`$`, `^tcp:0.0.0.0:\d+ +`+here+`$`,
		`^foster: nothing listens on port \d+ in this network namespace$`,
		`^hint: socket \(pid `+there+`\) listens at .* in another network namespace .*: foster explain `+there+`$`, `^status 1$`,
		`^foster: there is no process \d+$`, `^status 1$`, `^foster: nothing listens on port \d+$`, `^status 1$`)
	if strings.Contains(out, "did you mean the port") {
		t.Errorf("a port of another namespace is meant:\n%s", out)
	}
	var e explanation
	jsonOf(t, out, &e)
	if strconv.Itoa(e.PID) != here || len(e.Ports) != 1 || len(e.OtherPorts) > 0 || len(e.Holders) != 2 ||
		e.Holders[0].PID != e.PID || e.Holders[0].Sockets[0].Namespace != 0 ||
		strconv.Itoa(e.Holders[1].PID) != there || e.Holders[1].Sockets[0].Namespace == 0 {
		t.Errorf("%+v", e)
	}
}

func TestAPortMayBeHeldFromAnotherNamespace(t *testing.T) {
	out := ownHost(t, `
setsid socket pass 0 port; until_ '[ -s port ]'
until_ 'pgrep -x sleep'
status foster explain :$(cat port)
foster orphans | sed 's/^/orphans: /'
kill $(pgrep -x sleep)
`)
	wants(t, out, `^sleep \(pid \d+\) .* It listens at tcp \*:\d+\.$`, `^network:     another network namespace`, `^status 0$`,
		`^orphans: .* tcp \*:\d+ +`)
}

func TestAllWhoShareAPortAreNamed(t *testing.T) {
	out := ownHost(t, `
setsid socket listen 0 one & until_ '[ -e one ]'
setsid socket listen $(cat one) two & until_ '[ -e two ]'
status foster explain :$(cat one)
echo BEGIN; foster explain -o json :$(cat one); echo END
kill $(pgrep -x socket)
`)
	wants(t, out, `^socket \(pid \d+\) .* Port \d+ is also held by socket \(pid \d+\)\.$`, `^Who has port`, `listens at`, `listens at`,
		`^  foster explain \d+$`, `port \d+ is free when all who hold it have ended`, `^status 0$`)
	var e explanation
	jsonOf(t, out, &e)
	if len(e.Holders) != 2 || e.Holders[0].PID != e.PID || e.Holders[1].PID == e.PID {
		t.Errorf("%+v", e.Holders)
	}
}

func TestWhoKeepsAPortWithoutListeningIsTold(t *testing.T) {
	table, err := proc.Take(0)
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := table.Sockets(1)
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Unless(t, hosttest.BoundShown, sockets.BoundHidden)
	out := ownHost(t, `
setsid socket bind 0 one & until_ '[ -e one ]'
setsid socket connect 0 two & until_ '[ -e two ]'
for f in one two; do
	status foster explain :$(cat $f)
	echo "$f: $(foster explain -o json :$(cat $f) | tr -d ' \n')"
done
kill $(pgrep -x socket)
`)
	wants(t, out, `^socket .* It holds port \d+: it is bound to tcp \*:\d+ and doesn't listen\.$`, `^listens at:  no port$`, `^status 0$`,
		`^one: .*"use":"bound"`,
		`^socket .* It holds port \d+: it has a connection from tcp \S+:\d+ and doesn't listen\.$`, `^status 0$`, `^two: .*"use":"connected"`)
}

func TestWhyNobodyHasAPort(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:80")
	held := func(use proc.Use, inode uint64) proc.Held {
		return proc.Held{Port: proc.Port{Network: "tcp", Address: at, UID: 1<<32 - 2, Inode: inode, Use: use}}
	}
	for _, tt := range []struct {
		host host
		want string
	}{
		{host{}, "nothing listens on port 80"},
		{host{noPorts: map[int]bool{5: true}}, "nothing visible listens on port 80 (1 process could not be inspected)"},
		{host{noPorts: map[int]bool{5: true, 6: true}}, "nothing visible listens on port 80 (2 processes could not be inspected)"},
		{host{held: []proc.Held{held(proc.Listening, 0)}}, "port 80 is in use: the kernel itself listens at tcp 127.0.0.1:80"},
		{host{held: []proc.Held{held(proc.Listening, 7), held(proc.Connected, 8)}},
			"port 80 is in use: a socket of user 4294967294 (tcp 127.0.0.1:80, listening), whose process can't be seen from here"},
		{host{held: []proc.Held{held(proc.Closed, 0)}}, "nothing listens on port 80; 1 closed connection keeps it for a minute at most (TIME_WAIT)"},
	} {
		if got := tt.host.noHolder(80, nil).Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestAllCommandsAgreeOnAProcessWithoutItsFirstThread(t *testing.T) {
	out := ownHost(t, `
setsid headless & pid=$!
until_ '[ "$(state $pid)" = Z ] && [ -s port ]'
status foster explain $pid
foster tree $pid
foster ps --state zombie -o pid,args | sed 's/^/zombie: /'
foster ps --tree $pid -o stat,words,ports,args | sed 's/^/ps: /'
status foster zombies
status foster explain :$(cat port)
echo BEGIN; foster explain -o json $pid; echo END
kill -9 $pid; wait $pid; rm port
foster run -d --id web -- headless
until_ '[ -s port ]'; pid=$(pgrep -x headless)
until_ '[ "$(state $pid)" = Z ] && [ -s port ]'
foster inspect web | sed 's/^/inspect: /'
foster stop web
`)
	wants(t, out, `^headless \(pid \d+\) is neither orphan nor zombie`, `^directory: `, `^state: +[RSD]: .*the first thread exited, and others go on$`,
		`^listens at:  tcp 127.0.0.1:\d+$`, `^status 0$`, `^\d+ headless$`,
		`^ps: [RSD]s?l +(running or able to run|sleeping until an event|waiting, and can't be interrupted) +tcp:127.0.0.1:\d+ +headless$`,
		`^no zombies$`, `^status 0$`, `^headless \(pid`, `^status 0$`,
		`^inspect: \d+ +\d+ +\d+ +\d+ +[RSD] .* headless$`)
	if regexp.MustCompile(`(?m)^zombie: .*headless`).MatchString(out) {
		t.Errorf("it is told to be a zombie:\n%s", out)
	}
	if strings.Contains(out, "has ended") {
		t.Errorf("it is told to have ended:\n%s", out)
	}
	var e explanation
	jsonOf(t, out, &e)
	if e.Zombie || e.State == "Z" || len(e.Ports) != 1 || len(e.Args) != 1 || e.Memory == 0 {
		t.Errorf("%+v", e)
	}
}

func TestNobodyIsToldToBeAnInnocentZombiesChild(t *testing.T) {
	out := ownHost(t, `
cat >session <<'END'
sh -c 'sleep 1001 & echo $! >old'
exec neglect setsid sh -c 'kill -9 $$'
END
setsid sh ./session &
until_ '[ -s neglect.pid ]'
zombie=$(ps -o pid= --ppid $(cat neglect.pid) | tr -d ' ')
until_ '[ "$(state $zombie)" = Z ] && runs $(cat old) sleep'
status foster explain $zombie
kill $(cat old) $(cat neglect.pid)
`)
	wants(t, out, `is a zombie: it has ended, and its parent, neglect \(pid \d+\), hasn't asked how\.$`, `^status 0$`)
	if strings.Contains(out, "sleep") || strings.Contains(out, "lives on") {
		t.Errorf("an orphan that is older is named:\n%s", out)
	}
}

// traceRole traces the process that it is told, and never asks for its end.
func traceRole() {
	runtime.LockOSThread()
	pid, err := strconv.Atoi(os.Args[1])
	const ptraceSeize = 0x4206 // PTRACE_SEIZE
	if err != nil {
		os.Exit(1)
	}
	if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, ptraceSeize, uintptr(pid), 0, 0, 0, 0); errno != 0 {
		os.Exit(1)
	}
	writePID("trace.pid")
	forever()
}

func TestAParentIsNotBlamedForATracedZombie(t *testing.T) {
	out := ownHost(t, `
setsid sleep 1000 & pid=$!
until_ 'runs $pid sleep'
setsid trace $pid & until_ '[ -s trace.pid ]'
kill -9 $pid; until_ '[ "$(state $pid)" = Z ]'
status foster explain $pid
status foster zombies
kill $(cat trace.pid); wait
`)
	wants(t, out, `^sleep \(pid \d+\) is a zombie: it has ended, and trace \(pid \d+\), which traces it, hasn't asked how. Its parent, sh \(pid 2\), can't before that\.$`,
		`^  foster explain \d+$`, `^status 0$`, `sh \(pid 2\), can't reap: process \d+ traces its zombie`, `^hint: foster explain \d+ tells more$`, `^status 0$`)
	if strings.Contains(out, "--nudge") || strings.Contains(out, "--reap-by-ending-parent") {
		t.Errorf("what can't help is advised:\n%s", out)
	}
}

func TestFosterItselfIsNoOrphan(t *testing.T) {
	out := ownHost(t, `
cat >foster.yaml <<'END'
apps:
  web:
    command: sleep 1001
END
setsid sh -c 'foster up -d; foster run -d --id one -- sleep 1002; sleep 1003 & :' >/dev/null 2>&1
until_ 'pgrep -fx "sleep 1003"'
up=$(foster status -o json | sed -n 's/^  "pid": \([0-9]*\).*/\1/p')
[ "$(ps -o ppid= -p $up | tr -d ' ')" = 1 ] && echo adopted
foster orphans | sed 's/^/orphans: /'
foster orphans --all | sed 's/^/all: /'
foster ps -o args,mark,orphan | grep '^foster' | sed 's/^/ps: /'
foster tree | sed 's/^/tree: /'
status foster explain $up
status foster orphans --stop $up --yes
status foster orphans --stop --all --yes
foster stop one; foster down
`)
	wants(t, out, `^adopted$`, `^orphans: .*sleep 1003$`, `^all: .*sleep 1003$`, `^foster \(pid \d+\) is foster itself: `,
		`^Is it an orphan\? no:$`, `^  - it is foster itself`, `^status 0$`, `which belongs to foster \(pid \d+\), is in the custody of tree`, `^status 1$`,
		`nothing is left: ended sleep \(pid \d+\)$`, `^status 0$`)
	if m := regexp.MustCompile(`(?m)^(orphans|all): .* foster(-shim)? (up|run|many|tree)\b.*|^tree: .*\(orphan\??\) foster.*|^ps: .* (orphan|possible|likely|certain).*`).FindString(out); m != "" {
		t.Errorf("foster is told to be an orphan: %s", m)
	}
}
