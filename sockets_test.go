package foster_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are about listening sockets that are handed over, and files that
// outlive an owner.

func init() { roles["serve"] = roleServe }

// roleServe serves on the first of the sockets that it was handed, as sd_listen_fds(3)
// says: it answers each connection with the number of its process.
func roleServe([]string) {
	pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID"))
	say("listen for me %v, %s sockets, names %s", pid == os.Getpid(), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"))
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, 3, syscall.F_GETFL, 0)
	say("blocks %v %v", flags&syscall.O_NONBLOCK == 0, errno)
	l, err := net.FileListener(os.NewFile(3, "http"))
	if err != nil {
		say("error %v", err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			say("error %v", err)
			os.Exit(1)
		}
		fmt.Fprintf(c, "served by %d\n", os.Getpid())
		c.Close()
	}
}

// listening makes a socket as it is to be handed over, and says where.
func listening() (f *os.File, address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		return nil, "", err
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, false); err != nil {
		return nil, "", err
	}
	return os.NewFile(uintptr(fd), "socket http"), l.Addr().String(), nil
}

func servedBy(t *testing.T, address string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestSocketsAreHandedOverToTheLeaderItself(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDNAMES", "stranger")
	in(t, all, func(t *testing.T, c foster.Containment) {
		f, address, err := listening()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		tree, out := begin(t, c, func(cmd *foster.Cmd) {
			cmd.ExtraFiles = []*os.File{f, os.Stderr}
			cmd.ListenNames = []string{"http"}
		}, "serve")
		if got := out.next("listen "); got != "for me true, 1 sockets, names http" {
			t.Error(got)
		}
		if got := out.next("blocks "); got != "true errno 0" {
			t.Error(got)
		}
		want := fmt.Sprintf("served by %d", tree.Leader())
		if got := servedBy(t, address); got != want && c != foster.PIDNS { // there it has another number
			t.Errorf("%s, want %s", got, want)
		}
		stop(t, tree)
	})
}

func TestNamesOfSocketsThatCantBeAreRefused(t *testing.T) {
	leaktest.Check(t)
	for _, cmd := range []*foster.Cmd{
		{Path: "/bin/true", ListenNames: []string{"http"}},
		{Path: "/bin/true", ListenNames: []string{"http"}, ExtraFiles: []*os.File{nil}},
		{Path: "/bin/true", ListenNames: []string{"a:b"}, ExtraFiles: []*os.File{os.Stderr}},
		{Path: "/bin/true", ListenNames: []string{""}, ExtraFiles: []*os.File{os.Stderr}},
		{Path: "/bin/true", Keep: []*os.File{nil}},
	} {
		if tree, err := cmd.Start(); err == nil {
			stop(t, tree)
			t.Errorf("%q was started", cmd.ListenNames)
		}
	}
}

func TestWhatIsKeptOutlivesTheOwnerAndIsGivenToTheNext(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out, _ := keep(t, c, "grace=1m,own,socket", "serve")
		address := out.next("socket ")
		out.next("blocks")
		before := servedBy(t, address)
		killed(t, cmd)
		tree := attach(t, foster.WithKept())
		files := tree.Kept()
		if len(files) != 1 || files[0].Name() != "socket http" || tree.Kept() != nil {
			t.Fatalf("kept: %v", files)
		}
		defer files[0].Close()
		if got := servedBy(t, address); got != before {
			t.Errorf("%s, and %s before", got, before)
		}
		l, err := net.FileListener(files[0])
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Addr().String() != address {
			t.Errorf("kept is %s, not %s", l.Addr(), address)
		}
		stop(t, tree)
	})
}
