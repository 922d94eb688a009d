package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

// strangerVariable turns the test binary into a client of another user: it holds the
// path of a socket.
const strangerVariable = "FOSTER_TEST_STRANGER"

func stranger(path string) {
	c, err := client.DialSocket(path)
	if err == nil {
		_, err = c.Status(context.Background())
	}
	fmt.Println(err)
}

// as runs the stranger as a user with groups, and gives what it was told.
func as(t *testing.T, exe, socket string, uid uint32, groups ...uint32) string {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = []string{strangerVariable + "=" + socket, "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: groups}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// reachable gives a folder that other users can enter, and this binary in it.
func reachable(t *testing.T) (folder, exe string) {
	t.Helper()
	folder = t.TempDir()
	for _, path := range []string{folder, filepath.Dir(folder)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe = filepath.Join(folder, "stranger")
	own, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	to, err := os.OpenFile(exe, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, own); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return folder, exe
}

func TestOnlyTheGroupThatWasNamedIsLetIn(t *testing.T) {
	hosttest.NeedRoot(t)
	leaktest.Check(t)
	const group = 4242
	folder, exe := reachable(t)
	t.Setenv("XDG_RUNTIME_DIR", folder)
	l, err := Listen("test", fmt.Sprint(group))
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, &fake{})
	shared, err := SharedPath("test")
	if err != nil {
		t.Fatal(err)
	}
	for _, try := range []struct {
		name, socket string
		groups       []uint32
		want         string
	}{
		{"a member", shared, []uint32{1000, group}, "<nil>"},
		{"a member whose socket is the user's own", l.Path(), []uint32{group}, "permission denied"},
		{"who isn't one", shared, []uint32{1000}, "permission denied"},
	} {
		if got := as(t, exe, try.socket, 12345, try.groups...); !strings.Contains(got, try.want) {
			t.Errorf("%s: %q, want %q", try.name, got, try.want)
		}
	}
	if got := as(t, exe, l.Path(), 0); got != "<nil>" {
		t.Errorf("root: %q", got)
	}
	// The mode of the socket isn't what keeps others out.
	if err := os.Chmod(shared, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := as(t, exe, shared, 12345, 1000); !strings.Contains(got, "user 12345 isn't let in: only user 0, root and members of group 4242 are") {
		t.Errorf("%q", got)
	}
	if got := as(t, exe, shared, 12345, group); got != "<nil>" {
		t.Errorf("%q", got)
	}
}

func TestAGroupOfManyIsFound(t *testing.T) {
	hosttest.NeedRoot(t)
	leaktest.Check(t)
	folder, exe := reachable(t)
	t.Setenv("XDG_RUNTIME_DIR", folder)
	l, err := Listen("test", "90000")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, &fake{})
	shared, err := SharedPath("test")
	if err != nil {
		t.Fatal(err)
	}
	var groups []uint32
	for n := range uint32(500) {
		groups = append(groups, 20000+n)
	}
	if got := as(t, exe, shared, 12345, append(groups, 90000)...); got != "<nil>" {
		t.Errorf("%q", got)
	}
}

// Another group is let in at once, and who was let in before isn't any longer: neither
// anew, nor by a connection that there is.
func TestTheGroupMayBeAnother(t *testing.T) {
	hosttest.NeedRoot(t)
	leaktest.Check(t)
	folder, exe := reachable(t)
	t.Setenv("XDG_RUNTIME_DIR", folder)
	l, err := Listen("test", "4242")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, &fake{})
	shared, err := SharedPath("test")
	if err != nil {
		t.Fatal(err)
	}
	tell := func(group, first, second string) {
		t.Helper()
		for member, want := range map[uint32]string{4242: first, 4343: second} {
			if got := as(t, exe, shared, 12345, member); !strings.Contains(got, want) {
				t.Errorf("with group %q, a member of %d: %q, want %q", group, member, got, want)
			}
		}
		if l.Group() != group {
			t.Errorf("the group is %q, want %q", l.Group(), group)
		}
	}
	tell("4242", "<nil>", "permission denied")
	conn, err := net.Dial("unix", shared)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/events?follow=true HTTP/1.1\r\nHost: foster\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200"))); err != nil {
		t.Fatal(err)
	}
	if err := l.Admit("no-such-group"); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("%v", err)
	}
	tell("4242", "<nil>", "permission denied")
	for _, group := range []string{"4343", "", "4242"} {
		if err := l.Admit(group); err != nil {
			t.Fatal(err)
		}
		switch group {
		case "":
			tell(group, "foster up", "foster up") // what is to be done where nobody listens
		case "4343":
			tell(group, "permission denied", "<nil>")
		case "4242":
			tell(group, "<nil>", "permission denied")
		}
	}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("who follows events is cut off: %v", err)
	}
}

func TestWhoIsLetIn(t *testing.T) {
	for _, try := range []struct {
		uid    int
		groups []int
		group  int
		in     bool
	}{
		{1000, nil, -1, true}, {0, nil, -1, true}, {1001, nil, -1, false}, {1001, []int{-1}, -1, false},
		{1001, []int{7, 8}, 8, true}, {1001, []int{7}, 8, false}, {1001, []int{0}, 0, true}, {1001, nil, 0, false},
	} {
		if err := verdict(try.uid, try.groups, 1000, try.group); (err == nil) != try.in {
			t.Errorf("%+v: %v", try, err)
		}
	}
}

func TestAGroupThatThereIsntIsAnErrorAndNothingIsLeft(t *testing.T) {
	leaktest.Check(t)
	if _, err := Listen("test", "no-such-group"); err == nil || !strings.Contains(err.Error(), `no group "no-such-group"`) {
		t.Errorf("%v", err)
	}
}

// What a supervisor that was killed has left is replaced; who answers is left alone, even
// where its lock was removed.
func TestOnlyTheSocketOfTheDeadIsReplaced(t *testing.T) {
	leaktest.Check(t)
	path, err := client.SocketPath("test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := sys.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	l, err := Listen("test", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("test", ""); !errors.Is(err, ErrRunning) {
		t.Errorf("%v", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the living one is gone: %v", err)
	}
	if err := errors.Join(conn.Close(), l.Close()); err != nil {
		t.Error(err)
	}
}

// Anybody can make a folder in /tmp, and wait for who uses it.
func TestASharedFolderOfAnotherIsRefused(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(at("open"), 0o777), os.Chmod(at("open"), 0o777), os.Mkdir(at("own"), 0o700),
		os.Symlink(at("own"), at("link")), os.Symlink(at("nowhere"), at("dangling")), os.WriteFile(at("file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	refused := []string{"link", "dangling", "file"}
	if os.Getuid() == 0 {
		if err := errors.Join(os.Mkdir(at("other"), 0o711), os.Chown(at("other"), 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		refused = append(refused, "other")
	}
	for _, name := range refused {
		if err := sharedFolder(at(name)); err == nil || !strings.Contains(err.Error(), "is no folder of yours") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"open", "new"} {
		err := sharedFolder(at(name))
		info, serr := os.Lstat(at(name))
		if err != nil || serr != nil || info.Mode() != os.ModeDir|0o711 {
			t.Errorf("%s: %v, %v", name, err, info)
		}
	}
	if info, err := os.Stat(at("own")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("what a link led to was changed: %v, %v", info, err)
	}
	if _, err := os.Lstat(at("nowhere")); err == nil {
		t.Error("what a link led to was made")
	}
}
