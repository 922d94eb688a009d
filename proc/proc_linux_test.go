package proc

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func take0(t testing.TB, want Fields) *Table {
	t.Helper()
	table, err := Take(want)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestTakeShowsThisProcess(t *testing.T) {
	leaktest.Check(t)
	table := take0(t, Owner|Args|Exe|Cgroup|Signals|Namespaces)
	p := table.Get(os.Getpid())
	if p == nil {
		t.Fatal("this process isn't shown")
	}
	if p.PPID != os.Getppid() || p.PGID != syscall.Getpgrp() || p.UID != os.Geteuid() || !slices.Equal(p.Args, os.Args) {
		t.Errorf("%+v", p)
	}
	if exe, _ := os.Executable(); p.Exe != exe {
		t.Errorf("exe %q", p.Exe)
	}
	if !p.Knows(Always | Owner | Args | Exe | Cgroup | Signals | Namespaces) {
		t.Errorf("known %b", p.known)
	}
}

func TestSignalAndWait(t *testing.T) {
	leaktest.Check(t)
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := IDOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := id.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	other := id
	other.Start++
	if err := other.Signal(syscall.SIGKILL); !errors.Is(err, ErrGone) || !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	if err := id.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := id.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	if id.Alive() {
		t.Error("alive")
	}
	_ = cmd.Wait()
	if err := id.Signal(0); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	if err := id.Wait(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestPortsOfThisProcess(t *testing.T) {
	leaktest.Check(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	own, err := Ports(os.Getpid())
	if err != nil || len(own) != 2 || own[0].Address.String() != l.Addr().String() || own[0].Network != "tcp" ||
		own[1].Address.String() != u.LocalAddr().String() || own[1].Network != "udp6" {
		t.Errorf("%+v, %v; want %v and %v", own, err, l.Addr(), u.LocalAddr())
	}
	all, _, err := take0(t, 0).Ports()
	if err != nil || !slices.Equal(all[os.Getpid()], own) {
		t.Errorf("%+v, %v", all, err)
	}
}
