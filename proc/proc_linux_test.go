package proc

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/leaktest"
)

func taken(t testing.TB, want Fields) *Table {
	t.Helper()
	table, err := Take(want)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func identity(t testing.TB, pid int) ID {
	t.Helper()
	id, err := IDOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTakeShowsThisProcess(t *testing.T) {
	leaktest.Check(t)
	const all = Owner | Args | Exe | Cgroup | Signals | Namespaces
	p := taken(t, all).Get(os.Getpid())
	if p == nil || !p.Knows(Always|all) {
		t.Fatalf("%+v", p)
	}
	if p.PPID != os.Getppid() || p.PGID != syscall.Getpgrp() || p.UID != os.Geteuid() || p.GID != os.Getegid() ||
		p.RealUID != os.Getuid() || !slices.Equal(p.Args, os.Args) || p.Threads < 1 || p.Resident == 0 ||
		p.InnerPID != os.Getpid() || p.Kernel || p.Zombie() {
		t.Errorf("%+v", p)
	}
	if exe, _ := os.Executable(); p.Exe != exe {
		t.Errorf("its program is %q, not %q", p.Exe, exe)
	}
	if p.Age() < 0 || p.Age() > 10*time.Minute || p.ID() != identity(t, os.Getpid()) || !p.ID().Alive() {
		t.Errorf("%v, %v", p.Age(), p.ID())
	}
	if one, err := Read(os.Getpid(), 0); err != nil || one.Knows(Owner) || one.Args != nil || one.UID != -1 {
		t.Errorf("what wasn't asked for: %+v, %v", one, err)
	}
}

func TestNamesCantMisleadTheTable(t *testing.T) {
	leaktest.Check(t)
	for _, name := range []string{") R 1 (", "a b", "((", "a\nb", "\xff\xfe\x80", `\n`} {
		r := start(t, "name", name)
		r.line(t)
		p := taken(t, Args|Signals).Get(r.pid())
		if p == nil || p.Name != name || p.PPID != os.Getpid() || p.Zombie() || !p.Knows(Signals) || p.Args[3] != name {
			t.Errorf("%q: %+v", name, p)
		}
		r.end()
	}
}

func TestSignalReachesWhoWasMeantAndWaitTellsOfItsEnd(t *testing.T) {
	leaktest.Check(t)
	r := start(t, "name", "x")
	r.line(t)
	id := identity(t, r.pid())
	for _, other := range []ID{{id.PID, id.Start + 1, id.Boot}, {id.PID, id.Start, "b"}, {1<<22 + 1, 1, id.Boot}, {-1, 1, id.Boot}, {}} {
		if err := other.Signal(syscall.SIGKILL); !errors.Is(err, ErrGone) || !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%v: %v", other, err)
		}
		if err := other.Wait(context.Background()); err != nil || other.Alive() {
			t.Errorf("%v: %v", other, err)
		}
	}
	h, err := id.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := errors.Join(id.Signal(0), id.Signal(syscall.SIGKILL), id.Wait(context.Background())); err != nil || id.Alive() {
		t.Error(err, id.Alive())
	}
	if err := id.Signal(0); err != nil {
		t.Errorf("a zombie can't be held: %v", err)
	}
	r.end()
	if err := id.Signal(0); !errors.Is(err, ErrGone) || strings.Count(err.Error(), "process "+strconv.Itoa(id.PID)) != 1 {
		t.Error(err)
	}
	if err := errors.Join(h.Wait(context.Background()), id.Wait(context.Background())); err != nil {
		t.Error(err)
	}
	if err := h.Signal(syscall.SIGKILL); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

func TestAWaitCanBeCancelledAndLeavesOthersWaiting(t *testing.T) {
	leaktest.Check(t)
	r := start(t, "name", "x")
	r.line(t)
	h, err := identity(t, r.pid()).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	var wg sync.WaitGroup
	const waiters = 20
	stay, leave := make([]error, waiters), make([]error, waiters)
	for i := range waiters {
		wg.Go(func() { stay[i] = h.Wait(context.Background()) })
		wg.Go(func() { leave[i] = h.Wait(ctx) })
	}
	cancel(cause)
	if err := h.Wait(ctx); err != cause {
		t.Error(err)
	}
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for i := range waiters {
		if stay[i] != nil || leave[i] != cause && leave[i] != nil {
			t.Errorf("%v, %v", stay[i], leave[i])
		}
	}
}

func TestSignallingWhomOneMayNotIsRefused(t *testing.T) {
	leaktest.Check(t)
	if os.Geteuid() == 0 {
		hosttest.Unless(t, hosttest.OtherUser, errors.New("this is root"))
	}
	if err := identity(t, 1).Signal(0); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}

func TestAThousandZombiesAreTheirParents(t *testing.T) {
	leaktest.Check(t)
	const n = 1000
	before := time.Now()
	r := start(t, "zombies", strconv.Itoa(n))
	r.line(t)
	parent := r.pid()
	of := func(table *Table) (found *Neglect) {
		for _, neglect := range table.Zombies() {
			if neglect.PID == parent {
				found = &neglect
			}
		}
		return found
	}
	var first *Table
	leaktest.Eventually(t, "all have ended", func() bool {
		first = taken(t, ForZombies)
		got := of(first)
		return got != nil && len(got.Zombies) == n
	})
	second := taken(t, ForZombies).Follow(first)
	got := of(second)
	if got.Habit != Never || got.Told != ToldHandler || got.Parent.PID != parent || got.Observed <= 0 {
		t.Errorf("%v, %v, %v", got.Habit, got.Told, got.Observed)
	}
	for _, z := range got.Zombies {
		if z.Exit != (ExitStatus{}) || !z.Knows(End) || !z.Seen.Equal(first.At) || len(z.Args) > 0 {
			t.Fatalf("%+v", z)
		}
		// A kernel without CONFIG_SCHED_DEBUG doesn't say since when.
		const clocks = 2 * time.Second // are as far apart
		if !z.Since.IsZero() && (z.Since.Before(before.Add(-clocks)) || z.Since.After(second.At.Add(clocks))) {
			t.Fatalf("ended %v, not between %v and %v", z.Since, before, second.At)
		}
	}
	r.end()
	// They fell to this subreaper.
	leaktest.ReapOrphans(t)
}

// TestAnOrphanIsKnownByItsTraces makes one as the article does: a script is killed,
// and what it had started lives on, adopted by this test.
func TestAnOrphanIsKnownByItsTraces(t *testing.T) {
	leaktest.Check(t)
	for _, tt := range []struct {
		name      string
		attr      syscall.SysProcAttr
		want      Verdict
		afterward Verdict // by an earlier snapshot
		session   bool
	}{
		{"a script in a session of its own", syscall.SysProcAttr{Setsid: true}, Certain, Certain, true},
		{"a script in a group of its own", syscall.SysProcAttr{Setpgid: true}, No, Certain, false},
	} {
		file := filepath.Join(t.TempDir(), "pid")
		cmd := exec.Command("sh", "-c", `sleep 1000 & echo $! >"$0.new"; mv "$0.new" "$0"; wait`, file)
		cmd.SysProcAttr = &tt.attr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		leaktest.Eventually(t, "the script's child is there", func() bool {
			b, err := os.ReadFile(file)
			pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			return err == nil && pid > 0
		})
		before := taken(t, ForOrphans)
		if o := before.Orphan(pid); o.Verdict != No || o.LostSession || o.LostGroup {
			t.Errorf("%s, alive: %+v", tt.name, o)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
		id := identity(t, pid)
		leaktest.Eventually(t, "it was adopted", func() bool {
			p, err := Read(pid, 0)
			return err == nil && p.PPID != cmd.Process.Pid
		})
		after := taken(t, ForOrphans)
		if o := after.Orphan(pid); o.Verdict != tt.want || !o.LostGroup || o.LostSession != tt.session {
			t.Errorf("%s: %+v", tt.name, o)
		}
		if o := after.Follow(before).Orphan(pid); o.Verdict != tt.afterward || o.AdoptedBy != os.Getpid() {
			t.Errorf("%s, followed: %+v", tt.name, o)
		}
		if err := id.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		leaktest.ReapOrphans(t)
	}
}

func TestProcessesThatEndWhileTheyAreReadAreLeftOut(t *testing.T) {
	leaktest.Check(t)
	const bursts, each = 30, 10
	done := make(chan error)
	go func() {
		for range bursts {
			if err := exec.Command("sh", "-c", "for i in $(seq "+strconv.Itoa(each)+"); do /bin/true & done; wait").Run(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		table := taken(t, Owner|Args|Exe|Cgroup|Signals|Namespaces|End)
		for i := range table.Processes {
			p := &table.Processes[i]
			if !p.Knows(Parent) || p.PID <= 0 || p.State == NoState || i > 0 && p.PID <= table.Processes[i-1].PID {
				t.Fatalf("%+v", p)
			}
			table.Orphan(p.PID)
		}
		if table.Get(os.Getpid()) == nil {
			t.Fatal("this process isn't shown")
		}
	}
}

func TestHiddenProcessesAreSaidToBeHidden(t *testing.T) {
	leaktest.Check(t)
	const script = `mount -o remount,hidepid=%s /proc; sleep 1000 & "$0" role table; t=$(mktemp /tmp/role.XXXXXX); cp "$0" "$t"; chmod 755 "$t"; "$t" role table 65534; rm "$t"`
	for hide, want := range map[string]string{
		"2": "true false true true\ntrue true false true\n",
		"1": "true false true true\ntrue true true true\nunknown 1 0 true false\n",
	} {
		got := inNamespace(t, 20*time.Second, strings.Replace(script, "%s", hide, 1))
		if !strings.HasPrefix(got, want) {
			t.Errorf("hidepid=%s: got\n%swant\n%s", hide, got, want)
		}
	}
}

func TestAnothersProcIsRefused(t *testing.T) {
	leaktest.Check(t)
	if os.Geteuid() != 0 {
		leaktest.Need(t, "a PID namespace", os.ErrPermission)
	}
	// Without a mount of its own, /proc shows the namespace outside.
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("unshare", "--pid", "--fork", "--kill-child", exe, "role", "table").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another PID namespace") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestPortsOfThisProcess(t *testing.T) {
	leaktest.Check(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	own, err := Ports(os.Getpid())
	if err != nil || len(own) != 2 || own[0].Address.String() != l.Addr().String() || own[0].Network != "tcp" ||
		own[1].Address.String() != u.LocalAddr().String() || own[1].Network != "udp" || own[0].UID != os.Geteuid() {
		t.Errorf("%+v, %v; want %v and %v", own, err, l.Addr(), u.LocalAddr())
	}
	all, _, err := taken(t, 0).Ports()
	if err != nil || !slices.Equal(all[os.Getpid()], own) {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := Ports(1<<22 + 1); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

func TestTTYNames(t *testing.T) {
	for dev, want := range map[uint32]string{0: "", 136 << 8: "pts/0", 136<<8 | 5: "pts/5", 137<<8 | 1: "pts/257", 999 << 8: "999:0"} {
		if got := TTYName(dev); got != want {
			t.Errorf("%#x: %q, want %q", dev, got, want)
		}
	}
}

// A process that ends while the sockets of its network namespace are read doesn't hide
// those of others in it.
func TestPortsAreFoundWhereAnotherProcessEnds(t *testing.T) {
	folder := t.TempDir()
	const line = "0: 0100007F:1F90 00000000:0000 07 0:0 00:0 0 1000 0 %s 1\n"
	for _, pid := range []string{"2", "3"} {
		dir := filepath.Join(folder, pid)
		for _, err := range []error{
			os.MkdirAll(filepath.Join(dir, "fd"), 0o755), os.MkdirAll(filepath.Join(dir, "net"), 0o755),
			os.MkdirAll(filepath.Join(dir, "ns"), 0o755), os.Symlink("net:[1]", filepath.Join(dir, "ns/net")),
			os.Symlink("socket:[77]", filepath.Join(dir, "fd/0")),
			os.WriteFile(filepath.Join(dir, "net/tcp"), []byte("heading\n"), 0o600),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	err := os.WriteFile(filepath.Join(folder, "3/net/udp"), []byte("heading\n"+strings.Replace(line, "%s", "77", 1)), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tableSockets(folder, made(time.Now(), at(2, 1, 2, 2, "ends"), at(3, 1, 3, 3, "stays")), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, unknown := s.Listening, s.Unknown
	if len(unknown) > 0 || len(got[2]) != 0 || len(got[3]) != 1 || got[3][0].Address.String() != "127.0.0.1:8080" {
		t.Errorf("%+v, %v, %v", got, unknown, err)
	}
}
