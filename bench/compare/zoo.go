package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Fate is what became of the processes of a scene below a peer.
type Fate struct {
	Scene string `json:"scene"`
	Peer  string `json:"peer"`
	Fate  string `json:"fate"` // kept, or what was lost
}

// A scene is a start script, and what happens to it. Each ends by a file that says that
// all are there.
type scene struct {
	name, title string
	script      string
	harm        string // before the stop: the leader, the parent or the command is killed
	count       string // what must be none: "" for living processes; zombies before or after the stop; copies
}

const ready = "\n: > ready\n"

var scenes = []scene{
	{"stop", "a start script and its application are stopped", "sh sub-31337.sh &" + ready + "wait", "", ""},
	{"script", "the start script is killed, then comes the stop", "sh sub-31337.sh &" + ready + "wait", "leader", ""},
	{"ends", "the start script ends, and leaves a daemon", "setsid sleep 31337 &" + ready + "sleep 0.5", "", ""},
	{"setsid", "a member has a session of its own", "setsid sleep 31337 &" + ready + "wait", "", ""},
	{"daemon", "a member forks twice, and has a session of its own", "setsid sh -c 'sleep 31337 & exit 0'" + ready + "exec sleep 31337", "", ""},
	{"scrubbed", "a daemon that has cleared its environment and changed its name",
		`env -i /usr/bin/setsid /usr/bin/perl -e '$0 = "postgres: writer"; exit 0 if fork; sleep 31337'` + ready + "exec sleep 31337", "", ""},
	{"ignores", "three members ignore TERM, INT and HUP", "trap '' TERM INT HUP\nsleep 31337 & sleep 31337 &" + ready + "sleep 31337; sleep 31337", "", ""},
	{"suspended", "a member in a session of its own was suspended", "setsid sh -c 'kill -STOP $$; sleep 31337' &" + ready + "wait", "", ""},
	{"namespace", "a member has a PID namespace of its own", "setsid unshare --pid --fork sleep 31337 &" + ready + "exec sleep 31337", "", ""},
	{"storm", "six lines of processes fork without end, in sessions of their own",
		`perl -MPOSIX -e 'my $end = time + 60; for (1 .. 6) { last if !fork } while (time < $end) { POSIX::_exit(0) if fork; POSIX::setsid(); select undef, undef, undef, 0.01 }'` + ready + "exec sleep 31337", "", ""},
	{"parent", "the parent of the start script is killed, then comes the stop", "sh sub-31337.sh &" + ready + "wait", "parent", ""},
	{"command", "the command that was started is killed", "setsid sleep 31337 &" + ready + "wait", "command", ""},
	{"copies", "the start script is killed, and is to be restarted: copies of the application", "sh sub-31337.sh &" + ready + "wait", "leader", "copies"},
	{"orphans", "a hundred orphans end, and their zombies stay",
		`perl -MPOSIX -e 'for (1 .. 100) { if (!fork) { POSIX::_exit(0) if !fork; POSIX::_exit(0) } wait }'` + ready + "exec sleep 31337", "", "zombies"},
	{"neglect", "ten zombies of a daemon that never waits, after the stop",
		`setsid perl -e 'for (1 .. 10) { exit 0 if !fork } sleep 31337' &` + ready + "exec sleep 31337", "", "zombies after"},
}

// zooWrappers are the flags with which a peer has its best chance here.
var zooWrappers = map[string][]string{
	"foster run":      {"foster", "run", "--stop-timeout", "1s", "--"},
	"foster init":     {"foster", "init", "--stop-timeout", "1s", "--"},
	"foster, library": {"host", "library"},
	"os/exec, group":  {"host", "exec"},
	"tini -s -g":      {"tini", "-s", "-g", "--"},
}

// members are the living processes of a scene: what it is made of no peer is made of.
func members() (list []process) {
	for _, p := range processes() {
		if p.state != 'Z' && slices.Contains([]string{"dash", "sh", "bash", "sleep", "perl", "setsid", "unshare"}, p.exe) {
			list = append(list, p)
		}
	}
	return list
}

// custodians are the other ones: the processes of the peer.
func custodians() int {
	n := 0
	for _, p := range processes() {
		if p.state != 'Z' {
			n++
		}
	}
	return n - len(members())
}

// visit has a peer go through a scene.
func visit(t task) (string, error) {
	peer := t.Peers[0]
	s := scenes[slices.IndexFunc(scenes, func(s scene) bool { return s.name == t.Scene })]
	for name, text := range map[string]string{"start-31337.sh": s.script + "\n", "sub-31337.sh": "sleep 31337\n: the end\n"} {
		if err := write(t.Dir, name, "cd "+t.Dir+"\n"+text); err != nil {
			return "", err
		}
	}
	script := filepath.Join(t.Dir, "start-31337.sh")
	argv, stop := zooWrappers[peer], "kill -TERM $PID"
	if argv == nil {
		argv = wrappers[peer]
	}
	if supervisor, ok := supervisorsByName[peer]; ok {
		var err error
		if argv, err = supervisor.lay(t.Dir, []app{{"web", "/bin/sh " + script}}); err != nil {
			return "", err
		}
		stop = supervisor.stop
	} else {
		argv = append(argv[:len(argv):len(argv)], "/bin/sh", script)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = t.Dir
	if err := cmd.Start(); err != nil {
		return "", err
	}
	go cmd.Wait() // so that it is no zombie itself
	if !until(40*time.Second, func() bool { _, err := os.Stat(filepath.Join(t.Dir, "ready")); return err == nil }) {
		return "", fmt.Errorf("%s: %s: the scene doesn't begin", peer, s.name)
	}
	time.Sleep(700 * time.Millisecond) // the scene takes its course
	if err := harm(s, script, cmd.Process.Pid); err != nil {
		return "", err
	}
	switch {
	case s.count == "copies":
		time.Sleep(3 * time.Second)
		copies := 0
		for _, p := range members() {
			if strings.HasPrefix(p.args, "sh sub-31337.sh") {
				copies++
			}
		}
		if copies > 1 {
			return fmt.Sprintf("%d copies", copies), nil
		}
		return "kept", nil
	case s.count == "zombies":
		return verdict(time.Second, "zombies", zombiesLeft), nil
	case s.harm == "command":
		return verdict(4*time.Second, "left", func() int { return len(members()) }), nil
	}
	c := exec.Command("/bin/sh", "-c", stop)
	c.Dir, c.Env = t.Dir, append(os.Environ(), fmt.Sprint("PID=", cmd.Process.Pid))
	_ = c.Run() // where it has ended already, that is part of the scene
	if !until(15*time.Second, func() bool { return custodians() == 0 }) {
		return fmt.Sprintf("never ends, %d left", len(members())), nil
	}
	if s.count == "zombies after" {
		return verdict(time.Second, "zombies", zombiesLeft), nil
	}
	return verdict(time.Second, "left", func() int { return len(members()) }), nil
}

func zombiesLeft() (n int) {
	for _, p := range processes() {
		if p.state == 'Z' && p.comm == "perl" {
			n++
		}
	}
	return n
}

// verdict gives what is left some time to go. One look isn't enough: of processes that
// fork without end, it may see none.
func verdict(limit time.Duration, what string, count func() int) string {
	most := 0
	if until(limit, func() bool {
		most = 0
		for range 10 {
			if most = max(most, count()); most > 0 {
				return false
			}
			time.Sleep(10 * time.Millisecond)
		}
		return true
	}) {
		return "kept"
	}
	return fmt.Sprintf("%d %s", most, what)
}

// harm does to a scene what happens in it.
func harm(s scene, script string, command int) error {
	leader := 0
	for _, p := range members() {
		if strings.HasPrefix(p.args, "/bin/sh "+script) && (leader == 0 || p.pid < leader) {
			leader = p.pid
		}
	}
	if leader == 0 && (s.harm == "leader" || s.harm == "parent") {
		return fmt.Errorf("%s: the start script isn't there", s.name)
	}
	switch s.harm {
	case "leader":
		if err := syscall.Kill(leader, syscall.SIGKILL); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond) // the peer takes its course, too
	case "parent":
		parent, err := parentOf(leader)
		if err != nil {
			return err
		}
		if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
			return err
		}
		time.Sleep(2 * time.Second)
	case "command":
		return syscall.Kill(command, syscall.SIGKILL)
	}
	return nil
}

func parentOf(pid int) (parent int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(string(b[strings.LastIndexByte(string(b), ')')+4:]), "%d", &parent)
	if err == nil && parent <= 1 {
		err = fmt.Errorf("the start script has lost its parent before")
	}
	return parent, err
}
