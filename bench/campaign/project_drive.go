//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/proc"
)

// answerTime is how long anything that is asked of foster may take.
const answerTime = time.Minute

// drive kills the supervisor of the project again and again, and has all judged in the end.
type drive struct {
	projectCase
	folder string
	random *rand.Rand
	began  time.Time

	supervisor  *supervisor  // the last; nil: there was none
	supervisors map[int]bool // all, by their PIDs
	generation  int
	workers     int // to which worker was scaled last
	kills       int

	pending sync.WaitGroup // commands under way
	mu      sync.Mutex
	deeds   []deed
	faults  []string
}

// supervisor is one foster up.
type supervisor struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
	said  string // the file of its standard error, which has that of the applications, too
}

// deed is what the campaign has done that may end runs, or begin them.
type deed struct {
	what    string
	app     string // "": all
	least   int    // replicas from this number on; 0: all
	pid     int    // of a process that was killed; 0: it was a command
	from    time.Duration
	to      time.Duration // when it had come to its end; 0: not yet
	settled time.Duration // when nothing of it was under way any more; 0: not yet
	failed  bool          // of a command
}

// fault notes what isn't as promised.
func (d *drive) fault(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

// note notes a deed, and gives its number.
func (d *drive) note(e deed) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.from = sys.Now(false)
	d.deeds = append(d.deeds, e)
	d.say("%s %s %d", e.what, e.app, e.pid)
	return len(d.deeds) - 1
}

// done notes that a deed has come to its end.
func (d *drive) done(n int, failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deeds[n].to, d.deeds[n].failed = sys.Now(false), failed
}

// say adds a line to the story of the campaign.
func (d *drive) say(format string, args ...any) {
	f, err := os.OpenFile(filepath.Join(d.folder, "story"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		fmt.Fprintf(f, "%12.6f %s\n", sys.Now(false).Seconds(), fmt.Sprintf(format, args...))
		f.Close()
	}
}

// runDrive is all of a case, in its namespace.
func runDrive(c projectCase) (*tally, error) {
	d := &drive{
		projectCase: c, folder: c.Folder, random: rand.New(rand.NewPCG(c.Seed, 1)), began: time.Now(),
		supervisors: map[int]bool{}, workers: 3,
	}
	for _, sub := range []string{"records", "locks", "counts", "project", "state", "run"} {
		if err := os.Mkdir(filepath.Join(d.folder, sub), 0o700); err != nil {
			return nil, err
		}
	}
	os.Setenv("XDG_STATE_HOME", filepath.Join(d.folder, "state"))
	os.Setenv("XDG_RUNTIME_DIR", filepath.Join(d.folder, "run"))
	if err := d.writeProject(); err != nil {
		return nil, err
	}
	for d.kills < d.Kills && time.Since(d.began) < d.Limit {
		if err := d.round(); err != nil {
			return nil, err
		}
	}
	return d.end()
}

func (d *drive) writeProject() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	path := filepath.Join(d.folder, "project", "foster.yaml")
	text := projectFile(exe, d.folder, d.Seed, d.Containment, d.generation)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// command is a command of foster about the project.
func (d *drive) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.Foster, args...)
	cmd.Dir = filepath.Join(d.folder, "project")
	return cmd
}

// up starts a supervisor.
func (d *drive) up() error {
	s := &supervisor{
		cmd: d.command(context.Background(), "up", "--quiet"), ended: make(chan struct{}), said: filepath.Join(d.folder, fmt.Sprintf("said.%d", len(d.supervisors)%4)),
	}
	said, err := os.Create(s.said)
	if err != nil {
		return err
	}
	defer said.Close()
	s.cmd.Stderr = said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	d.say("up: pid %d", s.cmd.Process.Pid)
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	d.supervisor, d.supervisors[s.cmd.Process.Pid] = s, true
	return nil
}

func (s *supervisor) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// ensureUp has a supervisor run.
func (d *drive) ensureUp() error {
	if d.supervisor != nil && !d.supervisor.hasEnded() {
		return nil
	}
	return d.up()
}

// round runs a supervisor for a while, has something else happen or not, and kills it.
func (d *drive) round() error {
	if err := d.ensureUp(); err != nil {
		return err
	}
	switch d.random.IntN(4) {
	case 0: // while it still begins
		d.sleep(0, 60)
	case 1:
		d.sleep(0, 500)
	case 2:
		d.sleep(200, 2500)
	case 3:
		d.settle()
	}
	if d.random.IntN(3) > 0 {
		d.ask()
		switch d.random.IntN(4) {
		case 0:
			d.pending.Wait()
		default:
			d.sleep(0, []int{10, 100, 1000}[d.random.IntN(3)])
		}
	}
	d.strike()
	return nil
}

// sleep waits for some time of these milliseconds: it is the moment that matters.
func (d *drive) sleep(least, most int) {
	time.Sleep(time.Duration(least*1000+d.random.IntN((most-least)*1000+1)) * time.Microsecond)
}

// status asks the supervisor.
func (d *drive) status() (client.Status, error) {
	c, err := client.Dial(projectName)
	if err != nil {
		return client.Status{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.Status(ctx)
}

// settle waits until nothing is under way. What was done before then can't end a run that
// begins after.
func (d *drive) settle() (client.Status, bool) {
	d.pending.Wait()
	before := sys.Now(false)
	for end := time.Now().Add(answerTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if d.supervisor.hasEnded() {
			return client.Status{}, false
		}
		status, err := d.status()
		if err == nil && status.PID == d.supervisor.cmd.Process.Pid && settled(status) {
			d.mu.Lock()
			defer d.mu.Unlock()
			for i := range d.deeds {
				if e := &d.deeds[i]; e.to != 0 && e.to <= before && e.settled == 0 {
					e.settled = sys.Now(false)
				}
			}
			d.say("settled")
			return status, true
		}
	}
	status, err := d.status()
	d.fault("a supervisor hasn't settled within %s: %v, %s", answerTime, err, statesOf(status))
	return client.Status{}, false
}

func settled(status client.Status) bool {
	for _, a := range status.Apps {
		for _, i := range a.Instances {
			switch i.State {
			case client.Starting, client.Stopping, client.Stuck:
				return false
			case client.Running:
				if !i.Ready && (a.Name == "db" || a.Name == "web" || a.Name == "mail") {
					return false
				}
			}
		}
	}
	return len(status.Apps) > 0
}

func statesOf(status client.Status) string {
	var list []string
	for _, a := range status.Apps {
		for _, i := range a.Instances {
			list = append(list, fmt.Sprintf("%s.%d %s (%s)", i.App, i.Replica, i.State, i.Cause))
		}
	}
	return strings.Join(list, ", ")
}

// ask has a command of foster run beside what follows.
func (d *drive) ask() {
	app := applications[d.random.IntN(len(applications))].name
	if d.random.IntN(3) == 0 {
		app = []string{"slow", "stubborn", "web", "chatty"}[d.random.IntN(4)]
	}
	switch d.random.IntN(10) {
	case 0:
		d.run(deed{what: "stop", app: app}, "stop", app)
	case 1, 2:
		d.run(deed{what: "start", app: app}, "start", app)
	case 3, 4:
		d.run(deed{what: "restart", app: app}, "restart", app)
	case 5, 6:
		n := 1 + d.random.IntN(mostWorkers)
		d.run(deed{what: "scale", app: "worker", least: min(n, d.workers) + 1}, "scale", fmt.Sprintf("worker=%d", n))
		d.workers = n
	case 7:
		d.update()
	case 8:
		d.run(deed{what: "reload", app: "parent", least: 1000}, "reload", "parent")
	case 9:
		d.run(deed{what: "down"}, "down")
	}
}

// update has the supervisor follow another generation of the file.
func (d *drive) update() {
	d.generation++
	if err := d.writeProject(); err != nil {
		d.fault("%v", err)
	}
	if leavesOut(d.generation) || leavesOut(d.generation-1) {
		for _, name := range leftOut {
			d.done(d.note(deed{what: "update", app: name}), false)
		}
	}
	d.run(deed{what: "update", app: "web"}, "update")
}

// run runs a command of foster, and goes on.
func (d *drive) run(e deed, args ...string) {
	n := d.note(e)
	short := answerTime // after which it is killed itself
	if d.random.IntN(5) == 0 {
		short = time.Duration(1+d.random.IntN(200)) * time.Millisecond
	}
	d.pending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		alive, kill := context.WithTimeout(ctx, short)
		defer kill()
		out, err := d.command(alive, args...).CombinedOutput()
		d.done(n, err != nil)
		d.say("%s: %v %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
		if ctx.Err() != nil {
			d.fault("foster %s took longer than %s: %s", strings.Join(args, " "), answerTime, out)
		}
	})
}

// strike kills the supervisor in one way or another.
func (d *drive) strike() {
	switch d.random.IntN(17) {
	case 0: // stopped, and continued
		d.signal(syscall.SIGSTOP)
		d.sleep(0, 1500)
		d.signal(syscall.SIGCONT)
		d.sleep(0, 100)
		d.kill()
	case 1: // killed while it is stopped
		d.signal(syscall.SIGSTOP)
		d.sleep(0, 500)
		d.kill()
	case 2: // together with a shim
		d.killShim()
		d.kill()
	case 3: // together with the leader of an application
		d.killLeader()
		d.kill()
	case 4: // a leader ends while there is no supervisor
		d.kill()
		d.killLeader()
		d.sleep(0, 1000)
	case 5: // several, one after the other
		for range 1 + d.random.IntN(4) {
			d.kill()
			if err := d.ensureUp(); err != nil {
				d.fault("%v", err)
			}
			d.sleep(0, 100)
		}
		d.kill()
	case 6: // in the middle of a rotation, when much is written
		d.awaitRotation()
		d.sleep(0, 4)
		d.kill()
	case 7, 8: // in the middle of a rotation, again and again
		for range 3 {
			d.awaitRotation()
			d.sleep(0, 2)
			d.kill()
			if err := d.ensureUp(); err != nil {
				d.fault("%v", err)
			}
		}
		d.kill()
	case 9: // a shim alone
		d.killShim()
		d.sleep(0, 4000)
		d.kill()
	case 10: // with all that holds the trees
		d.killShim()
		d.killShim()
		d.kill()
		d.killLeader()
	case 11: // while it stops all
		n := d.note(deed{what: "down"})
		d.signal(syscall.SIGTERM)
		d.sleep(0, []int{50, 1000}[d.random.IntN(2)])
		d.kill()
		d.done(n, false)
	case 12: // while a shim doesn't answer
		d.suspendShim()
	case 13: // and two want to be the next
		d.kill()
		d.race()
		d.sleep(0, 500)
		d.kill()
	default:
		d.kill()
		d.sleep(0, 300)
	}
}

// suspendShim stops a shim for a while, in which the supervisor is killed and the next begins.
func (d *drive) suspendShim() {
	p := d.someShim()
	if p == nil {
		d.kill()
		return
	}
	d.say("suspend shim %d", p.PID)
	_ = p.ID().Signal(syscall.SIGSTOP) // it may have ended
	d.sleep(0, 100)
	d.kill()
	if err := d.ensureUp(); err != nil {
		d.fault("%v", err)
	}
	d.sleep(0, 2000)
	_ = p.ID().Signal(syscall.SIGCONT)
	d.say("continue shim %d", p.PID)
	d.sleep(0, 500)
	d.kill()
}

// race starts two supervisors at the same time: one becomes the supervisor, and the other asks
// it for what is to be done, and ends.
func (d *drive) race() {
	d.note(deed{what: "start"}) // of what has failed: the second does so
	var both [2]*supervisor
	for i := range both {
		if err := d.up(); err != nil {
			d.fault("%v", err)
			return
		}
		both[i] = d.supervisor
	}
	select {
	case <-both[0].ended:
	case <-both[1].ended:
		d.supervisor = both[0]
	case <-time.After(answerTime):
		d.fault("two run foster up: pid %d and pid %d", both[0].cmd.Process.Pid, both[1].cmd.Process.Pid)
		_ = both[0].cmd.Process.Kill()
	}
	for _, s := range both {
		var exit *exec.ExitError // 1: something pauses after its end, which the other tells
		if s.hasEnded() && s.err != nil && !(errors.As(s.err, &exit) && exit.ExitCode() == 1) {
			d.checkEnd(s)
		}
	}
}

func (d *drive) signal(sig syscall.Signal) {
	if !d.supervisor.hasEnded() {
		_ = sys.Kill(d.supervisor.cmd.Process.Pid, sig) // not reaped by cmd.Wait: see kill
	}
}

// kill ends the supervisor by SIGKILL, and waits for that.
func (d *drive) kill() {
	s := d.supervisor
	if s.hasEnded() {
		d.checkEnd(s)
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGKILL) // it may just have ended
	<-s.ended
	d.kills++
	d.say("killed: pid %d", s.cmd.Process.Pid)
	d.checkEnd(s)
}

// checkEnd says whether a supervisor has ended by SIGKILL, or since foster down has asked it to.
func (d *drive) checkEnd(s *supervisor) {
	var exit *exec.ExitError
	switch {
	case s.err == nil:
	case errors.As(s.err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
	case d.downUnderWay(): // what it couldn't stop, it may say
	default:
		d.fault("foster up has ended by itself: %v: %s", s.err, s.words())
	}
}

// words are what a supervisor has said of itself.
func (s *supervisor) words() string {
	text, err := os.ReadFile(s.said)
	if err != nil {
		return err.Error()
	}
	var words []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "foster: ") || strings.HasPrefix(line, "hint: ") || strings.Contains(line, "panic") {
			words = append(words, line)
		}
	}
	return strings.Join(words[max(0, len(words)-10):], "")
}

func (d *drive) downUnderWay() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.deeds, func(e deed) bool { return e.what == "down" && e.settled == 0 })
}

// someShim is one of the shims; nil: there is none.
func (d *drive) someShim() *proc.Process {
	shims := d.processes(func(p *proc.Process) bool { return p.Name == "foster-shim" })
	if len(shims) == 0 {
		return nil
	}
	return shims[d.random.IntN(len(shims))]
}

// killShim kills one of the shims.
func (d *drive) killShim() {
	p := d.someShim()
	if p == nil {
		return
	}
	n := d.note(deed{what: "shim", pid: p.PID})
	_ = p.ID().Signal(syscall.SIGKILL)
	d.done(n, false)
}

// killLeader kills the leader of a run.
func (d *drive) killLeader() {
	leaders := map[int]bool{}
	for _, name := range instanceNames() {
		list, err := readRecords(d.folder, name)
		if err != nil {
			d.fault("%v", err)
		}
		for _, n := range list {
			if n.Kind == runBegins {
				leaders[n.PID] = true
			}
		}
	}
	found := d.processes(func(p *proc.Process) bool {
		parent := p.PPID
		return leaders[p.PID] && parent > 1 && parent != os.Getpid() && p.Name != "foster-shim" && !p.Zombie()
	})
	if len(found) == 0 {
		return
	}
	p := found[d.random.IntN(len(found))]
	n := d.note(deed{what: "leader", pid: p.PID})
	_ = p.ID().Signal(syscall.SIGKILL)
	d.done(n, false)
}

// processes are those of the namespace, but its first and this one.
func (d *drive) processes(wanted func(*proc.Process) bool) (list []*proc.Process) {
	table, err := proc.Take(0)
	if err != nil {
		d.fault("%v", err)
		return nil
	}
	for i := range table.Processes {
		p := &table.Processes[i]
		if p.PID != 1 && p.PID != os.Getpid() && wanted(p) {
			list = append(list, p)
		}
	}
	return list
}

// awaitRotation waits until a log that grows fast has another file.
func (d *drive) awaitRotation() {
	newest := func() string {
		files, _ := filepath.Glob(filepath.Join(d.folder, "state/foster/projects", projectName, "logs/chatty-json.1/*.log*")) // the pattern is valid
		slices.Sort(files)
		if len(files) == 0 {
			return ""
		}
		return files[len(files)-1]
	}
	was := newest()
	for end := time.Now().Add(3 * time.Second); newest() == was && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

func instanceNames() (list []string) {
	for _, a := range applications {
		for n := range max(a.replicas, 1) {
			list = append(list, fmt.Sprintf("%s.%d", a.name, n+1))
		}
		if a.name == "worker" {
			for n := a.replicas + 1; n <= mostWorkers; n++ {
				list = append(list, fmt.Sprintf("%s.%d", a.name, n))
			}
		}
	}
	return list
}

// end lets the project come to rest, ends it in order, and judges.
func (d *drive) end() (*tally, error) {
	d.pending.Wait()
	if err := d.ensureUp(); err != nil {
		return nil, err
	}
	if leavesOut(d.generation) { // foster logs and history are asked about all
		d.update()
	}
	status, ok := d.settle()
	if ok {
		d.checkStatus(status)
	}
	n := d.note(deed{what: "down"})
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	out, err := d.command(ctx, "down").CombinedOutput()
	d.done(n, err != nil)
	if err != nil {
		d.fault("foster down: %v: %s", err, out)
	}
	select {
	case <-d.supervisor.ended:
		if d.supervisor.err != nil {
			d.fault("foster up after foster down: %v: %s", d.supervisor.err, d.supervisor.words())
		}
	case <-time.After(answerTime):
		d.fault("foster up hasn't ended after foster down")
	}
	d.checkNobodyIsLeft()
	return d.judge()
}

// checkNobodyIsLeft says whether the namespace has but this process and the first.
func (d *drive) checkNobodyIsLeft() {
	var left []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		left = nil
		for _, p := range d.processes(func(*proc.Process) bool { return true }) {
			left = append(left, fmt.Sprintf("%s (pid %d, parent %d, state %c)", p.Name, p.PID, p.PPID, p.State))
		}
		if len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		d.fault("left after foster down: %s", strings.Join(left, ", "))
	}
	err := filepath.WalkDir(d.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".tree"), entry.Type() == fs.ModeSocket:
			d.fault("left after foster down: %s", path)
		case strings.Contains(path, ".spool."):
			if rest := spoolRest(path, info.Size()); rest > 0 {
				d.fault("left after foster down: %s has %d bytes that aren't in the log", path, rest)
			}
		}
		return nil
	})
	if err != nil {
		d.fault("%v", err)
	}
}

// spoolRest is how many bytes of a spool aren't in the log. The spool's name has what its
// stream had before it, and the state of the log how much of that stream was used.
func spoolRest(path string, size int64) int64 {
	state, err := os.ReadFile(filepath.Join(filepath.Dir(path), "state"))
	stream, number, _ := strings.Cut(filepath.Base(path), ".spool.")
	base, nerr := strconv.ParseInt(number, 16, 64)
	if err != nil || nerr != nil || len(state) < 40 {
		return size
	}
	used := state[24:]
	if stream == "stderr" {
		used = state[32:]
	}
	return base + size - int64(binary.LittleEndian.Uint64(used))
}
