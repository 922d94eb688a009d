//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	roles["case"] = runCase
	roles["owner"] = becomeOwner
}

// world is a case as process 1 of its namespace sees it.
//
// Who belongs to the tree is known without foster: a process can't leave its PID namespace, and
// in this one there are process 1, strangers that it has made itself, and what foster was
// asked to start. Of foster's own processes, /proc/PID/exe tells them: each of the programs is
// a file of its own.
type world struct {
	setting
	c         testCase
	deadline  time.Time
	children  *children
	owner     int
	ready     time.Time         // when the owner's program was executed
	helper    map[identity]bool // foster's own, once seen
	numbers   map[int]time.Time // of members, and when each was first seen
	strangers map[identity]bool // whom nobody may signal
	paused    map[identity]bool // of foster's own, by SIGSTOP
	facts     facts             // what was done to whom
	verdict   verdict
}

// setting is what a case needs to know of the campaign.
type setting struct {
	Dir    string // with the programs; its folder "case" is the case's own file system
	Cgroup string // in which the case runs; "": none
	UID    int    // of the owner, if the case has an ordinary user
	Text   string
	Limit  time.Duration // for the end of all after the last harm
}

// facts are what decides which promise a case is held to.
type facts struct {
	ownerKilled, shimKilled, leaderKilled, memberHarmed, stopped bool
}

// A stranger's programs: it blocks all signals, so those that it was sent are pending, and
// holds no file.
const (
	strangerPlain    = iota // in the session and group of process 1
	strangerSession         // leads a session, with the name of foster's shim
	strangerPrograms        // how many there are
)

var strangerCode [strangerPrograms]int

func compileStrangers() {
	for i, text := range []string{"b q h", "b q s n1 h"} {
		p, err := parseProgram(text)
		if err != nil {
			panic(err)
		}
		strangerCode[i] = compile(p, "")
	}
}

// runCase is the role of process 1: "SETTING", as JSON. It writes the verdict, as JSON.
func runCase(args []string) int {
	w := &world{helper: map[identity]bool{}, numbers: map[int]time.Time{}, strangers: map[identity]bool{}, paused: map[identity]bool{}}
	err := json.Unmarshal([]byte(args[0]), &w.setting)
	if err == nil {
		w.c, err = parseCase(w.Text)
	}
	if err == nil {
		err = w.run()
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(w.verdict)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (w *world) path(name string) string { return filepath.Join(w.Dir, "case", name) }

func (w *world) run() error {
	compileStrangers()
	if w.Cgroup != "" {
		if err := os.WriteFile(filepath.Join(w.Cgroup, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	if err := enterSandbox(w.path("")); err != nil {
		return err
	}
	w.children = newChildren()
	if err := w.furnish(); err != nil {
		return err
	}
	for i := range strangerPrograms {
		if err := w.addStranger(i); err != nil {
			return err
		}
	}
	if err := w.startOwner(); err != nil {
		return err
	}
	at := w.ready
	for _, h := range w.c.harms {
		at = at.Add(h.after)
		time.Sleep(time.Until(at))
		w.do(h)
	}
	w.deadline = time.Now().Add(w.Limit)
	w.settle()
	w.judge()
	return nil
}

// furnish makes the folders of the owner.
func (w *world) furnish() error {
	uid := os.Geteuid()
	if w.c.option("user") != "" {
		uid = w.UID
	}
	for _, name := range []string{"state", "run"} {
		if err := os.Mkdir(w.path(name), 0o700); err != nil {
			return err
		}
		var err error
		if room := map[string]string{"full": "size=8k", "tiny": "size=100k", "ro": "size=1m"}[w.c.option("state")]; name == "state" && room != "" {
			err = unix.Mount("tmpfs", w.path(name), "tmpfs", 0, room+",mode=700")
		}
		if err == nil && uid != os.Geteuid() {
			err = os.Chown(w.path(name), uid, uid)
		}
		if err != nil {
			return err
		}
	}
	switch w.c.option("state") {
	case "full":
		_ = os.WriteFile(w.path("state/ballast"), make([]byte, 64<<10), 0o600) // until there is no room
	case "ro":
		if err := unix.Mount("", w.path("state"), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return err
		}
	}
	if err := os.WriteFile(w.path("leaders"), nil, 0o644); err != nil {
		return err
	}
	return os.Chmod(w.path("leaders"), 0o666)
}

// addStranger forks one that nobody may signal.
func (w *world) addStranger(kind int) error {
	pid, err := w.children.fork(func() (int, error) { return forkRaw(strangerCode[kind]) })
	if err != nil {
		return err
	}
	w.isStranger(pid)
	return nil
}

func (w *world) isStranger(pid int) {
	p, _ := readProcess(pid) // the judge finds out if it is gone
	w.strangers[identity{pid, p.start}] = true
}

// preparation is what the owner's process does before it executes the owner's program.
type preparation struct {
	Argv         []string
	UID          int // 0: stays
	Files, Procs int
	Out          string
	Clock        int
	First        bool // it is process 1 of a PID namespace
	Alone        bool // it has no child: foster init takes all children for its own
}

func (w *world) startOwner() error {
	prep := preparation{Argv: w.ownerCommand(), Files: w.c.number("files"), Procs: w.c.number("procs"), Out: w.c.option("out"), Clock: w.c.number("clock"), Alone: w.c.owner == "init"}
	prep.First = prep.Alone && w.c.containment == "pidns"
	attr := &syscall.SysProcAttr{Setpgid: true}
	if prep.First {
		attr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
		if os.Geteuid() != 0 {
			attr.Cloneflags |= syscall.CLONE_NEWUSER
			attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
		}
	}
	if w.c.option("user") != "" {
		prep.UID = w.UID
	}
	text, err := json.Marshal(prep)
	if err != nil {
		return err
	}
	var told [2]int
	if err := unix.Pipe2(told[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		return err
	}
	stderr, err := os.OpenFile(w.path("stderr"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	w.owner, err = w.children.start("/proc/self/exe", []string{"campaign", "owner", string(text)}, &syscall.ProcAttr{
		Env:   w.environment(),
		Files: []uintptr{null.Fd(), stderr.Fd(), stderr.Fd(), uintptr(told[1])},
		Sys:   attr,
	})
	unix.Close(told[1])
	if err != nil {
		return err
	}
	// It tells the number of the stranger that it has forked, and closes the pipe by its exec.
	pipe := os.NewFile(uintptr(told[0]), "pipe")
	defer pipe.Close()
	said := make([]byte, 0, 64)
	for {
		n, err := pipe.Read(said[len(said):cap(said)])
		if n == 0 || err != nil {
			break
		}
		said = said[:len(said)+n]
	}
	w.ready = time.Now()
	pid, err := strconv.Atoi(strings.TrimSpace(string(said)))
	if err != nil {
		return fmt.Errorf("the owner wasn't executed: %s", w.said())
	}
	if pid != 0 {
		w.isStranger(pid)
	}
	return nil
}

func (w *world) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.path(""), "XDG_STATE_HOME=" + w.path("state"), "XDG_RUNTIME_DIR=" + w.path("run"), "FILLER=" + strings.Repeat("x", 100)}
}

func (w *world) said() string {
	text, _ := os.ReadFile(w.path("stderr")) // it is shown to people only
	return strings.TrimSpace(string(text[:min(len(text), 2000)]))
}

func (w *world) ownerCommand() []string {
	command := []string{filepath.Join(w.Dir, "member"), "member", "-leader", w.path("leaders"), w.c.program.String()}
	if w.c.owner == "lib" || w.c.owner == "share" {
		duration := func(key string) time.Duration {
			d, _ := time.ParseDuration(w.c.option(key)) // "" is 0
			return d
		}
		text, _ := json.Marshal(order{ // it can't fail
			Share: w.c.owner == "share", Trees: w.c.number("trees"), Command: command, Contain: w.c.containment, Stop: duration("stop"),
			Lease: duration("lease"), Grace: duration("grace"), Scope: w.c.option("scope"), Until: w.c.option("until"), Loss: w.c.option("loss"),
		})
		return []string{filepath.Join(w.Dir, "library"), "library", string(text)}
	}
	argv := []string{filepath.Join(w.Dir, "foster"), "init"}
	if w.c.owner == "run" {
		argv = []string{argv[0], "run", "--contain", w.c.containment}
	}
	for key, flag := range map[string]string{"stop": "--stop-timeout", "scope": "--stop-scope", "until": "--until", "loss": "--on-leader-loss", "lease": "--lease", "grace": "--grace"} {
		if value := w.c.option(key); value != "" {
			argv = append(argv, flag, value)
		}
	}
	return append(append(argv, "--"), command...)
}

// becomeOwner is the role of the process that becomes the owner: "PREPARATION", as JSON. It
// has a child already, as a shell script has that ends by exec: a stranger in its group.
func becomeOwner(args []string) int {
	fail := func(what string, err error) int {
		fmt.Fprintln(os.Stderr, "owner:", what, err)
		return 1
	}
	var p preparation
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
		return fail("arguments:", err)
	}
	compileStrangers()
	pid, err := 0, error(nil)
	if p.First {
		err = unix.Mount("proc", "/proc", "proc", 0, "")
	}
	if !p.Alone {
		pid, err = forkRaw(strangerCode[strangerPlain])
	}
	if err != nil {
		return fail("before exec:", err)
	}
	if _, err := unix.Write(3, []byte(strconv.Itoa(pid))); err != nil {
		return fail("tell:", err)
	}
	unix.CloseOnExec(3)
	var fd int
	switch p.Out {
	case "": // nobody reads it, and it is never full
		fd, err = unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	case "full":
		fd, err = unix.Open("/dev/full", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	case "unread", "closed":
		var pipe [2]int
		err = unix.Pipe2(pipe[:], unix.O_CLOEXEC)
		fd = pipe[1]
		if p.Out == "unread" && err == nil { // the stranger holds no end, so this process has to
			_, err = unix.FcntlInt(uintptr(pipe[0]), unix.F_SETFD, 0)
		}
	}
	if err == nil {
		err = unix.Dup3(fd, 1, 0)
	}
	if err != nil {
		return fail("standard output:", err)
	}
	if p.Out == "closed" {
		unix.Close(1)
	}
	if p.Clock > 0 {
		if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
			return fail("time namespace:", err)
		}
		if err := os.WriteFile("/proc/self/timens_offsets", fmt.Appendf(nil, "boottime %d 0\nmonotonic %d 0\n", p.Clock, p.Clock), 0); err != nil {
			return fail("time namespace:", err)
		}
	}
	for resource, n := range map[int]int{unix.RLIMIT_NPROC: p.Procs, unix.RLIMIT_NOFILE: p.Files} {
		if n > 0 {
			if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}); err != nil {
				return fail("limit:", err)
			}
		}
	}
	if p.UID > 0 {
		if err := syscall.Setgroups(nil); err != nil {
			return fail("groups:", err)
		}
		if err := syscall.Setresgid(p.UID, p.UID, p.UID); err != nil {
			return fail("group:", err)
		}
		if err := syscall.Setresuid(p.UID, p.UID, p.UID); err != nil {
			return fail("user:", err)
		}
	}
	return fail("exec:", syscall.Exec(p.Argv[0], p.Argv, os.Environ()))
}

// crowd is who is in the namespace at a moment.
type crowd struct {
	all, helpers, members []process
	owner                 *process // nil: it has ended
}

func (w *world) look() (c crowd) {
	c.all = snapshot()
	for i, p := range c.all {
		switch {
		case p.pid == 1 || w.strangers[p.id()]:
		case p.pid == w.owner:
			if _, ended := w.children.status(p.pid); !ended && p.alive() {
				c.owner = &c.all[i]
			}
		case p.exe == "foster" || p.exe == "library" || w.helper[p.id()]:
			w.helper[p.id()] = true
			// Between fork and exec, a member is a copy of a helper.
			if p.exe == "member" {
				delete(w.helper, p.id())
				c.members = append(c.members, p)
			} else if p.alive() {
				c.helpers = append(c.helpers, p)
			}
		default:
			if _, known := w.numbers[p.pid]; !known {
				w.numbers[p.pid] = time.Now()
			}
			if p.alive() {
				c.members = append(c.members, p)
			}
		}
	}
	return c
}

// leaders are the numbers that leaders have told; in a PID namespace of their own these are
// those within.
func (w *world) leaders() (pids []int) {
	text, _ := os.ReadFile(w.path("leaders")) // as empty
	for line := range strings.Lines(string(text)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// leader finds the process of a leader.
func (w *world) leader(c crowd) []process {
	for _, pid := range w.leaders() {
		for _, p := range c.members {
			if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid)); !strings.Contains(string(line), "-leader") {
				continue
			}
			if numbers := strings.Fields(statusField(p.pid, "NSpid")); len(numbers) > 0 && numbers[len(numbers)-1] == strconv.Itoa(pid) {
				return []process{p}
			}
		}
	}
	return nil
}

// victims are those that harm is done to.
func (w *world) victims(name string, c crowd) (list []process) {
	switch name {
	case "owner":
		if c.owner != nil {
			list = append(list, *c.owner)
		}
	case "shim":
		for _, p := range c.helpers {
			below := slices.ContainsFunc(c.helpers, func(q process) bool { return q.pid == p.ppid })
			if !below {
				return []process{p}
			}
		}
	case "helpers":
		return c.helpers
	case "leader":
		return w.leader(c)
	default:
		n, err := strconv.Atoi(strings.TrimPrefix(name, "member"))
		if err == nil && len(c.members) > 0 {
			list = append(list, c.members[n%len(c.members)])
		}
	}
	return list
}

// do does harm. All of it is within this namespace: /proc shows nobody else.
func (w *world) do(h harm) {
	if h.action == "reuse" {
		w.reuse()
		return
	}
	c := w.look()
	signal := map[string]syscall.Signal{"kill": syscall.SIGKILL, "pause": syscall.SIGSTOP, "resume": syscall.SIGCONT, "term": syscall.SIGTERM, "int": syscall.SIGINT}[h.action]
	for _, p := range w.victims(h.victim, c) {
		if p.pid == 1 || w.strangers[p.id()] || syscall.Kill(p.pid, signal) != nil {
			continue
		}
		killed := signal == syscall.SIGKILL
		if signal == syscall.SIGSTOP && !slices.ContainsFunc(c.members, func(m process) bool { return m.pid == p.pid }) {
			w.paused[p.id()] = true
		}
		switch {
		case h.victim == "owner":
			w.facts.ownerKilled = w.facts.ownerKilled || killed
			w.facts.stopped = w.facts.stopped || signal == syscall.SIGTERM || signal == syscall.SIGINT
		case h.victim == "shim" || h.victim == "helpers":
			w.facts.shimKilled = w.facts.shimKilled || killed
		case h.victim == "leader":
			w.facts.leaderKilled = w.facts.leaderKilled || killed
			w.facts.memberHarmed = true
		default:
			w.facts.memberHarmed = true
		}
	}
}

// reuse gives the numbers of members that have ended to strangers. /proc counts start times in
// hundredths of a second; within one of them, nothing tells a stranger from the member before.
func (w *world) reuse() {
	const last = "/proc/sys/kernel/ns_last_pid"
	before, err := os.ReadFile(last)
	if err != nil {
		return
	}
	defer func() { _ = os.WriteFile(last, before, 0) }() // what is forked next gets a number of its own
	living := map[int]bool{}
	for _, p := range snapshot() {
		living[p.pid], living[p.pgid], living[p.sid] = true, true, true
	}
	kind := strangerPlain
	for pid, seen := range w.numbers {
		if living[pid] || len(w.strangers) > 8 || time.Since(seen) < 20*time.Millisecond {
			continue
		}
		if os.WriteFile(last, strconv.AppendInt(nil, int64(pid-1), 10), 0) != nil {
			return
		}
		if w.addStranger(kind) != nil {
			return
		}
		kind = (kind + 1) % strangerPrograms
	}
}

// settle lets the case come to its end: whoever was stopped goes on, and the owner stops the
// tree unless it ends by itself.
func (w *world) settle() {
	c := w.look()
	for _, p := range c.all {
		if w.paused[p.id()] {
			_ = syscall.Kill(p.pid, syscall.SIGCONT) // it has ended: as well
		}
	}
	for w.c.owner == "init" && c.owner != nil && len(w.leaders()) == 0 && time.Now().Before(w.deadline.Add(-w.Limit/2)) {
		time.Sleep(time.Millisecond) // before it has a handler, the kernel keeps SIGTERM from a process 1
		c = w.look()
	}
	w.checkZombies()
	if c.owner != nil && (w.c.option("natural") == "" || w.facts.memberHarmed || w.facts.stopped) {
		_ = syscall.Kill(c.owner.pid, syscall.SIGTERM)
		w.facts.stopped = true
	}
	for c = w.look(); c.owner != nil || len(c.helpers) > 0; c = w.look() {
		if time.Now().After(w.deadline) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	if status, ended := w.children.wait(w.owner, w.deadline); ended && status.Signaled() {
		w.facts.ownerKilled = true // SIGTERM may have come before foster has a handler
	}
}
