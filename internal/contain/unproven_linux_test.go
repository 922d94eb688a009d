package contain

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// mustName ends a lost tree, and wants nobody of these to be signalled, and all to be named
// as what may be left.
func mustName(t *testing.T, l Lost, in string, want ...procfs.Stat) {
	t.Helper()
	ended, left, unproven, err := l.End(context.Background(), impatient)
	if err != nil || len(ended) > 0 || len(left) > 0 {
		t.Errorf("ended %v, left %v, %v; want nobody signalled", pidsOf(ended), pidsOf(left), err)
	}
	var named []procfs.Stat
	for _, u := range unproven {
		named = append(named, u.Stat)
		if u.In != in {
			t.Errorf("process %d is in %q, want %q", u.PID, u.In, in)
		}
	}
	same(t, "named", pidsOf(named), want...)
	for _, s := range want {
		if !alive(s) {
			t.Errorf("was met: %+v", s)
		}
	}
}

// number names a group or session.
func number(what string, s procfs.Stat) string { return fmt.Sprintf("%s %d", what, s.PID) }

// seen is what a roll call writes down.
func seen(list ...procfs.Stat) (members []wire.Member) {
	for _, s := range list {
		members = append(members, wire.Member{PID: s.PID, Start: s.Start, Group: s.PGID, Session: s.Session})
	}
	return members
}

func TestMembersOfALeaderlessGroupAreNamedOnly(t *testing.T) {
	bystander(t, nil)
	bystander(t, &syscall.SysProcAttr{Setpgid: true})
	a := startAppAs(t, &syscall.SysProcAttr{Setpgid: true}, 2, "sleep 100 & echo one $!; sleep 100 & echo two $!; wait")
	a.endLeader()
	for _, level := range []wire.Containment{wire.Group, wire.Subreaper} {
		for _, members := range [][]wire.Member{recorded(a.leader), seen(a.leader)} {
			mustName(t, Lost{Containment: level, Members: members}, number("process group", a.leader), a.members["one"], a.members["two"])
		}
	}
	// The numbers of a PID namespace are those of strangers here.
	mustName(t, Lost{Containment: wire.PIDNS, Members: seen(a.leader)}, "")
	// Once they have ended, nobody is named, and nobody is said to be hidden.
	for _, s := range a.members {
		if err := sys.Kill(s.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is gone", func() bool {
			now, err := procfs.Read(s.PID)
			return err != nil || now.Zombie()
		})
	}
	mustName(t, Lost{Containment: wire.Group, Members: seen(a.leader)}, "")
}

// TestAZombieProvesItsGroup: as long as nobody has reaped the leader, no stranger has its
// number.
func TestAZombieProvesItsGroup(t *testing.T) {
	for _, attr := range []*syscall.SysProcAttr{{Setpgid: true}, {Setsid: true}} {
		bystander(t, nil)
		a := startAppAs(t, attr, 1, "sleep 100 & echo unseen $!; wait")
		if err := a.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the leader is a zombie", func() bool { return stat(t, a.leader.PID).Zombie() })
		l := Lost{Containment: wire.Group, Members: seen(a.leader)}
		mustFind(t, l, a.members["unseen"])
		mustEnd(t, l, term, a.members["unseen"])
	}
}

func TestProvenStrangersAreNotNamed(t *testing.T) {
	a := startAppAs(t, &syscall.SysProcAttr{Setpgid: true}, 1, "sleep 100 & echo member $!; wait")
	// The number of the group is another's by now.
	was := a.leader
	was.Start--
	mustName(t, Lost{Containment: wire.Group, Members: seen(was)}, "")
	a.endLeader()
	// A group is in one session, and its members are no older than it.
	for _, change := range []func(*wire.Member){
		func(m *wire.Member) { m.Session++ },
		func(m *wire.Member) { m.Start += 1 << 40 },
	} {
		members := seen(a.leader)
		change(&members[0])
		mustName(t, Lost{Containment: wire.Group, Members: members}, "")
	}
	// Nothing is known of the number of a member that has led no group.
	other := a.leader
	other.PID, other.PGID = 1<<21, 1<<21
	members := append(seen(other), wire.Member{PID: a.leader.PID, Start: a.leader.Start})
	mustName(t, Lost{Containment: wire.Subreaper, Members: members}, "")
}

// TestASessionThatAnUnseenMemberMadeIsTheTrees: a daemon's parent has made it and was gone
// before the roll was called; what the daemon starts is orphaned.
func TestASessionThatAnUnseenMemberMadeIsTheTrees(t *testing.T) {
	bystander(t, nil)
	bystander(t, &syscall.SysProcAttr{Setsid: true})
	a := startAppAs(t, &syscall.SysProcAttr{Setpgid: true}, 2, `
setsid sh -c 'sleep 100 & echo daemon $!; (sleep 100 & echo worker $!); exit' </dev/null
wait`)
	m := a.members
	a.endLeader()
	l := Lost{Containment: wire.Subreaper, Members: seen(a.leader, m["daemon"])}
	eventually(t, "the shells have ended", func() bool {
		found, _, err := l.Find()
		return err != nil || len(found) == 2
	})
	mustFind(t, l, m["daemon"], m["worker"])
	if err := sys.Kill(m["daemon"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is gone", func() bool { reap(t); return reaped(m["daemon"]) })
	mustName(t, l, number("session", procfs.Stat{PID: m["daemon"].Session}), m["worker"])
}

// TestAYoungerLeaderOfASessionIsAStranger: whoever is in a session began after its leader.
func TestAYoungerLeaderOfASessionIsAStranger(t *testing.T) {
	s := bystander(t, &syscall.SysProcAttr{Setsid: true})
	leader := wire.Member{PID: 1 << 21, Start: s.Start - 2, Group: 1 << 21, Session: 1 << 21}
	member := wire.Member{PID: 1<<21 + 1, Start: s.Start, Group: s.PID, Session: s.PID}
	mustName(t, Lost{Containment: wire.Subreaper, Members: []wire.Member{leader, member}}, number("session", s), s)
	member.Start--
	mustName(t, Lost{Containment: wire.Subreaper, Members: []wire.Member{leader, member}}, "")
}

// TestACgroupThatCannotBeSeenHereIsNotGone: in another mount namespace its path is another.
func TestACgroupThatCannotBeSeenHereIsNotGone(t *testing.T) {
	c, l := lostCgroup(t)
	a := startApp(t, 1, "sleep 100 & echo child $!; wait")
	join(t, c.Path, a.members["child"].PID)
	elsewhere := l
	elsewhere.CgroupPath = filepath.Join(t.TempDir(), filepath.Base(l.CgroupPath))
	mustName(t, elsewhere, "cgroup "+filepath.Base(l.CgroupPath), a.members["child"])
	mustEnd(t, l, term, a.members["child"])
}

// TestWhatALostTreeMadeIsKnownInSession0: who enters a PID namespace, as docker exec does,
// brings a session that has no number in there.
func TestWhatALostTreeMadeIsKnownInSession0(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", `"$@"; exit`, "sh", exe, "-test.v", "-test.run",
		"^(TestASessionThatAnUnseenMemberMadeIsTheTrees|TestProvenStrangersAreNotNamed|TestMembersOfALeaderlessGroupAreNamedOnly)$")
	if os.Getuid() != 0 {
		cmd.Args = slices.Insert(cmd.Args, 1, "--user", "--map-root-user")
	}
	hosttest.Need(t, "PID namespaces", exec.Command("unshare", append(slices.Clone(cmd.Args[1:slices.Index(cmd.Args, "sh")]), "true")...).Run())
	out, err := cmd.CombinedOutput()
	if n := strings.Count(string(out), "--- PASS"); err != nil || n != 3 {
		t.Errorf("%d of 3 passed, %v:\n%s", n, err, out)
	}
}
