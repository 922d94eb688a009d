package foster_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/wire"
)

// The tests in this file come to a living tree by its socket.

func socketOf(t *testing.T, id string) string {
	t.Helper()
	_, runtime, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	return journal.SocketPath(runtime, id)
}

func dial(t *testing.T, id string) *control.Client {
	t.Helper()
	c, err := control.Dial(&wire.Entry{SocketPath: socketOf(t, id)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// living fails the test unless the tree can be asked, and runs.
func living(t *testing.T, tree *foster.Tree) {
	t.Helper()
	if err := tree.Signal(0, foster.ScopeLeader); err != nil {
		t.Errorf("the tree: %v; want that it lives, and that its owner's side is heard", err)
	}
}

func TestEachTreeCanBeFoundWhileItLives(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		folder, _, err := journal.Folders()
		if err != nil {
			t.Fatal(err)
		}
		found, err := journal.Find(folder, tree.ID())
		if err != nil || found.State != journal.Living || found.Entry.Owner.PID != os.Getpid() {
			t.Errorf("found %+v, %v", found, err)
		}
		status, err := dial(t, tree.ID()).Status()
		if err != nil || status.ID != tree.ID() || status.State != "running" || status.OwnerGone ||
			status.Owner.PID != os.Getpid() || status.Containment.String() != string(c) {
			t.Errorf("status %+v, %v", status, err)
		}
		stop(t, tree)
		if _, err := journal.Find(folder, tree.ID()); !errors.Is(err, journal.ErrUnknown) {
			t.Errorf("after its end it's still found: %v", err)
		}
	})
}

func TestGuestsThatMisbehaveAreSentAwayAndTheTreeLives(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		for _, nonsense := range []string{
			"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x01\x00\x00\x00\xc8",
			"\x01\x00\x00\x00\x41", // a message that only a shim sends
			"\x01\x00\x00\x00\x02", // a start, which isn't a guest's to ask for
		} {
			conn, err := net.Dial("unix", socketOf(t, tree.ID()))
			if err != nil {
				t.Fatal(err)
			}
			_, werr := io.WriteString(conn, nonsense)
			_, rerr := io.Copy(io.Discard, conn) // to its end, which the shim makes
			if werr != nil || rerr != nil && !errors.Is(rerr, syscall.ECONNRESET) {
				t.Errorf("%q: %v, %v", nonsense, werr, rerr)
			}
			conn.Close()
			living(t, tree)
		}
		half, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socketOf(t, tree.ID())})
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
		if err := half.CloseWrite(); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, half); err != nil { // it has nothing more to ask
			t.Errorf("who has closed its half: %v", err)
		}
		living(t, tree)
		stop(t, tree)
	})
}

func TestGuestsAreBoundInNumber(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		for range 64 {
			dial(t, tree.ID())
		}
		if more, err := control.Dial(&wire.Entry{SocketPath: socketOf(t, tree.ID())}); err == nil {
			more.Close()
			t.Error("one more than 64 guests was let in")
		}
		living(t, tree)
		stop(t, tree) // none of them is waited for
	})
}

func TestAGuestThatDoesNotReadHoldsUpNobody(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		var guests []*control.Client
		for range 8 {
			guests = append(guests, dial(t, tree.ID()))
		}
		for _, g := range guests {
			// It asks until it's sent away, or nobody takes what it asks any more.
			g.Conn.Hurry(200 * time.Millisecond)
			for id := uint64(1); g.Conn.Send(nil, &wire.Inspect{ID: id}) == nil; id++ {
			}
		}
		living(t, tree)
		began := time.Now()
		stop(t, tree)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestAGuestStopsATreeAndItsOwnerLearnsWhy(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "signals")
		out.pid("signals")
		if err := dial(t, tree.ID()).Stop(nil, "stopped"); err != nil {
			t.Fatal(err)
		}
		if exit, err := tree.Wait(); err != nil || exit.Cause != foster.CauseStopped || !exit.Leader.Success() {
			t.Errorf("exit %+v, %v; want an orderly stop", exit, err)
		}
	})
}

// TestTheGuestOfATreeIsNotThatOfTheNext: a shim that is used again sends it away.
func TestTheGuestOfATreeIsNotThatOfTheNext(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		keepReady(t, 1)
		first, out := begin(t, c, nil, "block")
		out.pid("block")
		guest := dial(t, first.ID())
		if err := guest.Watch(); err != nil {
			t.Fatal(err)
		}
		stop(t, first)
		second, out := begin(t, c, nil, "block")
		out.pid("block")
		if foster.ShimPID(first) != foster.ShimPID(second) {
			t.Error("the shim wasn't used again")
		}
		_ = guest.Conn.Send(nil, &wire.Stop{Plan: wire.Plan{}, Cause: "stopped"}) // it may know already
		told := false
		for {
			m, err := guest.Next()
			if err != nil {
				break
			}
			_, ended := m.(*wire.Ended)
			told = told || ended
		}
		if !told {
			t.Error("the guest wasn't told of the end")
		}
		living(t, second)
		stop(t, second)
	})
}

// TestAFormerOwnersSideHarmsNobody: what it asks of a tree that is another's is refused.
func TestAFormerOwnersSideHarmsNobody(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		name, argv := role("block")
		other := exec.Command(name, argv...)
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		former, out := begin(t, c, func(cmd *foster.Cmd) {
			cmd.ID, cmd.Owner, cmd.Grace = "kept", other.Process.Pid, time.Hour
		}, "block")
		out.pid("block")
		killed(t, other)
		tree := attach(t)
		if err := former.Release(); !errors.Is(err, syscall.EPERM) {
			t.Errorf("released what is another's: %v", err)
		}
		living(t, former)
		living(t, tree)
		stop(t, tree)
		if exit, err := former.Wait(); exit.Cause != foster.CauseStopped || exit.TreeEmpty.IsZero() {
			t.Errorf("who started it knows %+v, %v", exit, err)
		}
		awaitGone(t)
	})
}

func TestAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to be another user, too", errors.New("not root"))
	}
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, nil, "block")
		out.pid("block")
		socket := socketOf(t, tree.ID())
		// The folder keeps others out; without that, the shim does.
		reached := openTo(t, socket)
		exe, argv := stranger(t, "guest", reached)
		cmd := exec.Command(exe, argv...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		said, err := cmd.Output()
		if err != nil || string(said) != "connected, and sent away: 0 bytes\n" {
			t.Errorf("another user: %q, %v", said, err)
		}
		living(t, tree)
		stop(t, tree)
	})
}

// TestNoNameAndNoFolderIsTooLongForASocket, though the address of one is short.
func TestNoNameAndNoFolderIsTooLongForASocket(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		long := filepath.Join(t.TempDir(), strings.Repeat("d", 200))
		t.Setenv("XDG_RUNTIME_DIR", long)
		id := strings.Repeat("x", 63)
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.ID, cmd.Notify = id, true }, "tells", "READY=1")
		out.pid("told")
		if e := waitFor(t, tree, foster.EventNotified); !e.Ready {
			t.Errorf("it told %+v, want that it's ready", e)
		}
		if status, err := dial(t, id).Status(); err != nil || !status.Ready {
			t.Errorf("%+v, %v; want what it told", status, err)
		}
		stop(t, tree)
		if left, err := filepath.Glob(filepath.Join(long, "foster", "*")); err != nil || len(left) > 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	})
}

// openTo lets others reach a socket, and shuts its folder again when the test ends.
func openTo(t *testing.T, socket string) string {
	t.Helper()
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(socket); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Error(err)
			}
		})
	}
	return socket
}

// stranger is a role in a copy of the test binary that every user can run.
func stranger(t *testing.T, args ...string) (string, []string) {
	t.Helper()
	path := copySetuid(t)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	_, argv := role(args...)
	return path, argv
}
