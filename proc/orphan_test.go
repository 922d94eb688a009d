package proc

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// made makes a table of processes that are all that exists.
func made(at time.Time, list ...Process) *Table {
	m := &moment{boot: "boot", now: at, up: time.Hour}
	for i := range list {
		p := &list[i]
		p.at, p.known = m, p.known|Always
		if p.start == 0 {
			p.start = uint64(p.PID)
		}
		if p.Threads == 0 {
			p.Threads = 1
		}
		if p.State == 0 {
			p.State = Sleeping
		}
	}
	return newTable(list, m, Always, nil)
}

// at makes a process of the numbers that matter here.
func at(pid, ppid, pgid, session int, name string) Process {
	return Process{PID: pid, PPID: ppid, PGID: pgid, Session: session, Name: name, Foreground: -1}
}

func in(p Process, cgroup string) Process {
	p.Cgroup, p.known = cgroup, p.known|Cgroup
	return p
}

func onTTY(p Process) Process {
	p.TTY = 34816
	return p
}

var pid1 = in(at(1, 0, 1, 1, "systemd"), "/init.scope")

func TestOrphanVerdicts(t *testing.T) {
	const asked = 50
	kthread := at(asked, 2, 0, 0, "kworker/0:1")
	kthread.Kernel = true
	for _, tt := range []struct {
		name    string
		others  []Process
		p       Process
		want    Verdict
		adopted int
		reason  string
	}{
		{"a shell's child", []Process{at(40, 1, 40, 40, "bash")}, at(asked, 40, asked, 40, "vi"), No, 0, "is there"},
		{"the last of a pipeline, whose first has ended", []Process{at(40, 1, 40, 40, "bash")},
			at(asked, 40, 49, 40, "less"), No, 0, "is there"},
		{"sub.sh, whose start.sh was killed under a shell's job control", []Process{at(40, 30, 40, 40, "bash")},
			onTTY(at(asked, 1, 49, 40, "sub.sh")), Certain, 1, "session 40"},
		{"the same when the shell has gone too", nil, at(asked, 1, 49, 40, "sub.sh"), Certain, 1, "session 40"},
		{"adopted by a subreaper that leads no session", []Process{at(40, 1, 40, 39, "x")},
			at(asked, 40, 49, 45, "sub.sh"), Certain, 40, "session 45"},
		{"the child of one that may have left their session", []Process{at(40, 1, 40, 40, "x")},
			at(asked, 40, 49, 45, "sub.sh"), Likely, 40, "session 45"},
		{"one that calls itself a subreaper is not proof", []Process{at(40, 1, 40, 40, "tini")},
			at(asked, 40, 49, 45, "sub.sh"), Likely, 40, "session 45"},
		{"in its adopter's session, its group's leader gone", []Process{at(40, 30, 40, 39, "foster-shim")},
			at(asked, 40, 49, 39, "sub.sh"), Likely, 40, "process group, 49"},
		{"a shim's own child", []Process{at(40, 30, 40, 39, "foster-shim")}, at(asked, 40, asked, 39, "start.sh"), Possible, 40, "may have started"},
		{"a container's", []Process{at(40, 1, 1, 1, "sh")}, at(asked, 1, 1, 1, "app"), Possible, 1, "may have started"},
		{"a service", nil, in(at(asked, 1, asked, asked, "nginx"), "/system.slice/nginx.service"), No, 0, ""},
		{"a service that forks", nil, in(at(asked, 1, 49, 49, "named"), "/system.slice/named.service"), No, 0, "service named.service"},
		{"what a service's script has left", []Process{in(at(40, 1, 40, 40, "main"), "/system.slice/a.service")},
			in(at(asked, 1, 40, 40, "left"), "/system.slice/a.service"), Certain, 1, "session 40"},
		{"a login session's", nil, in(at(asked, 1, asked, asked, "tmux"), "/user.slice/user-0.slice/session-3.scope"), Likely, 1, "session-3.scope"},
		{"a kernel thread", nil, kthread, No, 0, "kernel"},
		{"from outside of the namespace", nil, at(asked, 0, 0, 0, "sh"), No, 0, "outside"},
		{"whose parent is hidden", nil, at(asked, 33, 33, 33, "sh"), Possible, 0, "isn't shown"},
		{"whose session is from outside, as nsenter starts it", nil, at(asked, 1, 0, 0, "sh"), Likely, 1, "session from outside"},
		{"the same, adopted by a subreaper that leads no session", []Process{at(40, 1, 40, 39, "x")},
			at(asked, 40, 0, 0, "sh"), Certain, 40, "session from outside"},
		{"in a session from outside, as its parent", []Process{at(40, 0, 0, 0, "sh")}, at(asked, 40, 0, 0, "sh"), No, 0, "is there"},
		{"whose first process is in such a session, too", []Process{at(1, 0, 0, 0, "sh")}, at(asked, 1, 0, 0, "sh"), Possible, 1, "may have started"},
	} {
		others := tt.others
		if len(others) == 0 || others[0].PID != 1 {
			others = append(others, pid1)
		}
		o := made(time.Now(), append(others, tt.p)...).Orphan(asked)
		if o.Verdict != tt.want || o.AdoptedBy != tt.adopted {
			t.Errorf("%s: %v, adopted by %d, %q; want %v, %d", tt.name, o.Verdict, o.AdoptedBy, o.Reasons, tt.want, tt.adopted)
		}
		if !strings.Contains(strings.Join(o.Reasons, "; "), tt.reason) {
			t.Errorf("%s: %q doesn't say %q", tt.name, o.Reasons, tt.reason)
		}
	}
	if o := made(time.Now(), pid1).Orphan(7); o.Process != nil || o.Verdict != No {
		t.Errorf("of none: %+v", o)
	}
}

func TestAnEarlierSnapshotProvesWhoWasAdopted(t *testing.T) {
	now := time.Now()
	before := made(now.Add(-time.Minute), pid1, at(40, 1, 40, 40, "start.sh"), at(50, 40, 40, 50, "sub.sh"))
	between := made(now.Add(-time.Second), pid1, at(50, 1, 40, 50, "sub.sh")).Follow(before)
	table := made(now, pid1, at(50, 1, 40, 50, "sub.sh")).Follow(between)
	if o := table.Orphan(50); o.Verdict != Certain || o.AdoptedBy != 1 || !strings.Contains(o.Reasons[0], "a child of 40") {
		t.Errorf("%+v", o)
	}
	// Another process of that number has another start.
	other := at(50, 1, 50, 50, "new")
	other.start = 99
	if o := made(now, pid1, other).Follow(between).Orphan(50); o.Verdict != No && o.Verdict != Possible {
		t.Errorf("%+v", o)
	}
}

func TestANameCantFoolTheReaderOfAReason(t *testing.T) {
	o := made(time.Now(), pid1, at(40, 1, 40, 39, "\x1b[2J\n"), at(50, 40, 49, 45, "x")).Orphan(50)
	if got := strings.Join(o.Reasons, ""); strings.ContainsAny(got, "\x1b\n") || !strings.Contains(got, `\x1b[2J\n`) {
		t.Errorf("%q", got)
	}
}

func zombie(pid, ppid int) Process {
	p := at(pid, ppid, ppid, ppid, "z")
	p.State = Defunct
	return p
}

func TestZombiesAreGroupedByTheParentThatNeglectsThem(t *testing.T) {
	now := time.Now()
	first := now.Add(-time.Hour)
	one := made(first, pid1, at(10, 1, 10, 10, "late"), zombie(11, 10), zombie(12, 10), at(20, 1, 20, 20, "never"), zombie(21, 20), at(30, 1, 30, 30, "new"))
	for _, n := range one.Zombies() {
		if n.Habit != Unobserved || n.Told != ToldUnknown {
			t.Errorf("alone: %+v", n)
		}
	}
	two := made(now.Add(-time.Minute), pid1, at(10, 1, 10, 10, "late"), zombie(12, 10), at(20, 1, 20, 20, "never"), zombie(21, 20)).Follow(one)
	never := at(20, 1, 20, 20, "never")
	never.known |= Signals
	never.Signals.Caught = 1 << 16
	table := made(now, pid1, at(10, 1, 10, 10, "late"), zombie(12, 10), zombie(13, 10), zombie(14, 10), never, zombie(21, 20), zombie(22, 20),
		at(30, 1, 30, 30, "new"), zombie(31, 30)).Follow(two)
	list := table.Zombies()
	if len(list) != 3 || list[0].PID != 10 || list[1].PID != 20 || list[2].PID != 30 {
		t.Fatalf("%+v", list)
	}
	late, no, fresh := list[0], list[1], list[2]
	if late.Habit != Late || late.Reaped != 1 || late.Observed != time.Hour || len(late.Zombies) != 3 || !late.Zombies[0].Seen.Equal(first) {
		t.Errorf("late: %+v", late)
	}
	if no.Habit != Never || no.Reaped != 0 || !no.Zombies[0].Seen.Equal(first) || !no.Zombies[1].Seen.Equal(now) || no.Told != ToldHandler {
		t.Errorf("never: %+v", no)
	}
	if fresh.Habit != Unobserved {
		t.Errorf("new: %+v", fresh)
	}
}

func TestWhatBecomesOfSIGCHLD(t *testing.T) {
	const chld = 1 << 16
	for want, p := range map[Told]Process{
		ToldUnknown: {State: Sleeping},
		ToldDefault: {State: Sleeping, known: Signals},
		ToldHandler: {State: Sleeping, known: Signals, Signals: SignalState{Caught: chld, Blocked: chld}},
		ToldIgnored: {State: Sleeping, known: Signals, Signals: SignalState{Ignored: chld}},
		ToldBlocked: {State: Sleeping, known: Signals, Signals: SignalState{Blocked: chld}},
		ToldStopped: {State: Stopped, known: Signals, Signals: SignalState{Caught: chld}},
	} {
		if got := told(&p); got != want {
			t.Errorf("%v: %v", want, got)
		}
	}
}

func TestATableDoesNotFollowAStranger(t *testing.T) {
	now := time.Now()
	later := made(now.Add(time.Minute), pid1)
	boot := made(now.Add(-time.Minute), pid1)
	boot.Boot = "another"
	for _, earlier := range []*Table{nil, later, boot} {
		if table := made(now, pid1).Follow(earlier); table.past != nil || !table.since.Equal(now) {
			t.Errorf("it followed %+v", earlier)
		}
	}
}

// ended makes a zombie that ended at a time, or at one that isn't known.
func ended(p Process, when time.Time) Process {
	p.State, p.Ended, p.known = Defunct, when, p.known|End
	return p
}

// since makes a process that was started so many hundredths of a second after boot.
func since(p Process, start uint64) Process {
	p.start = start
	return p
}

func TestOnlyWhatIsProvenIsLeftByAZombie(t *testing.T) {
	now := time.Now()
	boot := now.Add(-time.Hour) // as made has it
	shell := since(at(10, 1, 10, 10, "bash"), 100)
	// A zombie of the shell's, from second 20 to second 30.
	zombie := func(pgid, session int) Process {
		return ended(since(at(20, 10, pgid, session, "start.sh"), 2000), boot.Add(30*time.Second))
	}
	for _, tt := range []struct {
		name string
		list []Process
		want string
	}{
		{"the session that it made", []Process{zombie(20, 20), since(at(21, 1, 20, 20, "sub"), 2001), since(at(22, 21, 22, 20, "app"), 9000)}, "21 certain 22 certain "},
		{"an orphan, before its children", []Process{zombie(20, 20), since(at(30, 1, 20, 20, "sub"), 2001), since(at(22, 30, 20, 20, "app"), 2002)}, "30 certain 22 certain "},
		{"an orphan of the group that it led", []Process{zombie(20, 10), since(at(21, 1, 20, 10, "sub"), 2001)}, "21 likely "},
		{"and what that has started", []Process{zombie(20, 10), since(at(21, 1, 20, 10, "sub"), 2001), since(at(22, 21, 20, 10, "app"), 9000), since(at(23, 22, 20, 10, "app"), 9000)},
			"21 likely 22 likely 23 likely "},
		{"an older orphan", []Process{zombie(20, 10), since(at(15, 1, 20, 10, "old"), 1999)}, ""},
		{"an orphan that began after its end", []Process{zombie(20, 10), since(at(21, 1, 20, 10, "late"), 3300)}, ""},
		{"the rest of a pipeline", []Process{zombie(20, 10), since(at(21, 10, 20, 10, "grep"), 2001)}, ""},
		{"an orphan of the session that it was only in", []Process{zombie(10, 10), since(at(21, 1, 10, 10, "other"), 2001)}, ""},
		{"an orphan of a group that it was only in", []Process{zombie(15, 10), since(at(21, 1, 15, 10, "other"), 2001)}, ""},
		{"a zombie", []Process{zombie(20, 20), ended(since(at(21, 1, 20, 20, "sub"), 2001), now)}, ""},
		{"a living process has left none", []Process{since(at(20, 10, 20, 20, "start.sh"), 2000), since(at(21, 1, 20, 20, "sub"), 2001)}, ""},
	} {
		got := ""
		for _, l := range made(now, append(tt.list, pid1, shell)...).LeftBy(20) {
			got += fmt.Sprintf("%d %v ", l.PID, l.Verdict)
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// In a container the first process may be the parent of the zombie, and adopt what that has
// left; or it may be a shell that has made a pipeline.
func TestTheFirstProcessMayAdoptWhatItsZombieHasLeft(t *testing.T) {
	for want, is := range []func(Process) Process{onTTY, func(p Process) Process { return p }} {
		list := []Process{is(at(1, 0, 1, 1, "app")), ended(is(at(20, 1, 20, 1, "start.sh")), time.Time{}), is(at(21, 1, 20, 1, "sub"))}
		if got := made(time.Now(), list...).LeftBy(20); len(got) != want {
			t.Errorf("got %+v, want %d", got, want)
		}
	}
}
