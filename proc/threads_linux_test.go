package proc

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// threadsRole listens, with "own" by a socket that only one of its threads has, and with
// "first" its first thread ends then.
func threadsRole(args []string) {
	port := make(chan int)
	go func() {
		runtime.LockOSThread()
		if slices.Contains(args, "own") {
			fatal(syscall.Unshare(syscall.CLONE_FILES))
		}
		port <- listenRaw()
		rest()
		os.Exit(0)
	}()
	fmt.Println(<-port)
	if slices.Contains(args, "first") {
		_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
	}
	select {}
}

// listenRaw listens by a descriptor of the calling thread, and gives the port.
func listenRaw() int {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	fatal(err)
	fatal(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	fatal(syscall.Listen(fd, 1))
	name, err := syscall.Getsockname(fd)
	fatal(err)
	return name.(*syscall.SockaddrInet4).Port
}

// firstThreadEnded waits until the kernel has the process for a zombie by its line.
func firstThreadEnded(t *testing.T, pid int) {
	t.Helper()
	leaktest.Eventually(t, "the first thread has ended", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && strings.Contains(string(b), ") Z ")
	})
}

func TestAProcessWhoseFirstThreadEndedIsNoZombie(t *testing.T) {
	leaktest.Check(t)
	r := start(t, "threads", "first")
	port, _ := strconv.Atoi(r.line(t))
	firstThreadEnded(t, r.pid())
	const all = Owner | Args | Exe | Cgroup | Signals | Namespaces | Wait | Locked
	table := taken(t, all)
	p := table.Get(r.pid())
	if p == nil || !p.FirstThreadEnded() || p.Zombie() || p.State == Defunct || p.Threads < 2 || !p.ID().Alive() {
		t.Fatalf("%+v", p)
	}
	own := table.Get(os.Getpid())
	if !p.Knows(all) || !slices.Contains(p.Args, "threads") || p.Exe != own.Exe || p.Resident == 0 || p.VirtualSize == 0 ||
		p.NetNamespace != own.NetNamespace || p.PIDNamespace != own.PIDNamespace || p.InnerPID != p.PID || p.Cgroup != own.Cgroup {
		t.Errorf("what its living threads have isn't known: %+v", p)
	}
	if own.FirstThreadEnded() {
		t.Errorf("%+v", own)
	}
	for _, n := range table.Zombies() {
		if n.PID == os.Getpid() && slices.ContainsFunc(n.Zombies, func(z Zombie) bool { return z.PID == r.pid() }) {
			t.Error("it is among the zombies")
		}
	}
	list, err := Ports(r.pid())
	if err != nil || len(list) != 1 || int(list[0].Address.Port()) != port {
		t.Errorf("%+v, %v; want port %d", list, err, port)
	}
	// All its threads have ended: now it is one.
	if err := p.ID().Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "it is a zombie", func() bool {
		p, err := Read(r.pid(), 0)
		return err == nil && p.Zombie() && !p.FirstThreadEnded()
	})
}

func TestAThreadsOwnDescriptorsAreTheProcesss(t *testing.T) {
	leaktest.Check(t)
	for _, args := range [][]string{{"own"}, {"own", "first"}} {
		r := start(t, append([]string{"threads"}, args...)...)
		port, _ := strconv.Atoi(r.line(t))
		if len(args) > 1 {
			firstThreadEnded(t, r.pid())
		}
		want := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		list, err := Ports(r.pid())
		if err != nil || len(list) != 1 || list[0].Address.String() != want {
			t.Errorf("%v: %+v, %v; want %s", args, list, err, want)
		}
		if s := asked(t, uint16(port)); len(s.Held) != 1 || !slices.Equal(s.Held[0].PIDs, []int{r.pid()}) {
			t.Errorf("%v: %+v", args, s.Held)
		}
	}
}
