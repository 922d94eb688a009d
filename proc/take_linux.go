package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// reader reads lines of one /proc.
type reader struct {
	dir   *procfs.Dir
	want  Fields
	at    *moment
	line  procfs.Line
	sched int64 // what the scheduler's clock is now; 0: not asked yet, -1: unknown
	page  uint64
	names []byte // of all that were read
}

func newReader(root string, want Fields) (*reader, error) {
	boot, err := bootID()
	if err != nil {
		return nil, fmt.Errorf("the boot's name: %w", err)
	}
	if root == "/proc" && !procfs.Available() {
		return nil, errOtherProc
	}
	dir, err := procfs.OpenDir(root)
	if err != nil {
		return nil, fmt.Errorf("the process table: %w", err)
	}
	at := &moment{boot: boot, now: time.Now(), up: time.Duration(sys.BootTime())}
	return &reader{dir: dir, want: want, at: at, page: uint64(os.Getpagesize())}, nil
}

// errOtherProc keeps a caller from taking another PID namespace's numbers for its
// own.
var errOtherProc = errors.New("the process table: /proc isn't mounted, or shows another PID namespace than this process's own")

// bootID is the same for as long as this process runs.
var bootID = sync.OnceValues(sys.BootID)

const expected = 8 // bytes of a name, on the average

func take(root string, want Fields) (*Table, error) {
	r, err := newReader(root, want)
	if err != nil {
		return nil, err
	}
	defer r.dir.Close()
	pids, err := r.dir.Pids()
	if err != nil {
		return nil, fmt.Errorf("the process table: %w", err)
	}
	list := make([]Process, 0, len(pids))
	r.names = make([]byte, 0, len(pids)*expected)
	ends := make([]int32, 0, len(pids))
	hidden := root == "/proc" && !shown(pids)
	for _, pid := range pids {
		list = append(list, Process{})
		p := &list[len(list)-1]
		err := r.read(int(pid), p)
		if errors.Is(err, procfs.ErrMalformed) {
			return nil, fmt.Errorf("process %d: %w", pid, err) // what else is read may be wrong too
		}
		if err != nil && !visible(err) {
			list = list[:len(list)-1]
			continue
		}
		hidden = hidden || err != nil
		ends = append(ends, int32(len(r.names)))
	}
	// One string for all names: a string for each would be most of the allocations.
	all, from := string(r.names), int32(0)
	for i, end := range ends {
		list[i].Name = all[from:end]
		from = end
	}
	t := newTable(list, r.at, Always|want, sys.Exists)
	t.Hidden = hidden
	return t, nil
}

// shown says whether /proc shows process 1, which is always there: it is hidden
// where others' processes are, or one's own where it is one's own namespace's.
func shown(pids []int32) bool {
	for _, pid := range pids {
		if pid == 1 {
			return true
		}
	}
	return false
}

// visible says that an error is of a process that is there and may not be looked
// into (hidepid=1).
func visible(err error) bool { return errors.Is(err, fs.ErrPermission) }

func readOne(root string, pid int, want Fields) (*Process, error) {
	r, err := newReader(root, want)
	if err != nil {
		return nil, err
	}
	defer r.dir.Close()
	p := new(Process)
	if pid <= 0 {
		return nil, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	if err := r.read(pid, p); err != nil {
		if errors.Is(err, fs.ErrNotExist) || err == syscall.ESRCH {
			err = ErrGone
		}
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	p.Name = string(r.names)
	return p, nil
}

// read reads one process, but for its name, which it appends to r.names.
func (r *reader) read(pid int, p *Process) error {
	err := r.dir.ReadLine(pid, &r.line)
	if err != nil && !visible(err) {
		return err
	}
	p.PID, p.Thread, p.at, p.Foreground = pid, pid, r.at, -1
	p.UID, p.GID, p.RealUID = -1, -1, -1
	if err != nil {
		r.line = procfs.Line{}
		r.more(p)
		return err
	}
	r.fill(p)
	r.names = append(r.names, r.line.Comm...) // which the next read overwrites
	if p.Zombie() && p.Threads > 1 {
		r.findThread(p)
	}
	if r.want != 0 {
		r.more(p)
	}
	return nil
}

func (r *reader) fill(p *Process) {
	const pfKthread = 0x200000 // PF_KTHREAD of the kernel's sched.h
	l := &r.line
	p.PPID, p.PGID, p.Session = l.PPID, l.PGID, l.Session
	p.TTY, p.Foreground = l.TTY, l.Foreground
	p.State, p.Flags, p.Kernel = State(l.State), l.Flags, l.Flags&pfKthread != 0
	p.Threads, p.Priority, p.Nice = l.Threads, l.Priority, l.Nice
	p.User, p.System = fromTicks(l.User), fromTicks(l.System)
	p.ChildUser, p.ChildSystem = fromTicks(l.ChildUser), fromTicks(l.ChildSystem)
	p.VirtualSize, p.Resident = l.VSize, l.RSS*r.page
	p.start = l.Start
	p.known = Always
}

// findThread finds a thread that runs where the first has ended. Where there is none,
// all are about to be gone, or a debugger holds what is left of them: it is a zombie.
func (r *reader) findThread(p *Process) {
	threads, err := r.dir.Threads(p.PID)
	if err != nil {
		return
	}
	var line procfs.Line
	for _, thread := range threads {
		// By the number of a thread, /proc shows the process as that thread sees it.
		if r.dir.ReadLine(int(thread), &line) != nil || line.State == byte(Defunct) || line.State == byte(Dead) {
			continue
		}
		p.Thread, p.State, p.Flags = int(thread), State(line.State), line.Flags
		p.Priority, p.Nice = line.Priority, line.Nice
		p.VirtualSize, p.Resident = line.VSize, line.RSS*r.page
		return
	}
}

// more reads the columns that were asked for.
func (r *reader) more(p *Process) {
	if r.want&Owner != 0 {
		if uid, gid, err := r.dir.Owner(p.PID); err == nil {
			p.UID, p.GID = uid, gid
			p.known |= Owner
		}
	}
	if r.want&Args != 0 {
		if b, err := r.dir.Read(p.Thread, "cmdline"); err == nil {
			p.Args = procfs.SplitArgs(b)
			p.known |= Args
		}
	}
	if r.want&Exe != 0 {
		b, err := r.dir.Link(p.Thread, "exe")
		if err == nil || errors.Is(err, fs.ErrNotExist) && (p.Kernel || p.Zombie()) {
			p.Exe = string(b)
			p.known |= Exe
		}
	}
	if r.want&Cgroup != 0 {
		if b, err := r.dir.Read(p.Thread, "cgroup"); err == nil {
			if path, ok := procfs.ParseCgroup(b); ok {
				p.Cgroup = path
				p.known |= Cgroup
			}
		}
	}
	if r.want&(Signals|Namespaces) != 0 {
		r.status(p)
	}
	if r.want&End != 0 && p.Zombie() {
		r.end(p)
	}
	if r.want&(Wait|Locked) != 0 {
		r.detail(p)
	}
}

func (r *reader) status(p *Process) {
	b, err := r.dir.Read(p.PID, "status")
	if err != nil {
		return
	}
	s, err := procfs.ParseStatus(b)
	if err != nil {
		return
	}
	if p.FirstThreadEnded() {
		// It blocks nothing any more, and nobody gives it a signal.
		if b, err := r.dir.Read(p.Thread, "status"); err == nil {
			if t, err := procfs.ParseStatus(b); err == nil {
				s.Pending, s.Blocked = t.Pending, t.Blocked
			}
		}
	}
	if r.want&Signals != 0 {
		p.Signals = SignalState{Pending: s.Pending | s.SharedPending, Blocked: s.Blocked, Ignored: s.Ignored, Caught: s.Caught}
		p.RealUID, p.Tracer = s.RealUID, s.Tracer
		p.known |= Signals
	}
	if r.want&Namespaces == 0 || len(s.NSPids) == 0 {
		return
	}
	var ok1, ok2 bool
	p.InnerPID = s.NSPids[len(s.NSPids)-1]
	p.PIDNamespace, ok1 = r.namespace(p.Thread, "ns/pid")
	p.NetNamespace, ok2 = r.namespace(p.Thread, "ns/net")
	if ok1 && ok2 {
		p.known |= Namespaces
	}
}

func (r *reader) namespace(pid int, file string) (uint64, bool) {
	b, err := r.dir.Link(pid, file)
	if err != nil {
		return 0, false
	}
	return numberIn(b)
}

// numberIn finds the number in what a link of /proc says, as pid:[4026531836].
func numberIn(link []byte) (uint64, bool) {
	_, b, _ := bytes.Cut(link, []byte(":["))
	n, err := strconv.ParseUint(string(bytes.TrimSuffix(b, []byte("]"))), 10, 64)
	return n, err == nil
}

// end reads how a zombie ended, and when. The kernel keeps no time of an end; but
// the scheduler knows when the process last had a processor, which was then, by a
// clock of its own that is compared with what it says of this process, which runs.
func (r *reader) end(p *Process) {
	if r.line.Permitted && r.line.HasExitCode {
		p.Exit = exitStatus(r.line.ExitCode)
		p.known |= End
	}
	b, err := r.dir.Read(p.PID, "sched")
	if err != nil {
		return
	}
	last, ok := procfs.ParseExecStart(b)
	if !ok {
		return
	}
	if r.sched == 0 {
		r.sched = -1
		if b, err := r.dir.Read(os.Getpid(), "sched"); err == nil {
			if now, ok := procfs.ParseExecStart(b); ok {
				r.sched = int64(now)
			}
		}
	}
	if r.sched > 0 {
		ago := max(0, time.Duration(r.sched)-time.Duration(last))
		p.Ended = r.at.now.Add(-ago)
		if started := p.Started(); p.Ended.Before(started) { // it's known to a second only
			p.Ended = started
		}
	}
}

// started is when a process was started, by the clock as it is set now.
func started(start uint64, at *moment) time.Time {
	if at.up == 0 {
		return time.Time{}
	}
	return at.now.Add(fromTicks(start) - at.up).Round(tick)
}
